"""Cleaned shards that earlier ingests kept: those that none uses any more are removed, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import fsspec
import pytest

from tests.worker.data.conftest import functions, make_recipe
from worker.context import Context
from worker.data import ingest
from worker.data.kept import FOLDER, VARIABLE, Kept
from worker.events import ListReporter
from worker.specs import IngestDataset


@pytest.fixture
def kept(tmp_path):
    return Kept(str(tmp_path / "storage"))


@pytest.fixture
def keep(kept, tmp_path):
    """keep("key", days_ago) -> the files that were kept under a key, and last used so long ago."""

    def make(key, days_ago=0.0):
        folder = tmp_path / "job" / key
        folder.mkdir(parents=True)
        files = [folder / f"{key}.{name}" for name in ("documents", "json")]
        for file in files:
            file.write_bytes(b"x" * 10)
        kept.keep(key, files)
        then = time.time() - days_ago * 86_400
        for file in (tmp_path / "storage" / FOLDER / key).iterdir():
            os.utime(file, (then, then))
        return files

    return make


def keys(tmp_path):
    return sorted(path.name for path in (tmp_path / "storage" / FOLDER).iterdir())


def test_what_no_ingest_used_for_so_long_goes(kept, keep, tmp_path):
    for key, days in (("old", 31), ("recent", 29), ("new", 0)):
        keep(key, days)
    (tmp_path / "storage" / "dataset").mkdir()
    assert kept.evict(30) == (1, 20)
    assert keys(tmp_path) == ["new", "recent"]
    assert kept.evict(30) == (0, 0)
    assert (tmp_path / "storage" / "dataset").is_dir()


def test_a_use_counts_from_then_on(kept, keep, tmp_path):
    files = keep("used", 31)
    for file in files:
        file.unlink()
    assert kept.fetch("used", files)
    assert kept.evict(30) == (0, 0)
    assert [file.read_bytes() for file in files] == [b"x" * 10] * 2


def test_one_that_goes_while_it_is_fetched_is_cleaned_anew(kept, keep, tmp_path):
    files = keep("going")
    for file in files:
        file.unlink()
    (tmp_path / "storage" / FOLDER / "going" / "going.documents").unlink()
    assert not kept.fetch("going", files)
    assert not files[-1].exists()


def test_a_shard_that_was_never_finished_goes_as_well(kept, keep, tmp_path):
    (_, report) = keep("half", 31)
    (tmp_path / "storage" / FOLDER / "half" / report.name).unlink()
    assert kept.evict(30) == (1, 10)


def test_without_any_there_is_nothing_to_do(kept):
    assert kept.evict(30) == (0, 0)


def test_an_object_store_is_asked_for_the_day_it_was_made():
    store = fsspec.filesystem("memory")
    store.pipe(f"/kept-test/{FOLDER}/key/key.json", b"12345")
    kept = Kept("memory://kept-test")
    assert kept.evict(1) == (0, 0)
    assert kept.evict(-1) == (1, 5)
    assert not store.exists(f"/kept-test/{FOLDER}/key")


def test_an_ingest_removes_what_none_uses_and_keeps_its_own(make_source, keep, tmp_path, monkeypatch):
    keep("old", 8)
    monkeypatch.setenv(VARIABLE, "7")
    (tmp_path / "a-job").mkdir()
    reporter = ListReporter()
    context = Context(tmp_path / "a-job", reporter, str(tmp_path / "storage"))
    ingest.run(IngestDataset((make_source("s", functions(20)),), make_recipe()), context)
    assert "old" not in keys(tmp_path) and len(keys(tmp_path)) == 1
    assert any("removed 1 kept shards, 20 bytes" in str(event) for event in reporter.events)


def test_the_command_says_what_it_removed(keep, tmp_path):
    keep("old", 3)
    command = [sys.executable, "-m", "worker.data.kept", str(tmp_path / "storage"), "2"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1 shards, 20 bytes removed\n"
