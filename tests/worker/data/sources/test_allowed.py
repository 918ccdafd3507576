"""The border between what a source may show and what it may not."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from worker.data.sources import open_source
from worker.failures import StageFailure
from worker.specs import SourceSpec


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """open/ may be shown; yard/ is the installation's own, but for its storage; shut/ is neither."""
    for name in ("open/code/a.py", "yard/secrets/key", "yard/storage/dataset/1/b.py", "shut/c.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "open" / "way-out").symlink_to(tmp_path / "shut")
    monkeypatch.setenv("SOURCE_KEPT_OUT", str(tmp_path / "yard"))
    monkeypatch.setenv("SOURCE_SHOWN", str(tmp_path / "yard" / "storage"))
    return tmp_path


def refused(location, kind="folder"):
    try:
        open_source(SourceSpec("s", str(location), kind=kind))
    except StageFailure as failure:
        return failure.code == "data:user:source-forbidden"
    return False


def test_the_installations_own_state_is_not_shown_but_its_datasets_are(disk):
    assert refused(disk / "yard") and refused(disk / "yard" / "secrets") and refused(disk / "open" / ".." / "yard")
    assert not refused(disk / "yard" / "storage" / "dataset" / "1") and not refused(disk / "shut")


def test_a_walk_that_starts_above_it_does_not_enter_it(disk):
    paths = {item.path for item in open_source(SourceSpec("s", str(disk))).list()}
    assert paths == {"open/code/a.py", "open/way-out", "shut/c.py"}


@pytest.mark.parametrize("kind", ["folder", "archive", "parquet", "huggingface", "delta", "git", "stackoverflow"])
def test_with_roots_a_source_lies_in_one_of_them_also_behind_links(disk, monkeypatch, kind):
    monkeypatch.setenv("SOURCE_ROOTS", f"{disk / 'open'},{disk / 'elsewhere'}")
    assert refused(disk / "shut", kind) and refused(disk / "open" / "way-out", kind) and refused("/", kind)
    assert refused(f"{disk}/open-and-shut", kind)
    assert not refused(disk / "open" / "code", kind)
    assert refused(f"{disk}/*/x.parquet", kind) and not refused(f"{disk}/open/*/x.parquet", kind)


def test_a_pattern_does_not_lead_out_through_a_link(disk, contents):
    for folder in ("open/code", "shut"):
        pq.write_table(pa.table({"content": [folder], "path": ["a.py"]}), disk / folder / "x.parquet")
    assert contents("parquet", f"{disk}/open/*/x.parquet").texts == {"a.py": "open/code"}
