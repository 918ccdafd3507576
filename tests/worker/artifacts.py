"""A tiny dataset, two tokenizers, shards and a run's batches, made by the real stages, for tests of the pages that read
them: the control plane has neither torch nor the MDS writer.

    .venv/worker/bin/python -m tests.worker.artifacts        makes tests/artifacts anew

test_artifacts.py fails when what the stages write is no longer what is there.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa

from tests.worker.tokenizer.conftest import document, python_text
from worker.context import Context, Outcome
from worker.data.documents import CLUSTERS, DOCUMENT, DROPPED, MEASURES, write_parquet
from worker.events import ListReporter
from worker.manifest import hash_folder
from worker.shards import build
from worker.specs import ArtifactRef, BuildShards, TrainTokenizer
from worker.tokenizer import train
from worker.training import ledger
from worker.training.data import sample_ids_for_step

FOLDER = Path(__file__).resolve().parent.parent / "artifacts"
STEPS, BATCH_SIZE, SEED = 12, 4, 17
# Letters of four bytes and of two, a special word, a line's end of another kind: what pages must show rightly.
AWKWARD = "TITLE = 'naïve 日本語 \U0001f600'\nEND = '<|endoftext|>'\n\n\ndef total_of(items):\n\treturn sum(items)\n"


def make(folder: Path) -> None:
    """Write everything under `folder`, which must not exist."""
    rows = [document(f"pkg/module_{n}.py", python_text(n)) for n in range(30)]
    rows += [document(f"pkg/held_{n}.py", python_text(1000 + n), "held_out") for n in range(6)]
    rows += [
        document("pkg/awkward.py", AWKWARD),
        document("src/main.c", "int main(void) { return 0; }\n", language="C"),
    ]
    (folder / "dataset" / "data").mkdir(parents=True)
    table = pa.Table.from_pylist(rows, DOCUMENT).sort_by("id")
    write_parquet(table, folder / "dataset" / "data" / "part-00000.parquet")
    for name, schema in (("dropped", DROPPED), ("clusters", CLUSTERS), ("measures", MEASURES)):
        write_parquet(schema.empty_table(), folder / "dataset" / f"{name}.parquet")
    dataset = _ref(folder / "dataset")
    made = {
        "tokenizer": _run(train.run, TrainTokenizer(dataset, 340, reserved_tokens=2), folder),
        "digits": _run(
            train.run, TrainTokenizer(dataset, 330, reserved_tokens=0, pre_tokenizer="qwen2"), folder, "digits"
        ),
    }
    spec = BuildShards(dataset, _ref(folder / "tokenizer"), 64, "documents", boundaries=True)
    made["shards"] = _run(build.run, spec, folder)
    _write_batches(made["shards"].summary["meta"]["n_samples"]["train"], folder / "batches")
    accounts = {name: {"counts": dict(o.counts), "summary": dict(o.summary)} for name, o in made.items()}
    (folder / "accounts.json").write_text(json.dumps(accounts, indent=1, sort_keys=True) + "\n")


def _run(stage, spec, folder: Path, name: str = "") -> Outcome:
    with tempfile.TemporaryDirectory() as job:
        outcome = stage(spec, Context(Path(job), ListReporter(), f"{job}/storage"))
        for noun, made in outcome.outputs.items():
            shutil.move(made, folder / (name or noun))
    return outcome


def _ref(folder: Path) -> ArtifactRef:
    return ArtifactRef(str(folder), hash_folder(folder)[0])


def _write_batches(n_samples: int, folder: Path) -> None:
    """As a run of STEPS steps would; the losses are made up, and highest for the last sample of each batch."""
    with tempfile.TemporaryDirectory() as chunks:
        rows = [
            {
                "step": step,
                "sample_ids": sample_ids_for_step(SEED, n_samples, BATCH_SIZE, step),
                "losses": [step + place / 8 for place in range(BATCH_SIZE)],
            }
            for step in range(1, STEPS + 1)
        ]
        ledger.write_chunk(Path(chunks), rows)
        ledger.merge(Path(chunks), folder / "batches.parquet")


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    make(FOLDER)
