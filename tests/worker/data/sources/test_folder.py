"""Which files a source has, and that nothing on a disk makes the walk fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker.data.sources import open_source, tabulate
from worker.failures import StageFailure
from worker.specs import SourceSpec


def listed(source, others=()):
    return {item.path: item.problem for item in open_source(source, others).list()}


def test_files_come_sorted_by_path_at_any_depth(make_source):
    source = make_source("s", {"b.py": "", "a/z.py": "", "a/b/c.py": "", "c.py": ""})
    table = tabulate("s", "MIT", open_source(source).list())
    assert table["path"].to_pylist() == ["a/b/c.py", "a/z.py", "b.py", "c.py"]


def test_version_control_and_byte_code_are_not_looked_at(make_source):
    assert listed(make_source("s", {".git/config": "", "__pycache__/a.pyc": "", "a.py": ""})) == {"a.py": None}


def test_excluded_names_and_paths_are_not_looked_at(make_source):
    files = {"test/a.py": "", "lib/test/b.py": "", "docs/x/c.py": "", "lib/docs/d.py": "", "e.pyi": ""}
    source = make_source("s", files, exclude=("test", "docs/*", "*.pyi"))
    assert listed(source) == {"lib/docs/d.py": None}


def test_symbolic_links_and_their_loops_are_reasons(make_source):
    source = make_source("s", {"a/a.py": ""})
    root = Path(source.location)
    (root / "a" / "up").symlink_to(root)
    (root / "itself.py").symlink_to("itself.py")
    (root / "passwd.py").symlink_to("/etc/passwd")
    assert listed(source) == {"a/a.py": None, "a/up": "symlink", "itself.py": "symlink", "passwd.py": "symlink"}


def test_a_pipe_is_not_opened(make_source):
    source = make_source("s", {"a.py": ""})
    os.mkfifo(Path(source.location) / "pipe.py")
    assert listed(source) == {"a.py": None, "pipe.py": "special-file"}


def test_a_name_that_is_not_utf8_is_shown_and_still_opens(make_source):
    source = make_source("s", {})
    with open(os.fsencode(source.location) + b"/caf\xe9.py", "wb") as file:
        file.write(b"x")
    (item,) = open_source(source).list()
    assert item.path == "caf\\xe9.py"
    assert open_source(source).read([item.locator], [1]) == [(b"x", None)]


def test_a_folder_that_is_another_source_belongs_to_that_one(make_source):
    outer = make_source("outer", {"a.py": "", "pkg/b.py": ""})
    inner = SourceSpec("inner", str(Path(outer.location) / "pkg"), held_out=True)
    assert listed(outer, [outer, inner]) == {"a.py": None}
    assert listed(inner, [outer, inner]) == {"b.py": None}


@pytest.mark.skipif(os.getuid() == 0, reason="root may list every folder")
def test_an_unreadable_folder_is_a_reason(make_source):
    source = make_source("s", {"locked/a.py": "", "b.py": ""})
    (Path(source.location) / "locked").chmod(0)
    assert listed(source) == {"b.py": None, "locked": "unreadable-folder"}


def test_a_missing_location_is_refused(tmp_path):
    with pytest.raises(StageFailure) as refused:
        list(open_source(SourceSpec("s", str(tmp_path / "nowhere"))).list())
    assert refused.value.code == "data:user:source-missing"
