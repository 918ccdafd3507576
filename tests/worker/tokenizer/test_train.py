"""train_tokenizer: what comes out loads everywhere, loses nothing and is the same each time."""

from __future__ import annotations

import json
import os

import pytest

from worker.context import Stopped
from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.specs import TrainTokenizer
from worker.tokenizer import text
from worker.tokenizer.load import load, verify
from worker.tokenizer.train import run

TEXTS = [
    "def f(x):\n\treturn x  +  1\n",
    "naïve 日本語 \U0001f600 \r\n \x00 \x7f",
    "   leading, trailing   ",
    "a . b , c ! don 't",
    "",
]


@pytest.fixture
def trained(dataset, make_context):
    return run(TrainTokenizer(dataset, vocabulary_size=330, reserved_tokens=4), make_context())


def test_encoding_and_decoding_give_back_the_text(trained):
    tokenizer = load(trained.outputs["tokenizer"])
    for original in TEXTS:
        assert tokenizer.decode(tokenizer.encode(original).ids, skip_special_tokens=False) == original


def test_transformers_loads_it_offline_and_agrees(trained, monkeypatch):
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    from worker.torchvision_hook import install

    install()
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    theirs = AutoTokenizer.from_pretrained(trained.outputs["tokenizer"])
    assert isinstance(theirs, PreTrainedTokenizerFast)
    assert theirs.clean_up_tokenization_spaces is False
    assert (theirs.eos_token, theirs.pad_token) == ("<|endoftext|>", "<|fim_pad|>")
    ours = load(trained.outputs["tokenizer"])
    for original in TEXTS:
        ids = theirs(original)["input_ids"]
        assert ids == ours.encode(original).ids
        assert theirs.decode(ids) == original


def test_special_tokens_come_first_and_are_one_token_each(trained):
    specials = trained.summary["special_tokens"]
    assert specials["<|endoftext|>"] == 0
    assert sorted(specials.values()) == list(range(9))
    assert {"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>", "<|reserved_3|>"} < set(specials)


def test_a_special_word_in_a_source_file_is_only_text(trained):
    ids = load(trained.outputs["tokenizer"]).encode("a<|endoftext|>b").ids
    assert not set(ids) & set(trained.summary["special_tokens"].values())


def test_the_same_text_and_seed_give_the_same_bytes(dataset, make_context):
    spec = TrainTokenizer(dataset, vocabulary_size=330, sample_bytes=6000)
    folders = [run(spec, make_context(name)).outputs["tokenizer"] for name in "ab"]
    assert hash_folder(folders[0]) == hash_folder(folders[1])


def test_fertility_is_by_split_and_language_on_held_out_text(trained):
    fertility = json.loads((trained.outputs["tokenizer"] / "fertility.json").read_text())
    assert fertility == trained.summary["fertility"]
    held_out = fertility["held_out"]
    assert held_out["bytes_per_token"] == pytest.approx(held_out["bytes"] / held_out["tokens"], abs=1e-4)
    assert list(held_out["languages"]) == ["Python"]
    assert list(fertility["held_out_source"]["languages"]) == ["C"]


def test_the_snippet_is_shown_token_by_token(trained):
    assert "".join(piece["text"] for piece in trained.summary["snippet"]).startswith("def area(")
    lengths = [len(piece["text"]) for piece in trained.summary["longest_tokens"]]
    assert lengths == sorted(lengths, reverse=True)


def test_the_sample_is_of_the_train_split_and_only_grows(dataset):
    from pathlib import Path

    folder = Path(dataset.uri)
    small, large = (text.sample(folder, "train", n, 1) for n in (3000, 6000))
    assert small.ids < large.ids
    assert small.n_bytes <= 3000
    assert small.ids != text.sample(folder, "train", 3000, 2).ids
    contents = [content for batch in text.read(folder, small) for content in batch]
    assert sum(map(len, contents)) == small.n_bytes


def test_a_vocabulary_smaller_than_its_bytes_is_refused(dataset, make_context):
    with pytest.raises(StageFailure, match="277") as refused:
        run(TrainTokenizer(dataset, vocabulary_size=200), make_context())
    assert refused.value.code == "tokenizer:user:vocabulary-too-small"


def test_more_tokens_than_the_text_gives_is_refused(dataset, make_context):
    with pytest.raises(StageFailure) as refused:
        run(TrainTokenizer(dataset, vocabulary_size=60_000), make_context())
    assert refused.value.code == "tokenizer:user:not-enough-text"


def test_a_stop_is_obeyed_while_reading(dataset, make_context):
    context = make_context()
    context.stop_file.touch()
    with pytest.raises(Stopped):
        run(TrainTokenizer(dataset, vocabulary_size=330), context)


def test_a_folder_that_is_not_the_artifact_is_refused(trained):
    folder = trained.outputs["tokenizer"]
    verify(folder, hash_folder(folder)[0])
    with pytest.raises(StageFailure) as refused:
        verify(folder, "0" * 64)
    assert refused.value.code == "tokenizer:user:hash-mismatch"
