"""Two engines, one reading: the fast one is used where it is known to agree, checked, and refused when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from tests.worker.tokenizer.conftest import document, python_text
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.specs import TrainTokenizer
from worker.tokenizer import engines, equality, merges
from worker.tokenizer.splitting import SCHEMES, scheme_of
from worker.tokenizer.train import run

TEXTS = [python_text(number) for number in range(60)]


@pytest.fixture
def without_gigatoken(monkeypatch):
    monkeypatch.setattr(engines, "gigatoken", lambda: None)


def messages(context) -> str:
    return "\n".join(event.text for event in context.reporter.events if isinstance(event, MessageLogged))


def test_both_engines_write_the_same_tokenizer_to_the_byte(tmp_path):
    file = tmp_path / "texts.bin"
    file.write_bytes(merges.SEPARATOR.join(text.encode() for text in TEXTS))
    fast = merges.learn_fast(file, 400, ["<|endoftext|>", "<|x|>"])
    reference = merges.learn_by_reference(iter(TEXTS), 400, ["<|endoftext|>", "<|x|>"], "gpt2")
    assert fast.to_str(pretty=True) == reference.to_str(pretty=True)


def test_merges_that_the_text_does_not_have_are_told_from_those_it_has(tmp_path):
    file = tmp_path / "texts.bin"
    file.write_bytes(b"abab abab cd")
    fast = merges.learn_fast(file, 1000, ["<|x|>"])
    reference = merges.learn_by_reference(iter(["abab abab cd"]), 1000, ["<|x|>"], "gpt2")
    real = merges.real_merges(fast, lambda: iter([["abab abab cd"]]), ["<|x|>"])
    assert fast.get_vocab_size() > reference.get_vocab_size() == 257 + real


def test_a_text_that_runs_out_is_refused_with_the_size_it_reaches(dataset, make_context, monkeypatch):
    reached = []
    for engine in ("gigatoken", "tokenizers"):
        with pytest.raises(StageFailure) as refused:
            run(TrainTokenizer(dataset, vocabulary_size=5_000), make_context(engine))
        assert refused.value.code == "tokenizer:user:not-enough-text"
        reached.append(refused.value.values["reached"])
        monkeypatch.setattr(engines, "gigatoken", lambda: None)
    assert reached[0] == reached[1] < 5_000


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_pre_tokeniser_is_encoded_alike(scheme):
    encoder = engines.Encoder(merges.learn_by_reference(iter(TEXTS), 400, ["<|endoftext|>"], scheme))
    assert (encoder.engine, encoder.note) == (engines.fast_name(), "")
    assert equality.check_ids(encoder, TEXTS) > 1000
    assert scheme_of(json.loads(encoder.plain_json)["pre_tokenizer"]) == scheme


def test_gpt4_keeps_three_digits_together_and_qwen2_none():
    pieces = {scheme: [piece for piece, _ in SCHEMES[scheme].build().pre_tokenize_str("x 12345")] for scheme in SCHEMES}
    assert pieces == {
        "gpt2": ["x", "Ġ12345"],
        "gpt4": ["x", "Ġ", "123", "45"],
        "qwen2": ["x", "Ġ", "1", "2", "3", "4", "5"],
    }


def test_a_difference_is_refused_and_names_both_engines(monkeypatch):
    encoder = engines.Encoder(merges.learn_by_reference(iter(TEXTS), 400, [], "gpt2"))
    right = encoder.encode

    def wrong(texts):
        found = right(texts)
        return engines.Encoded(np.where(found.ids == found.ids.max(), 0, found.ids), found.lengths)

    monkeypatch.setattr(encoder, "encode", wrong)
    with pytest.raises(StageFailure, match=r"gigatoken 0\.10\.0 and tokenizers") as refused:
        equality.check_ids(encoder, TEXTS)
    assert refused.value.code == "tokenizer:app:engines-differ"


def test_training_ends_with_a_refusal_when_merges_differ(dataset, make_context, monkeypatch):
    right = merges.fast_merges
    monkeypatch.setattr(merges, "fast_merges", lambda file, size: [("s", "e"), *right(file, size)])
    with pytest.raises(StageFailure, match="merge 0 is") as refused:
        run(TrainTokenizer(dataset, vocabulary_size=278), make_context())
    assert refused.value.code == "tokenizer:app:engines-differ"


def test_without_a_wheel_the_reference_does_all_and_says_so(dataset, make_context, without_gigatoken):
    context = make_context()
    outcome = run(TrainTokenizer(dataset, vocabulary_size=330), context)
    said = json.loads((outcome.outputs["tokenizer"] / "engines.json").read_text())
    assert said["merges"] == said["encoding"] == engines.REFERENCE
    assert "no wheel" in said["merges_note"] and "no wheel" in messages(context)


def test_the_vocabulary_is_the_same_with_and_without_a_wheel(dataset, make_context, monkeypatch):
    spec = TrainTokenizer(dataset, vocabulary_size=330)
    with_wheel = run(spec, make_context("a")).outputs["tokenizer"]
    monkeypatch.setattr(engines, "gigatoken", lambda: None)
    without = run(spec, make_context("b")).outputs["tokenizer"]
    for name in ("tokenizer.json", "vocabulary.parquet", "fertility.json"):
        assert (with_wheel / name).read_bytes() == (without / name).read_bytes()


def test_learning_says_who_learnt_the_merges(dataset, make_context):
    context = make_context()
    outcome = run(TrainTokenizer(dataset, vocabulary_size=330, pre_tokenizer="qwen2"), context)
    assert outcome.summary["engines"]["merges"] == engines.REFERENCE
    assert outcome.summary["engines"]["encoding"] == engines.fast_name()
    assert "gpt2 only" in messages(context) and "agree on" in messages(context)


def test_what_gigatoken_reads_otherwise_in_silence_goes_to_the_reference():
    tokenizer = merges.learn_by_reference(iter(TEXTS), 300, [], "gpt2")
    # Without its own pattern ByteLevel does not split at all; gigatoken would split as GPT-2 does.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder = engines.Encoder(tokenizer)
    assert "pre-tokeniser" in encoder.note
    assert encoder.encode(TEXTS).ids.tolist() == encoder.encode_by_reference(TEXTS).ids.tolist()


def test_a_model_that_is_no_bpe_goes_to_the_reference():
    assert "WordLevel" in engines.why_not(json.loads(Tokenizer(models.WordLevel({"a": 0}, "a")).to_str()))


def test_text_that_a_normaliser_composes_goes_to_the_reference():
    tokenizer = merges.learn_by_reference(iter([*TEXTS, "é é é é"]), 300, [], "gpt2")
    tokenizer.normalizer = normalizers.NFC()
    encoder = engines.Encoder(tokenizer)
    decomposed, composed = "cafe\u0301", "caf\u00e9"
    assert encoder.note == ""
    assert encoder.encode([decomposed]).ids.tolist() == encoder.encode([composed]).ids.tolist()


def test_the_cache_is_thrown_away_with_its_tokenizer(monkeypatch):
    encoder = engines.Encoder(merges.learn_by_reference(iter(TEXTS), 300, [], "gpt2"))
    monkeypatch.setattr(engines, "RECYCLE_BYTES", 1000)
    first = encoder._fresh(600)
    assert encoder._fresh(300) is first
    assert encoder._fresh(300) is not first


def test_one_core_and_two_give_the_same_bytes(make_dataset, make_context, tmp_path):
    """In a process of its own, as engines read the number of cores once."""
    rows = [document(f"t{n}.py", python_text(n)) for n in range(60)]
    dataset = make_dataset([*rows, document("h.py", python_text(99), "held_out")])
    script = (
        "import sys; from pathlib import Path\n"
        "from worker.context import Context; from worker.events import ListReporter\n"
        "from worker.specs import ArtifactRef, TrainTokenizer; from worker.tokenizer.train import run\n"
        "folder = Path(sys.argv[3]); folder.mkdir()\n"
        "spec = TrainTokenizer(ArtifactRef(sys.argv[1], sys.argv[2]), vocabulary_size=400)\n"
        "run(spec, Context(folder, ListReporter(), str(folder / 'storage')))\n"
    )
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-c", script, dataset.uri, dataset.sha256, str(tmp_path / "one-core")]
    subprocess.run(command, check=True, preexec_fn=lambda: os.sched_setaffinity(0, cores[:1]), capture_output=True)
    here = run(TrainTokenizer(dataset, vocabulary_size=400), make_context()).outputs["tokenizer"]
    assert hash_folder(tmp_path / "one-core" / "out" / "tokenizer") == hash_folder(here)
