"""Sources of several kinds in one ingest: their rows meet in one dataset, and its bytes depend on nothing else."""

from __future__ import annotations

import io
import json
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.worker.data.conftest import functions
from worker.context import Context
from worker.data import ingest
from worker.events import ListReporter
from worker.manifest import hash_folder
from worker.specs import IngestDataset, IngestRecipe, SourceSpec, StepSpec

STEPS = ("language", "encoding", "exact_deduplication")


@pytest.fixture
def sources(tmp_path):
    """make(folder) -> a folder, an archive, a table and packed lines, below `folder`."""

    def make(folder):
        root = tmp_path / folder
        (root / "code").mkdir(parents=True)
        for path, text in functions(4, "folder").items():
            (root / "code" / path).write_text(text)
        with tarfile.open(root / "pkg-1.tgz", "w:gz") as out:
            for path, text in functions(4, "archive").items():
                info = tarfile.TarInfo(path)
                info.size = len(text)
                out.addfile(info, io.BytesIO(text.encode()))
        rows = list(functions(4, "table").values())
        licences = [["MIT"], ["MIT", "Apache-2.0"], [], None]
        columns = {"content": rows, "lang": ["Python"] * 4, "max_stars_repo_path": [f"{i}.txt" for i in range(4)]}
        columns |= {"max_stars_repo_name": ["ada/tool"] * 4, "max_stars_repo_licenses": licences}
        columns |= {"author": ["Ada <ada@x.example>", "Grace", None, "Grace; Ada"]}
        pq.write_table(pa.table(columns), root / "stack.parquet")
        lines = [*functions(4, "lines").items(), ("copy.py", rows[0])]
        text = "".join(json.dumps({"text": text, "path": path}) + "\n" for path, text in lines)
        with pa.CompressedOutputStream(str(root / "lines.jsonl.zst"), "zstd") as out:
            out.write(text.encode() + b"not JSON\n")
        return (
            SourceSpec("code", str(root / "code"), license="BSD-2-Clause"),
            SourceSpec("package", str(root / "pkg-1.tgz"), kind="archive"),
            SourceSpec("stack", str(root / "stack.parquet"), kind="parquet", license="ISC"),
            SourceSpec("lines", str(root / "lines.jsonl.zst"), kind="jsonl", held_out=True),
        )

    return make


def run(job, sources, *first):
    job.mkdir()
    recipe = IngestRecipe(steps=(*first, *map(StepSpec, STEPS)), held_out_share=0.2)
    return ingest.run(IngestDataset(sources, recipe), Context(job, ListReporter(), str(job / "storage")))


def test_rows_of_all_kinds_become_documents_with_what_their_source_says(sources, tmp_path):
    outcome = run(tmp_path / "job", sources("here"))
    folder = outcome.outputs["dataset"]
    rows = {row["path"]: row for row in pq.read_table(folder / "data").to_pylist()}
    assert len(rows) == 16
    by_path = {path: (row["source"], row["language"], row["license"], row["split"]) for path, row in rows.items()}
    assert by_path["folder000.py"][:3] == ("code", "Python", "BSD-2-Clause")
    assert by_path["pkg-1.tgz/archive000.py"][:3] == ("package", "Python", "unknown")
    # A table's own language goes before the file's name, and a row's licence before the source's.
    assert by_path["ada/tool/1.txt"][:3] == ("stack", "Python", "Apache-2.0 AND MIT")
    assert by_path["ada/tool/2.txt"][2] == "ISC"
    assert by_path["copy.py"] == ("lines", "Python", "unknown", "held_out_source")
    gone = {row["path"]: row["reason"] for row in pq.read_table(folder / "dropped.parquet").to_pylist()}
    assert gone == {"lines/00000005.txt": "corrupt-row", "ada/tool/0.txt": "duplicate"}
    assert {name: read["files"] for name, read in outcome.summary["read"].items()} == {
        "code": 4,
        "package": 4,
        "stack": 4,
        "lines": 5,
    }


def test_where_they_lie_does_not_change_the_bytes(sources, tmp_path):
    made = [run(tmp_path / f"job-{name}", sources(name)).outputs["dataset"] for name in ("here", "there")]
    assert hash_folder(made[0])[0] == hash_folder(made[1])[0]


def test_rows_carry_their_repository_and_author_and_are_left_out_by_them(sources, tmp_path):
    given = sources("here")
    folder = run(tmp_path / "all", given).outputs["dataset"]
    rows = pq.read_table(folder / "data").to_pylist()
    known = {row["path"]: (row["repository"], row["author"]) for row in rows}
    assert known["ada/tool/1.txt"] == ("ada/tool", "Grace")
    assert known["pkg-1.tgz/archive000.py"] == ("pkg-1", "")
    assert known["folder000.py"] == ("", "")
    (gone,) = [r for r in pq.read_table(folder / "dropped.parquet").to_pylist() if r["reason"] == "duplicate"]
    assert (gone["repository"], gone["author"]) == ("ada/tool", "Ada <ada@x.example>")

    step = StepSpec("opt_out", {"authors": ["GRACE"]})
    folder = run(tmp_path / "less", given, step).outputs["dataset"]
    left = {row["path"] for row in pq.read_table(folder / "data").to_pylist()}
    assert left == set(known) - {"ada/tool/1.txt", "ada/tool/3.txt"}
    dropped = pq.read_table(folder / "dropped.parquet").to_pylist()
    rules = {row["path"]: row["detail"] for row in dropped if row["reason"] == "opted-out"}
    assert rules == dict.fromkeys(("ada/tool/1.txt", "ada/tool/3.txt"), "author: grace")
