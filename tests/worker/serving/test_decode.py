"""Decode settings: what a request may say, and where a completion is cut."""

from __future__ import annotations

import pytest

from worker.serving.decode import InvalidRequest, StopCutter, overridden
from worker.specs import DecodeSettings

DEFAULTS = DecodeSettings(temperature=0.2, max_tokens=32, stop=("\nclass ",))


def test_a_request_overrides_only_what_it_names() -> None:
    settings = overridden(DEFAULTS, {"temperature": 0.8, "seed": 5, "top_p": None})
    assert (settings.temperature, settings.seed) == (0.8, 5)
    assert (settings.max_tokens, settings.stop, settings.top_p) == (32, ("\nclass ",), 1.0)


def test_values_may_come_as_text() -> None:
    settings = overridden(DEFAULTS, {"max_tokens": "16", "temperature": "0", "stop": "\n"})
    assert (settings.max_tokens, settings.temperature, settings.stop) == (16, 0.0, ("\n",))


def test_vllms_word_for_no_top_k_is_understood() -> None:
    assert overridden(DEFAULTS, {"top_k": -1}).top_k == 0


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"beam_width": 4}, "beam_width"),
        ({"temperature": -0.1}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"stop": [3]}, "stop"),
        ({"seed": -1}, "seed"),
        ({"temperature": float("nan")}, "temperature"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(parameters: dict[str, object], word: str) -> None:
    with pytest.raises(InvalidRequest, match=word):
        overridden(DEFAULTS, parameters)


@pytest.mark.parametrize("pieces", [["ab\n", "def f"], ["ab", "\nd", "e", "f f"], ["ab\ndef f"], list("ab\ndef f")])
def test_text_is_cut_before_a_stop_however_it_arrives(pieces: list[str]) -> None:
    cutter = StopCutter(["\ndef", "zz"])
    assert "".join(cutter.feed(piece) for piece in pieces) + cutter.flush() == "ab"
    assert cutter.matched


def test_the_earliest_of_several_stops_counts() -> None:
    cutter = StopCutter(["c", "b"])
    assert cutter.feed("abc") == "a"


def test_nothing_that_may_begin_a_stop_is_shown_early_and_all_of_it_at_the_end() -> None:
    cutter = StopCutter(["\n\n\n"])
    assert cutter.feed("x\n\n") == "x"
    assert cutter.feed("y") == "\n\ny"
    assert cutter.feed("\n") == ""
    assert cutter.flush() == "\n"
    assert not cutter.matched
