"""Prompts: the middle, the healed end, the still left edge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.worker.serving.tiny_model import make_tokenizer
from worker.serving.decode import InvalidRequest
from worker.serving.prompts import SENTINELS, Prompter
from worker.tokenizer.special import ROLES

CONTEXT = 64


def prompter_in(folder: Path, **tokenizer: object) -> Prompter:
    make_tokenizer(folder, **tokenizer)
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": CONTEXT, "eos_token_id": 0}))
    return Prompter(folder)


@pytest.fixture(scope="module")
def prompter(tmp_path_factory: pytest.TempPathFactory) -> Prompter:
    return prompter_in(tmp_path_factory.mktemp("prompter"))


def words(prompter: Prompter, ids: tuple[int, ...]) -> str:
    return prompter.tokenizer.decode(ids, skip_special_tokens=False)


@pytest.mark.parametrize(
    ("text", "kept", "cut"),
    [
        ("return ", "return", " "),
        ("return  ", "return ", " "),
        ("def f():\n    ", "def f():\n   ", " "),
        ("x = foo", "x = foo", ""),
        ("def f():\n", "def f():", "\n"),
        ("a\n\n", "a", "\n\n"),
    ],
)
def test_a_prompt_ends_where_training_had_a_token_boundary(prompter: Prompter, text: str, kept: str, cut: str) -> None:
    prompt = prompter.build(text, None, 8)
    assert (words(prompter, prompt.ids), prompt.cut) == (kept, cut)


def test_healed_ids_are_those_that_the_whole_text_would_have_begun_with(prompter: Prompter) -> None:
    whole = prompter.tokenizer.encode("def add(a, b):\n    return a").ids
    prompt = prompter.build("def add(a, b):\n    ", None, 8)
    assert list(prompt.ids) == whole[: len(prompt.ids)]


def test_only_a_cut_newline_has_a_second_try_with_the_whole_prompt(prompter: Prompter) -> None:
    assert words(prompter, prompter.build("def f():\n", None, 8).whole_ids or ()) == "def f():\n"
    assert prompter.build("return ", None, 8).whole_ids is None


def test_an_empty_prompt_starts_a_document(prompter: Prompter) -> None:
    assert prompter.build("", None, 8).ids == (0,)


def test_the_suffix_comes_first_so_that_typing_only_appends(prompter: Prompter) -> None:
    short = prompter.build("def f(", "):\n  pass", 8)
    longer = prompter.build("def f(a", "):\n  pass", 8)
    assert words(prompter, short.ids) == "<|fim_prefix|><|fim_suffix|>):\n  pass<|fim_middle|>def f("
    assert longer.ids[: len(short.ids)] == short.ids


def test_a_blank_suffix_is_none(prompter: Prompter) -> None:
    assert prompter.build("x = ", " \n", 8) == prompter.build("x = ", None, 8)


def test_text_that_looks_like_a_sentinel_stays_text_beside_a_suffix(prompter: Prompter) -> None:
    prompt = prompter.build("a <|fim_middle|>", "b <|endoftext|>", 8)
    assert sum(token in prompter.stop_ids for token in prompt.ids) == 3


def test_a_suffix_for_a_model_without_sentinels_is_refused(tmp_path: Path) -> None:
    bare = prompter_in(tmp_path, specials=("<|endoftext|>",))
    assert not bare.fills_middle
    with pytest.raises(InvalidRequest, match="fill-in-the-middle"):
        bare.build("a", "b", 8)


def test_a_long_prompt_keeps_its_end_and_leaves_room(prompter: Prompter) -> None:
    text = " ".join(f"v{i}" for i in range(100))
    ids = prompter.build(text, "after", 16).ids
    assert len(ids) <= CONTEXT - 16
    assert words(prompter, ids).endswith("v98 v99")
    assert words(prompter, ids).startswith("<|fim_prefix|><|fim_suffix|>after<|fim_middle|>")


def test_the_left_edge_stands_still_over_many_keystrokes(prompter: Prompter) -> None:
    text = "x = 1\n" * 40
    starts = [prompter.build(text + "y" * n, None, 16).ids[:8] for n in range(10)]
    edges = [n for n in range(1, 10) if starts[n] != starts[n - 1]]
    assert len(edges) <= 1


def test_sentinels_of_imported_tokenizers_are_known_too(tmp_path: Path) -> None:
    names = [ROLES[role] for role in ("fim_prefix", "fim_suffix", "fim_middle")]
    assert list(SENTINELS) == names  # written twice, as the served package has no worker.tokenizer
    theirs = prompter_in(tmp_path, specials=("<|endoftext|>", "<fim_prefix>", "<fim_middle>", "<fim_suffix>"))
    assert theirs.fills_middle
    ids = theirs.build("a", "b", 8).ids
    assert words(theirs, ids).startswith("<fim_prefix><fim_suffix>b<fim_middle>")
