"""A commit's tracked files, out of a repository that nobody has to trust."""

from __future__ import annotations

import subprocess

import pytest

from worker.data.sources import open_source
from worker.failures import StageFailure
from worker.specs import SourceSpec


def git(folder, *arguments):
    identity = ("-c", "user.name=ada", "-c", "user.email=ada@x.example", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    (folder / "pkg").mkdir(parents=True)
    git(folder, "init", "-q")
    (folder / "pkg" / "a.py").write_text("x = 1\n")
    (folder / "link.py").symlink_to("/etc/passwd")
    (folder / "big.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_tracked_files_of_the_commit_are_read_and_nothing_else(contents, repository):
    (repository / "pkg" / "a.py").write_text("changed = True\n")
    (repository / "new.py").write_text("untracked = True\n")
    found = contents("git", repository)
    assert found.texts == {
        "pkg/a.py": "x = 1\n",
        "big.bin": "a Git LFS pointer: its content is kept elsewhere",
    }
    assert found.problems == {"link.py": "symlink"}
    assert found.rows["pkg/a.py"]["repository"] == "repository"


def test_a_submodule_is_a_reason_and_is_not_entered(contents, repository, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "b.py").write_text("y\n")
    git(other, "add", ".")
    git(other, "commit", "-qm", "other")
    git(repository, "-c", "protocol.file.allow=always", "submodule", "add", "-q", str(other), "sub")
    git(repository, "commit", "-qm", "with a submodule")
    assert contents("git", repository).problems == {"link.py": "symlink", "sub": "submodule"}


def test_neither_hooks_nor_configured_programs_run(contents, repository, tmp_path):
    witness = tmp_path / "witness"
    script = repository / ".git" / "run.sh"
    script.write_text(f"#!/bin/sh\ntouch {witness}\ncat\n")
    script.chmod(0o755)
    for name in (
        "core.fsmonitor",
        "filter.evil.smudge",
        "filter.evil.clean",
        "core.sshCommand",
        "core.pager",
        "diff.external",
    ):
        git(repository, "config", name, str(script))
    (repository / ".gitattributes").write_text("* filter=evil\n")
    for hook in ("post-checkout", "reference-transaction", "post-index-change"):
        (repository / ".git" / "hooks" / hook).write_bytes(script.read_bytes())
        (repository / ".git" / "hooks" / hook).chmod(0o755)
    witness.unlink(missing_ok=True)
    assert contents("git", repository).texts["pkg/a.py"] == "x = 1\n"
    assert not witness.exists()


def test_an_older_revision_can_be_asked_for_and_the_snapshot_is_the_commit(contents, repository):
    first = open_source(SourceSpec("s", str(repository), kind="git")).snapshot()
    (repository / "pkg" / "b.py").write_text("y\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "second")
    assert "pkg/b.py" not in contents("git", repository, revision="HEAD~1").rows
    assert open_source(SourceSpec("s", str(repository), kind="git", options={"revision": "HEAD~1"})).snapshot() == first
    assert open_source(SourceSpec("s", str(repository), kind="git")).snapshot() != first


def test_the_address_it_came_from_is_its_name_without_a_password(contents, repository):
    git(repository, "remote", "add", "origin", "https://ada:secret@forge.example/team/tool.git")
    assert contents("git", repository).rows["pkg/a.py"]["repository"] == "forge.example/team/tool"


@pytest.mark.parametrize("options", [{"revision": "nowhere"}, {"revision": "--upload-pack=x"}])
def test_a_revision_that_is_not_there_is_refused(contents, repository, options):
    with pytest.raises(StageFailure) as refused:
        contents("git", repository, **options)
    assert refused.value.code == "data:user:bad-source"


def test_a_folder_without_a_repository_is_refused(contents, tmp_path):
    with pytest.raises(StageFailure, match="not a git repository"):
        contents("git", tmp_path)
