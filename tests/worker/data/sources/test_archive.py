"""Packages and other archives: what is in them, and that nothing hostile or damaged in them costs more than itself."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from worker.data.sources import archive, open_source
from worker.specs import SourceSpec


def tar(path, members, mode="w:gz"):
    """members: name -> content, or a TarInfo that is added as it is."""
    with tarfile.open(path, mode) as out:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                info.size = len(content)
            out.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a-1.0.tar.gz", "w:gz"),
        ("a-1.0.crate", "w:gz"),
        ("a-1.0.tgz", "w:gz"),
        ("a.tar", "w"),
        ("a.tar.bz2", "w:bz2"),
        ("a.tar.xz", "w:xz"),
    ],
)
def test_members_of_every_kind_of_tar_are_read(contents, tmp_path, name, mode):
    found = contents("archive", tar(tmp_path / name, {"pkg/a.py": b"x = 1\n", "pkg/b/c.rs": b"fn main() {}"}, mode))
    assert found.texts == {f"{name}/pkg/a.py": "x = 1\n", f"{name}/pkg/b/c.rs": "fn main() {}"}
    assert found.rows[f"{name}/pkg/a.py"]["repository"] == name.removesuffix(".gz").removesuffix(".tar").removesuffix(
        ".bz2"
    ).removesuffix(".xz").removesuffix(".tar").removesuffix(".crate").removesuffix(".tgz")


def test_a_zip_is_told_by_its_bytes_and_read_in_place(contents, tmp_path):
    with zipfile.ZipFile(tmp_path / "a-1.0-py3.whl", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/__init__.py", "x = 1\n")
        out.writestr("a/empty/", "")
    assert contents("archive", tmp_path).texts == {"a-1.0-py3.whl/a/__init__.py": "x = 1\n"}
    assert not (tmp_path / "scratch").exists()


def test_links_pipes_and_paths_that_climb_out_are_reasons(contents, tmp_path):
    pipe = tarfile.TarInfo("pipe.py")
    pipe.type = tarfile.FIFOTYPE
    members = {
        "ok.py": b"1",
        "../../up.py": b"2",
        "/etc/abs.py": b"3",
        "l": link("link.py", "/etc/passwd"),
        "h": link("hard.py", "ok.py", tarfile.LNKTYPE),
        "p": pipe,
        "inner.tar.gz": b"4",
    }
    found = contents("archive", tar(tmp_path / "x.tgz", members))
    assert found.texts == {"x.tgz/ok.py": "1"}
    assert found.problems == {
        "x.tgz/../../up.py": "unsafe-path",
        "x.tgz//etc/abs.py": "unsafe-path",
        "x.tgz/link.py": "symlink",
        "x.tgz/hard.py": "symlink",
        "x.tgz/pipe.py": "special-file",
        "x.tgz/inner.tar.gz": "nested-archive",
    }


def test_version_control_and_what_is_excluded_are_not_looked_at(contents, tmp_path):
    tar(tmp_path / "x.tgz", {"p/.git/config": b"1", "p/tests/a.py": b"2", "p/b.py": b"3"})
    assert contents("archive", tmp_path / "x.tgz", exclude=("tests",)).texts == {"x.tgz/p/b.py": "3"}


def test_a_tar_that_breaks_off_gives_what_came_before(contents, tmp_path):
    text = bytes(range(256)) * 4000
    whole = tar(tmp_path / "x.tar.gz", {"a.py": b"first", "b.py": text}).read_bytes()
    (tmp_path / "x.tar.gz").write_bytes(whole[: len(whole) - 900])
    tar(tmp_path / "y.tar.gz", {"c.py": b"other"})
    found = contents("archive", tmp_path / "*.tar.gz")
    assert found.texts == {"x.tar.gz/a.py": "first", "y.tar.gz/c.py": "other"}
    assert found.problems == {"x.tar.gz": "corrupt-archive"}


def test_a_damaged_header_is_not_taken_for_the_end(contents, tmp_path):
    path = tar(tmp_path / "x.tar", {"a.py": b"first", "b.py": b"second"}, "w")
    raw = bytearray(path.read_bytes())
    raw[1024:1100] = b"#" * 76
    path.write_bytes(raw)
    found = contents("archive", path)
    assert (found.texts, found.problems) == ({"x.tar/a.py": "first"}, {"x.tar": "corrupt-archive"})


def test_a_corrupt_member_of_a_zip_is_lost_alone(contents, tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("a.py", "aaaaaaaa")
        out.writestr("b.py", "bbbbbbbb")
    path.write_bytes(path.read_bytes().replace(b"aaaaaaaa", b"aaaaXaaa"))
    found = contents("archive", path)
    assert found.texts["x.zip/b.py"] == "bbbbbbbb"
    assert "CRC" in found.texts["x.zip/a.py"]


def test_what_is_no_archive_at_all_is_a_reason(contents, tmp_path):
    (tmp_path / "x.tgz").write_bytes(b"not packed")
    (tmp_path / "y.zip").write_bytes(b"PK\x03\x04 and nothing")
    assert contents("archive", tmp_path).problems == {"x.tgz": "corrupt-archive", "y.zip": "corrupt-archive"}


def test_bombs_are_stopped_by_ratio_and_by_total(contents, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "FREE_BYTES", 100_000)
    zeros = b"\0" * 3_000_000
    tar(tmp_path / "x.tgz", {"a.py": b"first", "zeros.py": zeros})
    with zipfile.ZipFile(tmp_path / "y.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("b.py", "second")
        out.writestr("zeros.py", zeros)
    found = contents("archive", tmp_path)
    assert found.texts == {"x.tgz/a.py": "first", "y.zip/b.py": "second"}
    assert found.problems == {"x.tgz": "archive-bomb", "y.zip": "archive-bomb"}
    tar(tmp_path / "z" if (tmp_path / "z").mkdir() else tmp_path / "z/z.tar", {"a.py": b"1" * 20_000}, "w")
    assert contents("archive", tmp_path / "z", max_unpacked_bytes=10_000).problems == {"z.tar": "archive-bomb"}


def test_a_zip_that_lies_about_a_size_gives_no_more_than_it_said(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a.py", "a" * 100_000)
    raw = path.read_bytes().replace((100_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(raw)
    reader = open_source(SourceSpec("s", str(path), kind="archive"))
    (item,) = reader.list()
    ((content, detail),) = reader.read([item.locator], [item.size_bytes])
    assert item.size_bytes == 10 and (content is None or len(content) <= 11)
    assert content is not None or detail


def test_a_name_that_is_not_utf8_is_shown(contents, tmp_path):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", encoding="latin-1", format=tarfile.USTAR_FORMAT) as out:
        info = tarfile.TarInfo("caf\xe9.py")
        info.size = 1
        out.addfile(info, io.BytesIO(b"x"))
    (tmp_path / "x.tgz").write_bytes(gzip.compress(raw.getvalue()))
    assert contents("archive", tmp_path / "x.tgz").texts == {"x.tgz/caf\\xe9.py": "x"}


CORE = b"""Metadata-Version: 2.1
Name: tool
Home-page: https://tool.example/
Project-URL: Documentation, https://docs.example/
Project-URL: Source, https://github.com/ada/tool/tree/main/python
Author: Ada
Author-email: ada@x.example

Not read: Author: nobody
"""
CARGO = b"""[package]
name = "tool"
authors = ["Ada <ada@x.example>", "Grace; H <g@x.example>"]
repository = "https://forge.example/team/tool.git"
"""
NPM = b"""{"name": "tool", "repository": {"type": "git", "url": "git+ssh://git@github.com/ada/tool.git"},
 "author": "Ada <ada@x.example> (https://ada.example)", "contributors": [{"name": "Grace", "email": "g@x.example"}]}"""


@pytest.mark.parametrize(
    ("name", "metadata", "repository", "author"),
    [
        ("tool-1.0/PKG-INFO", CORE, "ada/tool", "Ada <ada@x.example>"),
        ("tool-1.0/Cargo.toml", CARGO, "forge.example/team/tool", "Ada <ada@x.example>; Grace, H <g@x.example>"),
        ("package/package.json", NPM, "ada/tool", "Ada <ada@x.example>; Grace <g@x.example>"),
        ("package/package.json", b'{"repository": "github:ada/tool", "author": 7}', "ada/tool", ""),
        ("package/package.json", b'{"homepage": "https://gitlab.com/a/b#readme"}', "gitlab.com/a/b", ""),
        ("package/package.json", b'{"homepage": "https://ada.example"}', "x", ""),
        ("package/package.json", b"no json", "x", ""),
        ("tool-1.0/deep/PKG-INFO", CORE, "x", ""),
    ],
)
def test_a_package_says_whose_it_is_wherever_its_metadata_lies(contents, tmp_path, name, metadata, repository, author):
    found = contents("archive", tar(tmp_path / "x.tgz", {"a.py": b"1", name: metadata, "b.py": b"2"}))
    assert {(row["repository"], row["author"]) for row in found.rows.values()} == {(repository, author)}
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as out:
        out.writestr("a.py", "1")
        out.writestr(name, metadata)
    row = contents("archive", tmp_path / "x.whl").rows["x.whl/a.py"]
    assert (row["repository"], row["author"]) == (repository, author)


def test_a_wheels_metadata_goes_before_a_manifest_that_it_carries(contents, tmp_path):
    members = {"package.json": NPM, "tool-1.0.dist-info/METADATA": CORE.replace(b"ada/tool", b"eve/tool")}
    found = contents("archive", tar(tmp_path / "x.tar", members, "w"))
    assert {row["repository"] for row in found.rows.values()} == {"eve/tool"}


def test_members_do_not_wait_for_metadata_without_end(contents, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "HELD_BACK", 2)
    members = {**{f"{i}.py": b"1" for i in range(3)}, "PKG-INFO": CORE}
    found = contents("archive", tar(tmp_path / "x.tgz", members))
    assert {path: row["repository"] for path, row in found.rows.items()} == {
        "x.tgz/0.py": "x",
        "x.tgz/1.py": "x",
        "x.tgz/2.py": "ada/tool",
        "x.tgz/PKG-INFO": "ada/tool",
    }


def test_a_tar_that_breaks_off_keeps_the_members_that_waited(contents, tmp_path):
    whole = tar(tmp_path / "x.tar", {"a.py": b"1", "b.py": b"2" * 5000}, "w").read_bytes()
    (tmp_path / "x.tar").write_bytes(whole[:3000])
    found = contents("archive", tmp_path / "x.tar")
    assert found.texts == {"x.tar/a.py": "1"}
    assert found.problems == {"x.tar": "corrupt-archive"}
