"""The stage as a process: the same bytes on any number of cores, and nothing searched twice after a kill."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worker.contamination.conftest import write_dataset
from tests.worker.contamination.plants import COPIES, DECOYS
from worker.contamination import scan, stage
from worker.context import Stopped
from worker.manifest import Manifest
from worker.specs import FindContamination, to_dict

ROOT = Path(__file__).parents[3]
PARTS = 4


@pytest.fixture
def spec(tmp_path, suite):
    return FindContamination(suite, (write_dataset(tmp_path / "dataset", COPIES | DECOYS, PARTS),))


def run(spec: FindContamination, job: Path, cores: int = 1, until: int = -1) -> subprocess.CompletedProcess[str]:
    job.mkdir(exist_ok=True)
    (job / "spec.json").write_text(json.dumps(to_dict(spec)))
    allowed = sorted(os.sched_getaffinity(0))[:cores]
    return subprocess.run(
        [sys.executable, "-m", "tests.worker.contamination.interrupted", str(job), str(until)],
        cwd=ROOT,
        env={**os.environ, "YARD_ATTEMPT": "1"},
        preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        capture_output=True,
        text=True,
        check=False,
    )


def made(job: Path) -> dict[str, bytes]:
    manifest = Manifest.from_json((job / "manifest.json").read_text())
    folder = Path(manifest.outputs["contamination"].uri.removeprefix("file://"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def finished(job: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in job.glob("work/contamination/*/part-*.json")}


def test_one_core_and_two_write_the_same_bytes_and_a_killed_check_goes_on(spec, tmp_path):
    one, killed = tmp_path / "one", tmp_path / "killed"
    done = run(spec, one, cores=1)
    assert done.returncode == 0, done.stderr
    assert run(spec, killed, cores=1, until=2).returncode == -9
    kept = finished(killed)
    assert len(kept) == 2
    again = run(spec, killed, cores=2)
    assert again.returncode == 0, again.stderr
    assert {name: at for name, at in finished(killed).items() if name in kept} == kept
    assert made(killed) == made(one)
    assert set(made(one)) == {"matches.parquet", "summary.json"}


def test_parts_of_another_work_are_not_taken(spec, context):
    stage.run(spec, context)
    stricter = dataclasses.replace(spec, least_similarity=0.99)
    again = stage.run(stricter, dataclasses.replace(context, job_dir=_fresh(context)))
    assert not [row for row in again.summary["problems"].values() if row["kind"] == "partial"]


def _fresh(context):
    """The same work folder with an empty out."""
    for path in (context.job_dir / "out" / "contamination").iterdir():
        path.unlink()
    (context.job_dir / "out" / "contamination").rmdir()
    return context.job_dir


def test_asked_to_stop_it_keeps_what_is_done(spec, context):
    context.stop_file.touch()
    with pytest.raises(Stopped, match=f"0 of {PARTS} parts"):
        stage.run(spec, context)


def test_what_is_beyond_the_bound_is_counted_and_said(spec, context, monkeypatch):
    monkeypatch.setattr(scan, "MOST_COMPARED", 1)
    outcome = stage.run(spec, context)
    assert outcome.counts["not_compared"] > 0
    assert any("were left" in getattr(event, "text", "") for event in context.reporter.events)
