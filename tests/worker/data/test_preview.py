"""What the add-a-source page is told of a source before it is saved."""

from __future__ import annotations

import json

import pytest

from tests.worker.data.conftest import functions
from worker import __main__ as worker_main
from worker import specs
from worker.data import ingest, preview
from worker.failures import StageFailure
from worker.specs import IngestDataset, SourceSpec


def previewed(context, spec, rows=5):
    outcome = ingest.run(IngestDataset((spec,), preview_rows=rows), context)
    assert not outcome.outputs and not outcome.complete
    return json.loads(json.dumps(outcome.summary))


def test_the_first_rows_are_shown_with_what_is_wrong_with_them(make_source, context, tmp_path):
    source = make_source("s", {"a.py": "x = 1\n" * 50})
    (tmp_path / "sources" / "s" / "b.py").symlink_to("/etc/passwd")
    told = previewed(context, source)
    rows = {row["path"]: row for row in told["rows"]}
    assert (rows["a.py"]["size_bytes"], rows["a.py"]["excerpt"]) == (300, "\n".join(["x = 1"] * 12))
    assert (rows["b.py"]["problem"], rows["b.py"]["excerpt"]) == ("symlink", None)
    assert (told["table"], told["is_whole"]) == (None, True)
    assert not previewed(context, make_source("t", functions(9)))["is_whole"]


def test_a_tables_columns_and_mapping_are_shown(context, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"code": "x", "path": "a.py", "stars": 3}\n')
    told = previewed(context, SourceSpec("s", str(tmp_path / "x.jsonl"), kind="jsonl"))
    assert told["table"]["columns"] == [["code", "string"], ["path", "string"], ["stars", "integer"]]
    assert told["table"]["mapping"] == {"content": "code", "path": "path"}


def test_a_column_that_is_not_there_leaves_the_columns_to_choose_from(context, tmp_path):
    (tmp_path / "x.jsonl").write_text('{"src": "x"}\n')
    told = previewed(context, SourceSpec("s", str(tmp_path / "x.jsonl"), kind="jsonl"))
    assert told["table"]["columns"] == [["src", "string"]]
    assert "no column content" in told["table"]["problem"] and not told["rows"]


def test_a_secret_is_not_shown(make_source, context):
    key = "ghp_" + "aB3" * 12
    told = previewed(context, make_source("s", {"a.py": f"token = '{key}'\n"}))
    assert key not in json.dumps(told) and "token" in told["rows"][0]["excerpt"]


def test_a_source_that_does_not_answer_is_given_up(make_source, context, monkeypatch):
    import time

    monkeypatch.setattr(preview, "SECONDS", 1)
    monkeypatch.setattr(preview, "_rows", lambda *_: time.sleep(60))
    with pytest.raises(StageFailure) as refused:
        previewed(context, make_source("s", functions(1)))
    assert refused.value.code == "data:user:preview-too-long"


def ingested(job, spec, monkeypatch, storage):
    monkeypatch.setenv("STORAGE_URL", str(storage))
    job.mkdir()
    (job / "spec.json").write_text(json.dumps(specs.to_dict(spec)))
    monkeypatch.setattr(worker_main, "_leave_with_parent", lambda: None)
    assert worker_main.main(["ingest_dataset", str(job)]) == 0
    return "work.reused" in (job / "events.jsonl").read_text()


def test_an_unchanged_source_is_not_read_again_and_a_changed_one_is(make_source, recipe, tmp_path, monkeypatch):
    spec = IngestDataset((make_source("s", functions(6)),), recipe)
    first, second = (ingested(tmp_path / name, spec, monkeypatch, tmp_path / "store") for name in ("a", "b"))
    make_source("s", {"new.py": "def new():\n    return 1\n"})
    third = ingested(tmp_path / "c", spec, monkeypatch, tmp_path / "store")
    assert (first, second, third) == (False, True, False)


def test_a_preview_is_made_anew_each_time(make_source, tmp_path, monkeypatch):
    spec = IngestDataset((make_source("s", functions(2)),), preview_rows=3)
    made = [ingested(tmp_path / name, spec, monkeypatch, tmp_path / "store") for name in ("a", "b")]
    assert made == [False, False]
