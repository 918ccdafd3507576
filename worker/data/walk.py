"""Which files a source has: a sorted listing, made without opening one of them.

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

from worker.failures import StageFailure
from worker.specs import SourceSpec

# Never source code: version control's own files and byte-code caches. Anything else is for the recipe to exclude.
SKIPPED_FOLDERS = frozenset({".git", ".hg", ".svn", ".bzr", "__pycache__"})


@dataclass(frozen=True)
class Found:
    """One thing met on a walk. `problem` is a reason code, None for a regular file. `path` is relative, with slashes.

    `raw_path` has surrogates where the name is not UTF-8 and opens the file; `path` shows those bytes as \\xNN.
    """

    source: str
    path: str
    raw_path: str
    size_bytes: int
    mtime_ns: int
    problem: str | None = None
    detail: str | None = None


def walk(source: SourceSpec, others: Sequence[SourceSpec] = ()) -> list[Found]:
    """All things under the source's location, by path. Raises StageFailure when the location cannot be listed."""
    root = Path(source.location)
    try:
        next(os.scandir(root), None)
    except OSError as error:
        raise StageFailure("data:user:source-missing", location=source.location) from error
    taken = {os.path.realpath(other.location) for other in others} - {os.path.realpath(root)}
    found = _walk_folder(source, os.path.realpath(root), "", taken)
    return sorted(found, key=lambda item: item.path)


def _walk_folder(source: SourceSpec, root: str, folder: str, taken: set[str]) -> Iterator[Found]:
    pending = [folder]
    while pending:
        folder = pending.pop()
        try:
            entries = list(os.scandir(f"{root}/{folder}"))
        except OSError as error:
            yield _found(source.name, folder, 0, 0, "unreadable-folder", _words(error))
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if _is_excluded(path, entry.name, source.exclude) or entry.path in taken:
                continue
            if not entry.is_symlink() and entry.is_dir(follow_symlinks=False):
                pending.append(path)
            else:
                yield _look(source.name, path, entry)


def _look(source: str, path: str, entry: os.DirEntry[str]) -> Found:
    if entry.is_symlink():
        return _found(source, path, 0, 0, "symlink")
    if not entry.is_file(follow_symlinks=False):
        return _found(source, path, 0, 0, "special-file")
    try:
        stat = entry.stat(follow_symlinks=False)
    except OSError as error:
        return _found(source, path, 0, 0, "unreadable-file", _words(error))
    return _found(source, path, stat.st_size, stat.st_mtime_ns)


def _is_excluded(path: str, name: str, patterns: Sequence[str]) -> bool:
    return name in SKIPPED_FOLDERS or any(
        fnmatch.fnmatchcase(path, p) or fnmatch.fnmatchcase(name, p) for p in patterns
    )


def _found(
    source: str, raw: str, size: int, mtime_ns: int, problem: str | None = None, detail: str | None = None
) -> Found:
    shown = os.fsencode(raw).decode("utf-8", "backslashreplace")
    return Found(source, shown, raw, size, mtime_ns, problem, detail)


def _words(error: OSError) -> str:
    """The system's words without the path: it is in the row already, and may be private."""
    return error.strerror or type(error).__name__
