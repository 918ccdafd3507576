"""Every token with its counts, so that what training will hardly see is known before it."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, decoders, models

from worker.specs import TrainTokenizer
from worker.tokenizer import text
from worker.tokenizer.engines import Encoder
from worker.tokenizer.load import load
from worker.tokenizer.spelling import CHARACTER, spell, unspell
from worker.tokenizer.splitting import SCHEMES
from worker.tokenizer.train import run
from worker.tokenizer.vocabulary import account, count, table


@pytest.fixture
def trained(dataset, make_context):
    spec = TrainTokenizer(dataset, vocabulary_size=330, reserved_tokens=2, special_tokens=("<|im_start|>",))
    return run(spec, make_context())


def test_counts_are_those_of_the_whole_sample(trained, dataset):
    from pathlib import Path

    rows = pq.read_table(trained.outputs["tokenizer"] / "vocabulary.parquet").to_pylist()
    folder = Path(dataset.uri)
    tokenizer = load(trained.outputs["tokenizer"])
    texts = [t for batch in text.read(folder, text.sample(folder, "train", 10**9, 17)) for t in batch]
    expected = [0] * 330
    for encoding in tokenizer.encode_batch(texts):
        for number in encoding.ids:
            expected[number] += 1
    assert [row["sample"] for row in rows] == expected
    assert sum(row["n_bytes"] * row["sample"] for row in rows) == trained.counts["sample_bytes"]


def test_special_tokens_are_marked_and_chosen_ones_are_among_them(trained):
    rows = pq.read_table(trained.outputs["tokenizer"] / "vocabulary.parquet").to_pylist()
    assert [row["text"] for row in rows if row["special"]][5:] == ["<|im_start|>", "<|reserved_0|>", "<|reserved_1|>"]
    assert trained.summary["tokens"]["tokens"] == 330 - 8


def test_the_account_counts_what_is_never_seen(trained):
    rows = pq.read_table(trained.outputs["tokenizer"] / "vocabulary.parquet").to_pylist()
    plain = [row for row in rows if not row["special"]]
    said = trained.summary["tokens"]
    assert said["never_in_held_out"] == sum(row["held_out"] == 0 for row in plain) > 0
    assert said["rare_in_sample"]["10"] == sum(row["sample"] < 10 for row in plain)


def test_a_token_that_no_text_reaches_is_found():
    vocabulary = {character: number for number, character in enumerate(sorted(CHARACTER.values()))}
    vocabulary |= {"ab": 256, "xyz": 257}  # the second has no merge that makes it
    tokenizer = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    tokenizer.pre_tokenizer, tokenizer.decoder = SCHEMES["gpt2"].build(), decoders.ByteLevel()
    encoder = Encoder(tokenizer)
    counts = count(encoder, [["ab ab"]], 258)
    rows = {row["text"]: row for row in table(tokenizer, encoder, counts, counts).to_pylist()}
    assert (rows["ab"]["reachable"], rows["ab"]["sample"]) == (True, 2)
    assert rows["xyz"]["reachable"] is False
    assert account(table(tokenizer, encoder, counts, counts))["unreachable"] == 1


def test_bytes_and_their_spelling_are_one_to_one():
    every = bytes(range(256))
    assert unspell(spell(every)) == every
    assert spell(b" a\n") == "ĠaĊ"
    assert unspell("日") is None
