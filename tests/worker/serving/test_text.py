"""Streaming text is whole characters only, and adds up to what decoding everything at once gives."""

from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer

from tests.worker.serving.tiny_model import make_tokenizer
from worker.serving.text import Detokeniser, Healer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    make_tokenizer(folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("text", ["def f():\n    return 'é'", "→ 漢字 🙂 done", "plain"])
def test_no_piece_ends_inside_a_character(tokenizer: Tokenizer, text: str) -> None:
    detokeniser = Detokeniser(tokenizer)
    pieces = [detokeniser.feed([token]) for token in tokenizer.encode(text).ids]
    assert not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) == text


def test_any_ids_add_up_to_decoding_them_at_once(tokenizer: Tokenizer) -> None:
    rng = random.Random(3)
    for _ in range(50):
        ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(20)]
        detokeniser = Detokeniser(tokenizer)
        streamed = "".join(detokeniser.feed([token]) for token in ids) + detokeniser.flush()
        assert streamed == tokenizer.decode(ids)


def test_special_tokens_have_no_text(tokenizer: Tokenizer) -> None:
    assert Detokeniser(tokenizer).feed([0, 1]) == ""


def test_what_the_prompt_already_has_is_dropped_piece_by_piece() -> None:
    healer = Healer("\n  ")
    assert [healer.feed(piece) for piece in ("\n", " ", " x", " y")] == ["", "", "x", " y"]
    assert not healer.diverged


def test_a_completion_that_begins_otherwise_is_kept_and_reported() -> None:
    healer = Healer("  ")
    assert healer.feed(" (") == "("
    assert healer.diverged
    assert healer.feed(" z") == " z"
