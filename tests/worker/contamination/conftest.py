"""A dataset on disk from texts, and a check of it in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest

from tests.worker.contamination.plants import PROBLEMS
from worker.context import Context
from worker.data.documents import DOCUMENT, content_sha, document_id, write_parquet
from worker.events import ListReporter
from worker.manifest import hash_folder
from worker.specs import ArtifactRef, FindContamination, SuiteRef

EMPTY = {
    pa.string(): "",
    pa.int64(): 0,
}


def row(path: str, language: str, content: str, split: str = "train") -> dict:
    known = {
        "id": document_id("planted", path, content.encode()),
        "source": "planted",
        "path": path,
        "language": language,
        "license": "MIT",
        "split": split,
        "size_bytes": len(content.encode()),
        "content_sha": content_sha(content.encode()),
        "content": content,
    }
    return {field.name: known.get(field.name, EMPTY.get(field.type)) for field in DOCUMENT}


def write_dataset(folder: Path, texts: Mapping[str, tuple[str, str]], n_parts: int = 1, **more: str) -> ArtifactRef:
    """texts: {path: (language, content)}; more: split=..."""
    rows = sorted((row(path, *text, **more) for path, text in texts.items()), key=lambda one: one["id"])
    (folder / "data").mkdir(parents=True)
    for number in range(n_parts):
        table = pa.Table.from_pylist(rows[number::n_parts], DOCUMENT)
        write_parquet(table, folder / "data" / f"part-{number:05d}.parquet")
    return ArtifactRef(str(folder), hash_folder(folder)[0])


def write_suite(path: Path, problems=PROBLEMS) -> SuiteRef:
    path.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    return SuiteRef("planted", str(path))


@pytest.fixture
def context(tmp_path):
    (tmp_path / "job").mkdir()
    return Context(tmp_path / "job", ListReporter(), str(tmp_path / "storage"))


@pytest.fixture
def suite(tmp_path):
    return write_suite(tmp_path / "planted.jsonl")


@pytest.fixture
def check(tmp_path, context, suite):
    """check({path: (language, content)}, n_gram=...) -> (rows by path, outcome)."""
    from worker.contamination import stage

    def run(texts: Mapping[str, tuple[str, str]], split: str = "train", **asked):
        dataset = write_dataset(tmp_path / "dataset", texts, split=split)
        outcome = stage.run(FindContamination(suite, (dataset,), **asked), context)
        return rows_of(outcome.outputs["contamination"]), outcome

    return run


def rows_of(folder: Path) -> list[dict]:
    import pyarrow.parquet as pq

    return pq.read_table(folder / "matches.parquet").to_pylist()
