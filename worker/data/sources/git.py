"""Kind "git": the files that a commit tracks, read from the repository's objects with git's own plumbing.

Nothing of the repository's configuration runs: no hook, filter, fsmonitor or credential helper is asked by `ls-tree`,
`cat-file`, `rev-list` and `diff-tree`, system and personal configuration are shut out, and no object is fetched that is
not there. What lies in the working tree beyond the commit is not read: a commit's name says exactly what was.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from worker.data.sources.folder import is_excluded
from worker.data.sources.git_authors import border_of, last_authors
from worker.data.sources.reader import Found, Read, shown, snapshot_of
from worker.failures import StageFailure
from worker.sources import option, repository_name
from worker.specs import SourceSpec

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
TREE_SECONDS = 600
LINK, SUBMODULE = "120000", "160000"


@dataclass(frozen=True)
class GitReader:
    """A locator is path, NUL, the blob's name; a stamp is the blob's name."""

    spec: SourceSpec

    def list(self) -> Iterator[Found]:
        """Raises data:user:bad-source when the location is no repository or has no such revision."""
        listing = self._git("ls-tree", "-r", "-z", "-l", "--full-tree", self._commit)
        rows = [line.partition(b"\t")[::2] for line in filter(None, listing.split(b"\0"))]
        rows = [(about, name) for about, name in rows if not is_excluded(os.fsdecode(name), self.spec.exclude)]
        repository, authors = self._repository(), self._authors([name for _, name in rows])
        for about, name in rows:
            yield _found(about.decode(), name, repository, authors.get(name))

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        names = [locator.rpartition(b"\0")[2] for locator in locators]
        with subprocess.Popen(
            self._command("cat-file", "--batch"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        ) as git:
            assert git.stdin is not None and git.stdout is not None
            found: list[Read] = []
            for name in names:
                git.stdin.write(name + b"\n")
                git.stdin.flush()
                found.append(_blob(git.stdout.readline(), git.stdout.read))
            git.stdin.close()
        return found

    def snapshot(self) -> str:
        return snapshot_of([("commit", 0, self._commit)])

    @cached_property
    def _commit(self) -> str:
        revision = str(option("git", self.spec.options, "revision"))
        if revision.startswith("-"):
            raise StageFailure("data:user:bad-source", name=self.spec.name, detail=f"{revision} is no revision")
        return self._git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").decode().strip()

    def _repository(self) -> str:
        """Where it was cloned from, without a password; else the folder's name."""
        done = self._run("config", "--local", "--get", "remote.origin.url")
        url = done.stdout.decode("utf-8", "replace").strip()
        return repository_name(url) if url else Path(self.spec.location).name.removesuffix(".git")

    def _authors(self, paths: Sequence[bytes]) -> dict[bytes, str]:
        border = border_of(self.spec.location, self._git("rev-parse", "--git-path", "shallow"))
        return last_authors(self._command, _environment(), self._commit, paths, border)

    def _git(self, *arguments: str) -> bytes:
        done = self._run(*arguments)
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0].removeprefix("fatal: ")
            asked = option("git", self.spec.options, "revision")
            detail = said or f"it has no commit {asked}"
            raise StageFailure("data:user:bad-source", name=self.spec.name, detail=detail)
        return done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        if not Path(self.spec.location).is_dir():
            raise StageFailure("data:user:source-missing", location=self.spec.location)
        try:
            return subprocess.run(
                self._command(*arguments), capture_output=True, env=_environment(), timeout=TREE_SECONDS, check=False
            )
        except FileNotFoundError as error:
            detail = "the git command is not installed where the workers run"
            raise StageFailure("data:user:bad-source", name=self.spec.name, detail=detail) from error

    def _command(self, *arguments: str) -> Sequence[str]:
        # safe.directory: the checkout may belong to somebody else; what that guards against is shut out here anyway.
        safe = ("safe.directory=*", "core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.allow=never")
        options = [part for setting in safe for part in ("-c", setting)]
        return ["git", "--no-replace-objects", *options, "-C", self.spec.location, *arguments]


def _environment() -> dict[str, str]:
    """None of ours that begins with GIT_: one of them may name another repository."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
    }


def _found(about: str, name: bytes, repository: str, author: str | None) -> Found:
    mode, _, blob, size = about.split()
    path, locator = shown(name), name + b"\0" + blob.encode()
    problem = {LINK: "symlink", SUBMODULE: "submodule"}.get(mode)
    n_bytes = int(size) if size != "-" else 0
    return Found(path, locator, n_bytes, blob, problem, repository=repository, author=author)


def _blob(header: bytes, take: Callable[[int], bytes]) -> Read:
    """A blob out of `cat-file --batch`: `<name> blob <size>`, the bytes, a newline."""
    parts = header.split()
    if len(parts) != 3 or parts[1] != b"blob":
        return None, "the object is not in the repository"
    content = take(int(parts[2]))
    take(1)
    if content.startswith(LFS_POINTER):
        return None, "a Git LFS pointer: its content is kept elsewhere"
    return content, None
