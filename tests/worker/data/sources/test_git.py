"""A commit's tracked files, out of a repository that nobody has to trust."""

from __future__ import annotations

import subprocess

import pytest

from worker.data.sources import git_authors, open_source
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


def authors(found):
    return {path: row["author"] for path, row in found.rows.items()}


def test_a_files_author_is_who_changed_it_last_merges_aside(contents, repository):
    (repository / "new é.py").write_text("y\n")
    git(repository, "checkout", "-q", "-b", "side")
    git(repository, "add", "new é.py")
    git(repository, "-c", "user.name=Grace; Hopper", "commit", "-qm", "side")
    git(repository, "checkout", "-q", "-")
    (repository / "pkg" / "a.py").write_text("x = 2\n")
    git(repository, "-c", "user.name=linus", "commit", "-qam", "second")
    git(repository, "-c", "user.name=merger", "merge", "-q", "side", "-m", "merge")
    assert authors(contents("git", repository)) == {
        "pkg/a.py": "linus <ada@x.example>",
        "new é.py": "Grace, Hopper <ada@x.example>",
        "big.bin": "ada <ada@x.example>",
        "link.py": "ada <ada@x.example>",
    }
    assert authors(contents("git", repository, revision="HEAD~2"))["pkg/a.py"] == "ada <ada@x.example>"


def test_the_border_of_a_shallow_clone_wrote_none_of_its_files(contents, repository, tmp_path):
    (repository / "pkg" / "a.py").write_text("x = 2\n")
    git(repository, "commit", "-qam", "second")
    (repository / "pkg" / "b.py").write_text("y\n")
    git(repository, "add", ".")
    git(repository, "-c", "user.name=grace", "commit", "-qm", "third")
    git(tmp_path, "clone", "-q", "--depth", "2", f"file://{repository}", "clone")
    found = authors(contents("git", tmp_path / "clone"))
    assert (found["pkg/b.py"], found["pkg/a.py"], found["big.bin"]) == ("grace <ada@x.example>", "", "")


def test_the_walk_is_bounded_by_commits(contents, repository, monkeypatch):
    (repository / "pkg" / "a.py").write_text("x = 2\n")
    git(repository, "commit", "-qam", "second")
    monkeypatch.setattr(git_authors, "MOST_COMMITS", 1)
    found = authors(contents("git", repository))
    assert (found["pkg/a.py"], found["big.bin"]) == ("ada <ada@x.example>", "")
