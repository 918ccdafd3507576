"""Ends that a machine sets: a kill at any point, memory, disk. Each is resumed or told as what it is."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from tests.worker.data.conftest import functions, make_recipe, write
from worker import specs
from worker.context import Context
from worker.data import buckets, ingest, limits
from worker.events import ListReporter
from worker.failures import StageFailure
from worker.specs import IngestDataset, SourceSpec

ROOT = Path(__file__).parents[3]


def start(job: Path, spec: IngestDataset, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    job.mkdir(exist_ok=True)
    (job / "spec.json").write_text(json.dumps(specs.to_dict(spec)))
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True
    )


def sha_of(job: Path) -> str:
    return json.loads((job / "manifest.json").read_text())["outputs"]["dataset"]["sha256"]


@pytest.mark.slow
def test_killed_at_any_point_it_goes_on_from_the_last_finished_piece_and_ends_in_the_same_bytes(make_source, tmp_path):
    spec = IngestDataset((make_source("s", functions(120)),), make_recipe(held_out_share=0.1))
    run = ["-m", "tests.worker.data.interrupted"]
    whole = start(tmp_path / "whole", spec, *run, str(tmp_path / "whole"), "")
    assert whole.returncode == 0, whole.stderr
    job, finished = tmp_path / "job", {}
    for attempt, where in enumerate(("shard:2", "decide", "part:2", "assemble"), start=1):
        done = start(job, spec, *run, str(job), where, YARD_ATTEMPT=str(attempt))
        assert done.returncode == -9, (where, done.stdout, done.stderr)
        assert all(path.stat().st_mtime_ns == at for path, at in finished.items()), where
        finished = {path: path.stat().st_mtime_ns for path in job.glob("work/**/*.json")}
    assert sum("parts" in path.parts for path in finished) > 2
    last = start(job, spec, *run, str(job), "", YARD_ATTEMPT="5")
    assert last.returncode == 0, last.stderr
    assert all(path.stat().st_mtime_ns == at for path, at in finished.items())
    assert sha_of(job) == sha_of(tmp_path / "whole")


def test_more_memory_than_allowed_ends_the_stage_with_a_code_that_says_so(make_source, tmp_path):
    spec = IngestDataset((make_source("s", functions(3)),), make_recipe())
    job = tmp_path / "job"
    done = start(job, spec, "-m", "worker", "ingest_dataset", str(job), YARD_STAGE_MEMORY_MB="64")
    assert done.returncode == 3, done.stderr
    last = json.loads((job / "events.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["code"]) == ("stage.failed", "stage:app:out-of-memory")
    assert "may have 64 MB" in last["message"]


def test_a_full_disk_and_a_failed_allocation_have_their_codes_and_the_next_attempt_goes_on(
    make_source, tmp_path, monkeypatch
):
    spec = IngestDataset((make_source("s", functions(3)),), make_recipe())
    (tmp_path / "job").mkdir()
    context = Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"))
    real = buckets.write

    for error, code in (
        (OSError(errno.ENOSPC, "No space left on device"), "stage:app:disk-full"),
        (MemoryError(), "stage:app:out-of-memory"),
    ):
        monkeypatch.setattr(buckets, "write", mock.Mock(side_effect=error))
        with pytest.raises(StageFailure) as refused:
            ingest.run(spec, context)
        assert refused.value.code == code
    monkeypatch.setattr(buckets, "write", real)
    assert ingest.run(spec, context).counts["documents"] == 3


def test_a_line_of_half_a_gigabyte_is_never_read(make_source, tmp_path):
    source = make_source("s", functions(3))
    with (Path(source.location) / "huge.py").open("wb") as file:
        file.truncate(500_000_000)
    (tmp_path / "job").mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_inblock
    context = Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"))
    outcome = ingest.run(IngestDataset((source,), make_recipe()), context)
    assert outcome.summary["reasons"]["too-large"]["rows"] == 1
    assert outcome.counts["documents"] == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_inblock - before < 400_000  # blocks of 512 bytes


def test_the_memory_cap_comes_from_the_environment_or_the_machine(monkeypatch):
    monkeypatch.setenv(limits.MEMORY_VARIABLE, "900")
    assert limits.memory_cap() == 900_000_000
    monkeypatch.delenv(limits.MEMORY_VARIABLE)
    assert limits.memory_cap() > 100_000_000


WORDS = [f"{a}{b}" for a in ("load", "save", "parse", "find", "make") for b in ("row", "page", "node", "task", "user")]


def _corpus(folder: Path, n_files: int) -> None:
    chance = random.Random(7)
    for number in range(n_files):
        lines = [f"{chance.choice(WORDS)} = {chance.choice(WORDS)}({chance.choice(WORDS)}, {n})" for n in range(400)]
        write(folder / f"{number % 50}" / f"f{number}.py", "\n".join(lines) + "\n")


@pytest.mark.slow
def test_memory_does_not_grow_with_the_data(tmp_path):
    """Shards and parts of half a megabyte in place of 16 and 32 MB, so that few files are many shards."""
    peaks = []
    for name, n_files in (("small", 250), ("large", 1000)):
        _corpus(tmp_path / name, n_files)
        spec = IngestDataset((SourceSpec("s", str(tmp_path / name)),), make_recipe(without=("parse",)))
        code = (
            "import pathlib, sys; from worker.data import shard, parts; from worker.__main__ import main;"
            "shard.SHARD_BYTES = parts.PART_BYTES = 500_000; code = main(['ingest_dataset', sys.argv[1]]);"
            # Not getrusage: what it tells of a child is at least what its parent, the tests, had when it was started.
            "said = pathlib.Path('/proc/self/status').read_text();"
            "print(said.partition('VmHWM:')[2].split()[0]); sys.exit(code)"
        )
        job = tmp_path / f"{name}-job"
        done = start(job, spec, "-c", code, str(job))
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) * 1024)
    assert peaks[1] < 1_000_000_000
    assert peaks[1] < 1.15 * peaks[0]
