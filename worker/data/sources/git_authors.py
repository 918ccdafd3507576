"""Who last changed each file of a commit: the author of the newest commit, merges aside, that touched it.

The last author, and not the one of most lines: that one needs `git blame`, a process a file, and this one pass over the
history, which ends as soon as every file is met and after MOST_COMMITS at the latest. It changes only when the file does, so
an unchanged file is the same row. A file that only a commit at the border of a shallow clone holds has no known author:
that commit shows every file as new. The walk is bounded by commits and never by time: the same repository gives the
same rows.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

# 200,000 commits of a tree of 70,000 files are some minutes of one core.
MOST_COMMITS = 200_000
BLOCK_BYTES = 1 << 16
_COMMIT = re.compile(rb"\x01([0-9a-f]{40,64})")

Command = Callable[..., Sequence[str]]


def last_authors(
    command: Command, environment: dict[str, str], commit: str, paths: Collection[bytes], border: Collection[bytes]
) -> dict[bytes, str]:
    """{path: "Name <address>"} of the paths whose author is known. `border`: commits where a shallow clone ends."""
    commits = command("rev-list", "--no-merges", f"--max-count={MOST_COMMITS}", commit)
    changes = command(
        *("-c", "i18n.logOutputEncoding=UTF-8", "diff-tree", "--stdin", "-r", "-z", "--root", "--name-only"),
        *("--no-renames", "--format=%x01%H%x00%an <%ae>"),
    )
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": environment}
    with subprocess.Popen(commits, **pipe) as listing, subprocess.Popen(changes, stdin=listing.stdout, **pipe) as git:  # type: ignore[call-overload]
        listing.stdout.close()  # so that the listing ends when its reader does
        try:
            return _newest(_touched(git.stdout, border), set(paths))
        finally:
            git.kill()
            listing.kill()


def border_of(location: str, named: bytes) -> frozenset[bytes]:
    """The commits where a shallow clone ends; `named` is what `git rev-parse --git-path shallow` says."""
    file = Path(location) / named.decode("utf-8", "surrogateescape").strip()
    return frozenset(file.read_bytes().split()) if file.is_file() else frozenset()


def _newest(touched: Iterator[tuple[bytes, str]], wanted: set[bytes]) -> dict[bytes, str]:
    found: dict[bytes, str] = {}
    if not wanted:
        return found
    for path, author in touched:
        if path in wanted:
            found[path] = author
            wanted.discard(path)
            if not wanted:
                break
    return found


def _touched(stream: BinaryIO, border: Collection[bytes]) -> Iterator[tuple[bytes, str]]:
    """(path, author), newest commit first. A commit's fields are its mark and name, its author, then its paths."""
    fields = _fields(stream)
    author, is_border = "", False
    for field in fields:
        if mark := _COMMIT.fullmatch(field):
            author = next(fields, b"").decode("utf-8", "replace").replace(";", ",").strip()
            is_border = mark[1] in border
        elif not is_border:
            yield field.removeprefix(b"\n"), author


def _fields(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(BLOCK_BYTES):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
