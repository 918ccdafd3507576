"""build_shards: samples, their ledger, and what training must know about them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tokenizers import normalizers

from tests.worker.tokenizer.conftest import document, python_text
from worker.context import Stopped
from worker.events import ProgressMade
from worker.failures import StageFailure
from worker.manifest import hash_folder
from worker.shards.build import run
from worker.shards.packing import dtype_for
from worker.shards.units import unit_text
from worker.specs import ArtifactRef, BuildShards, TrainTokenizer
from worker.tokenizer import merges
from worker.tokenizer.engines import Encoded, Encoder
from worker.tokenizer.load import load
from worker.tokenizer.train import run as train_tokenizer

CLASS = "class Long:\n    x = 1\n\n" + "".join(
    f"    def m{i}(self):\n        '''é 日本 {i}'''\n        return {i}\n\n" for i in range(12)
)


def samples(folder: Path, split: str) -> np.ndarray:
    from streaming import LocalDataset

    return np.stack([sample["tokens"] for sample in LocalDataset(local=str(folder / split))])


def ledger(folder: Path, split: str) -> list[dict]:
    return pq.read_table(folder / split / "ledger.parquet").to_pylist()


def contents(dataset) -> dict[str, dict]:
    return {row["id"]: row for row in pq.read_table(Path(dataset.uri) / "data").to_pylist()}


@pytest.fixture
def rich(make_dataset):
    """Methods to dedent, other alphabets, another language, a special word, a file that does not parse."""
    train = [document(f"t{n}.py", python_text(n)) for n in range(60)]
    train += [document("long.py", CLASS), document("old.py", "print 'old'\n" * 9)]
    train += [document("m.c", 'char *s = "<|endoftext|>";\nint main(void) { return 0; }\n', language="C")]
    held = [document(f"h{n}.py", python_text(1000 + n), "held_out") for n in range(20)]
    other = [document(f"o{n}.py", python_text(2000 + n), "held_out_source") for n in range(20)]
    return make_dataset([*train, *held, *other], "rich")


@pytest.mark.parametrize("units", ["functions", "documents"])
def test_every_ledger_span_decodes_to_the_text_it_names(rich, tokenizer, make_context, units):
    folder = run(BuildShards(rich, tokenizer, 32, units), make_context()).outputs["shards"]
    rows, decoder = contents(rich), load(Path(tokenizer.uri))
    pieces = 0
    for split in ("train", "held_out", "held_out_source"):
        packed = samples(folder, split)
        for piece in ledger(folder, split):
            row = rows[piece["document"]]
            assert (row["split"], row["language"]) == (split, piece["language"])
            tokens = packed[piece["sample"]][piece["token_start"] : piece["token_end"]]
            text = unit_text(row["content"], piece["char_start"], piece["char_end"], piece["dedent"])
            decoded = decoder.decode(tokens.tolist())
            assert (tokens[-1] == 0) == piece["ends"] and not (tokens[:-1] == 0).any()
            if "\ufffd" in decoded:  # a character was cut: what is whole of it must still agree
                assert decoded.strip("\ufffd") in text
            else:
                assert decoded == text
            pieces += 1
    assert pieces > 100


def test_the_ledger_covers_every_token_once(rich, tokenizer, make_context):
    folder = run(BuildShards(rich, tokenizer, 32), make_context()).outputs["shards"]
    covered = np.zeros_like(samples(folder, "train"), dtype=int)
    for piece in ledger(folder, "train"):
        covered[piece["sample"], piece["token_start"] : piece["token_end"]] += 1
    assert (covered == 1).all()


def test_bytes_per_token_are_those_of_the_samples(rich, tokenizer, make_context):
    outcome = run(BuildShards(rich, tokenizer, 32), make_context())
    packed = samples(outcome.outputs["shards"], "held_out")
    text = load(Path(tokenizer.uri)).decode(packed.reshape(-1).tolist())
    meta = json.loads((outcome.outputs["shards"] / "meta.json").read_text())
    assert meta["bytes_per_token"]["held_out"] == pytest.approx(len(text.encode()) / packed.size, abs=1e-6)


def test_meta_names_the_tokenizer_and_the_shape(rich, tokenizer, make_context):
    outcome = run(BuildShards(rich, tokenizer, 32), make_context())
    meta = outcome.summary["meta"]
    assert meta["tokenizer_sha256"] == tokenizer.sha256
    assert (meta["sequence_length"], meta["vocabulary_size"], meta["dtype"]) == (32, 330, "uint16")
    assert meta["special_ids"] == {"end_of_text": 0, "fim_prefix": 1, "fim_middle": 2, "fim_suffix": 3, "fim_pad": 4}
    packed = samples(outcome.outputs["shards"], "train")
    assert packed.shape == (meta["n_samples"]["train"], 32) and packed.size == meta["n_tokens"]["train"]


def test_the_training_stage_reads_it(rich, tokenizer, make_context):
    from worker.training.data import ShardSet

    folder = run(BuildShards(rich, tokenizer, 32), make_context()).outputs["shards"]
    shards = ShardSet.open(folder, tokenizer.sha256)
    assert len(shards.train_samples()) > 0 and shards.bytes_per_token("held_out") > 1
    with pytest.raises(StageFailure) as refused:
        ShardSet.open(folder, "0" * 64)
    assert refused.value.code == "tokenizer:user:hash-mismatch"


def test_equal_units_are_packed_once_and_stay_held_out(make_dataset, tokenizer, make_context):
    shared = python_text(5)
    rows = [document(f"t{n}.py", f"x = {n}\n{shared}{python_text(n + 100)}") for n in range(30)]
    rows += [document(f"h{n}.py", f"y = {n}\n{shared}{python_text(n + 500)}", "held_out") for n in range(10)]
    outcome = run(BuildShards(make_dataset(rows, "copies"), tokenizer, 32), make_context())
    assert outcome.counts["duplicate_units"] == 39
    name = shared[4 : shared.index("(")]
    packed = {split: {p["unit"] for p in ledger(outcome.outputs["shards"], split)} for split in ("train", "held_out")}
    assert name in packed["held_out"] and name not in packed["train"]


def test_the_same_inputs_give_the_same_bytes_and_another_seed_another_order(rich, tokenizer, make_context):
    shas = [
        hash_folder(run(BuildShards(rich, tokenizer, 32, seed=seed), make_context(name)).outputs["shards"])[0]
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert shas[0] == shas[1] != shas[2]


def test_buckets_change_nothing_but_memory(rich, tokenizer, make_context, monkeypatch):
    from worker.shards import cutting

    whole = hash_folder(run(BuildShards(rich, tokenizer, 32), make_context("a")).outputs["shards"])[0]
    monkeypatch.setattr(cutting, "BUCKET_BYTES", 3_000)
    assert hash_folder(run(BuildShards(rich, tokenizer, 32), make_context("b")).outputs["shards"])[0] == whole


def test_a_token_limit_takes_the_first_samples_of_the_same_order(rich, tokenizer, make_context):
    all_of_it = samples(run(BuildShards(rich, tokenizer, 32), make_context("a")).outputs["shards"], "train")
    few = samples(run(BuildShards(rich, tokenizer, 32, max_tokens=320), make_context("b")).outputs["shards"], "train")
    assert few.shape == (10, 32)
    assert (few == all_of_it[:10]).all()


def test_after_a_stop_the_cut_units_are_kept(rich, tokenizer, make_context):
    context = make_context()
    plain = context.reporter.report

    def stop_after_cutting(event):
        plain(event)
        if isinstance(event, ProgressMade) and event.unit == "parts":
            context.stop_file.touch()

    context.reporter.report = stop_after_cutting
    with pytest.raises(Stopped):
        run(BuildShards(rich, tokenizer, 32), context)
    (kept,) = context.work.rglob("part-*.parquet")
    at = kept.stat().st_mtime_ns
    again = make_context()
    again.stop_file.unlink()
    import shutil

    shutil.rmtree(again.out)
    assert run(BuildShards(rich, tokenizer, 32), again).counts["samples"] > 0
    assert kept.stat().st_mtime_ns == at


def test_another_tokenizer_than_the_one_named_is_refused(rich, tokenizer, make_context):
    from dataclasses import replace

    with pytest.raises(StageFailure) as refused:
        run(BuildShards(rich, replace(tokenizer, sha256="0" * 64), 32), make_context())
    assert refused.value.code == "tokenizer:user:hash-mismatch"


def test_starts_are_where_the_ledgers_pieces_begin(rich, tokenizer, make_context):
    from streaming import LocalDataset

    outcome = run(BuildShards(rich, tokenizer, 32, boundaries=True), make_context())
    folder = outcome.outputs["shards"]
    recorded = [sample["starts"].tolist() for sample in LocalDataset(local=str(folder / "train"))]
    pieces: dict[int, list[int]] = {}
    for piece in ledger(folder, "train"):
        pieces.setdefault(piece["sample"], []).append(piece["token_start"])
    assert recorded == [pieces[sample] for sample in range(len(recorded))]
    assert all(starts[0] == 0 for starts in recorded)
    assert outcome.summary["meta"]["boundaries"] == "starts"


def test_boundaries_change_no_token(rich, tokenizer, make_context):
    plain = run(BuildShards(rich, tokenizer, 32), make_context("a")).outputs["shards"]
    bounded = run(BuildShards(rich, tokenizer, 32, boundaries=True), make_context("b")).outputs["shards"]
    assert (samples(plain, "train") == samples(bounded, "train")).all()


def with_mixture(dataset, **epochs):
    """The same dataset folder with a mixture in its statistics, as ingest writes them."""
    rows = {source: {"weight": 1, "tokens": 1, "share": 1, "epochs": value} for source, value in epochs.items()}
    (Path(dataset.uri) / "statistics.json").write_text(json.dumps({"mixture": rows}))
    return ArtifactRef(dataset.uri, hash_folder(Path(dataset.uri))[0])


def copies_of(folder: Path) -> dict[str, int]:
    """How many copies of each training document were packed."""
    found: dict[str, set[int]] = {}
    for piece in ledger(folder, "train"):
        found.setdefault(piece["document"], set()).add(piece["copy"])
    return {document: len(copies) for document, copies in found.items()}


def test_a_mixture_repeats_and_thins_whole_documents(make_dataset, tokenizer, make_context):
    more = [document(f"m{n}.py", python_text(n)) | {"source": "more"} for n in range(40)]
    less = [document(f"l{n}.py", python_text(100 + n)) | {"source": "less"} for n in range(40)]
    held = [document(f"h{n}.py", python_text(1000 + n), "held_out") for n in range(8)]
    dataset = with_mixture(make_dataset([*more, *less, *held], "mixed"), more=2.5, less=0.5)
    outcome = run(BuildShards(dataset, tokenizer, 32), make_context())
    counted = copies_of(outcome.outputs["shards"])
    first = {row["id"] for row in more}
    assert {counted[row] for row in first} == {2, 3}
    assert 10 < sum(row not in first for row in counted) < 30  # 20 of 40 are expected
    assert outcome.summary["meta"]["mixture"] == {"more": 2.5, "less": 0.5}
    assert {piece["copy"] for piece in ledger(outcome.outputs["shards"], "held_out")} == {0}


def test_copies_of_a_text_do_not_stand_side_by_side(make_dataset, tokenizer, make_context):
    rows = [document(f"m{n}.py", python_text(n)) for n in range(40)]
    held = [document(f"h{n}.py", python_text(1000 + n), "held_out") for n in range(8)]
    dataset = with_mixture(make_dataset([*rows, *held], "repeated"), s=3.0)
    folder = run(BuildShards(dataset, tokenizer, 32), make_context()).outputs["shards"]
    order = [piece["document"] for piece in ledger(folder, "train") if piece["ends"]]
    assert sum(left == right for left, right in pairwise(order)) < len(order) // 10


def test_no_copy_of_a_held_out_text_is_trained_on(make_dataset, tokenizer, make_context):
    shared = python_text(5)
    rows = [document(f"t{n}.py", f"x = {n}\n{shared}{python_text(n + 100)}") for n in range(20)]
    rows += [document(f"h{n}.py", f"y = {n}\n{shared}{python_text(n + 500)}", "held_out") for n in range(8)]
    dataset = with_mixture(make_dataset(rows, "leaking"), s=2.0)
    folder = run(BuildShards(dataset, tokenizer, 32), make_context()).outputs["shards"]
    name = shared[4 : shared.index("(")]
    assert name not in {piece["unit"] for piece in ledger(folder, "train")}


def test_one_core_and_two_give_the_same_bytes(rich, tokenizer, make_context, tmp_path):
    """In a process of its own, as engines read the number of cores once."""
    script = (
        "import sys; from pathlib import Path\n"
        "from worker.context import Context; from worker.events import ListReporter\n"
        "from worker.specs import ArtifactRef, BuildShards; from worker.shards.build import run\n"
        "folder = Path(sys.argv[5]); folder.mkdir()\n"
        "spec = BuildShards(ArtifactRef(*sys.argv[1:3]), ArtifactRef(*sys.argv[3:5]), 32)\n"
        "run(spec, Context(folder, ListReporter(), str(folder / 'storage')))\n"
    )
    inputs = [rich.uri, rich.sha256, tokenizer.uri, tokenizer.sha256]
    one_core = sorted(os.sched_getaffinity(0))[:1]
    subprocess.run(
        [sys.executable, "-c", script, *inputs, str(tmp_path / "one-core")],
        check=True,
        capture_output=True,
        preexec_fn=lambda: os.sched_setaffinity(0, one_core),
    )
    here = run(BuildShards(rich, tokenizer, 32), make_context()).outputs["shards"]
    assert hash_folder(tmp_path / "one-core" / "out" / "shards") == hash_folder(here)


def test_an_engine_that_reads_otherwise_is_refused(rich, tokenizer, make_context, monkeypatch):
    right = Encoder.encode

    def wrong(self, texts):
        found = right(self, texts)
        return Encoded(found.ids[::-1], found.lengths)

    monkeypatch.setattr(Encoder, "encode", wrong)
    with pytest.raises(StageFailure) as refused:
        run(BuildShards(rich, tokenizer, 32), make_context())
    assert refused.value.code == "tokenizer:app:engines-differ"


def test_an_imported_tokenizer_that_composes_characters_keeps_its_spans(make_dataset, make_context, tmp_path):
    """Its tokens are fewer bytes than the text has, so their lengths do not say where they stand."""
    texts = [python_text(n) for n in range(40)]
    theirs = merges.learn_by_reference(iter([*texts, "\u00e9 \u00e9"]), 330, ["<|endoftext|>"], "gpt2")
    theirs.normalizer = normalizers.NFC()
    (tmp_path / "theirs").mkdir()
    theirs.save(str(tmp_path / "theirs" / "tokenizer.json"))
    rows = [document(f"t{n}.py", f"s = 'cafe\u0301 {n}'\n{text}") for n, text in enumerate(texts)]
    rows += [document(f"h{n}.py", python_text(900 + n), "held_out") for n in range(8)]
    dataset = make_dataset(rows, "decomposed")
    spec = TrainTokenizer(dataset, import_from=str(tmp_path / "theirs"))
    made = train_tokenizer(spec, make_context("import")).outputs["tokenizer"]
    ref = ArtifactRef(str(made), hash_folder(made)[0])
    folder = run(BuildShards(dataset, ref, 32, "documents"), make_context()).outputs["shards"]
    documents, packed, decoder = contents(dataset), samples(folder, "train"), load(made)
    end = decoder.token_to_id("<|endoftext|>")
    for piece in ledger(folder, "train"):
        tokens = packed[piece["sample"]][piece["token_start"] : piece["token_end"]]
        text = documents[piece["document"]]["content"][piece["char_start"] : piece["char_end"]]
        decoded = decoder.decode([n for n in tokens.tolist() if n != end])
        # Where a character is cut between samples, what is whole of the piece must still agree.
        assert decoded.strip("\ufffd") in unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"sequence_length": 1_000_000}, "shards:user:no-samples"),
        ({"sequence_length": 2}, "shards:user:bad-request"),
        ({"units": "words"}, "shards:user:bad-request"),
    ],
)
def test_what_cannot_be_built_is_refused(rich, tokenizer, make_context, options, code):
    with pytest.raises(StageFailure) as refused:
        run(BuildShards(rich, tokenizer, **options), make_context())
    assert refused.value.code == code


def test_without_a_held_out_sample_it_is_refused(make_dataset, tokenizer, make_context):
    rows = [document(f"t{n}.py", python_text(n)) for n in range(30)]
    with pytest.raises(StageFailure) as refused:
        run(BuildShards(make_dataset(rows, "train-only"), tokenizer, 32), make_context())
    assert refused.value.code == "data:user:no-held-out"


@pytest.mark.parametrize(("vocabulary", "dtype"), [(4096, "uint16"), (65_536, "uint16"), (65_537, "uint32")])
def test_ids_take_the_smallest_type_that_holds_them(vocabulary, dtype):
    assert dtype_for(vocabulary) == dtype


def test_a_tokenizer_that_came_with_a_model_and_lacks_roles_is_refused(dataset, tokenizer, make_context):
    folder = Path(tokenizer.uri)
    (folder / "roles.json").write_text(json.dumps({"end_of_text": "<|endoftext|>"}))
    with pytest.raises(StageFailure, match="no token for fim_prefix, fim_middle, fim_suffix, fim_pad"):
        run(BuildShards(dataset, ArtifactRef(str(folder), hash_folder(folder)[0])), make_context())
