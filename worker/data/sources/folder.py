"""Kind "folder": every file below a local folder.

Symbolic links are not followed. Inside the source their target is listed at its own place; outside it the target is
not part of what somebody chose to share (a link to ~/.ssh must not become training text); and no loop can form. A
folder that is itself another source of the same ingest belongs to that one, so a held-out package inside
site-packages stays held out.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.data.sources.allowed import kept_out
from worker.data.sources.reader import Found, Read, shown, snapshot_of, words
from worker.failures import StageFailure
from worker.specs import SourceSpec

# Never source code: version control's own files and byte-code caches. Anything else is for the recipe to exclude.
SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".bzr", "__pycache__"})


@dataclass(frozen=True)
class FolderReader:
    """Locators are relative paths in the system's bytes; a stamp is the time of the last change in nanoseconds."""

    spec: SourceSpec
    others: Sequence[SourceSpec] = ()

    def list(self) -> Iterator[Found]:
        """Raises data:user:source-missing when the location cannot be listed."""
        try:
            next(os.scandir(self.spec.location), None)
        except OSError as error:
            raise StageFailure("data:user:source-missing", location=self.spec.location) from error
        root = os.path.realpath(self.spec.location)
        taken = {os.path.realpath(other.location) for other in self.others if other.kind == "folder"} - {root}
        taken |= kept_out()
        return _walk(Path(root), taken, self.spec.exclude)

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        root = os.fsencode(self.spec.location)
        return [_read(root + b"/" + path, size) for path, size in zip(locators, sizes, strict=True)]

    def snapshot(self) -> str:
        return snapshot_of((item.path, item.size_bytes, item.stamp) for item in self.list())


def is_excluded(path: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names this path or one of the names in it, as it would on a walk from the top."""
    if not patterns:
        return False
    parts = path.split("/")
    starts = ("/".join(parts[: i + 1]) for i in range(len(parts)))
    return any(fnmatch.fnmatchcase(text, p) for text in {*parts, *starts} for p in patterns)


def _walk(root: Path, taken: set[str], exclude: Sequence[str]) -> Iterator[Found]:
    pending = [""]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(f"{root}/{folder}"))
        except OSError as error:
            yield _found(folder, "unreadable-folder", words(error))
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name in SKIPPED_FOLDERS or is_excluded(path, exclude) or entry.path in taken:
                continue
            if not entry.is_symlink() and entry.is_dir(follow_symlinks=False):
                pending.append(path)
            else:
                yield _look(path, entry)


def _look(path: str, entry: os.DirEntry[str]) -> Found:
    if entry.is_symlink():
        return _found(path, "symlink")
    if not entry.is_file(follow_symlinks=False):
        return _found(path, "special-file")
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError as error:
        return _found(path, "unreadable-file", words(error))
    raw = os.fsencode(path)
    return Found(shown(raw), raw, stat.st_size, str(stat.st_mtime_ns))


def _found(path: str, problem: str, detail: str | None = None) -> Found:
    raw = os.fsencode(path)
    return Found(shown(raw), raw, problem=problem, detail=detail)


def _read(path: bytes, size: int) -> Read:
    """A file that became a link or a pipe after the walk is not followed and does not block."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(size + 1), None
    except OSError as error:
        return None, words(error)
