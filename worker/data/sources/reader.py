"""The seam between the cleaning pipeline and every kind of source.

    list()                      what is there, one Found a file or row, with a locator for what can be read
    read(locators, sizes)       bytes, or why not; nothing larger than its listed size is held
    snapshot()                  a digest that changes when what the source holds does, without reading content

A locator is bytes that only its own reader understands. It names a place below the source's location, never the
location itself, and orders things as they lie in the source: files of one shard are read together, so a shard of
neighbours opens few files and row groups. Readers are made anew in each task, so they hold no open files between calls.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Protocol

import pyarrow as pa

from worker.sources import repository_name

ROWS_AT_ONCE = 4096
Read = tuple[bytes | None, str | None]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing met in a source. `problem` is a reason code, None for what can be read; `detail` is for people.

    `path` is relative, with slashes, and shows bytes that are not UTF-8 as \\xNN. `size_bytes` is that of the content.
    `license`, `language`, `repository` and `author` are what the source says of this one item, None where it says
    nothing. An author is `Name <address>` or either part; several are separated by semicolons.
    """

    path: str
    locator: bytes
    size_bytes: int = 0
    stamp: str = ""
    problem: str | None = None
    detail: str | None = None
    license: str | None = None
    language: str | None = None
    repository: str | None = None
    author: str | None = None


class Reader(Protocol):
    """What every kind of source can do. Safe to make and call in another thread or process."""

    def list(self) -> Iterator[Found]:
        """All that is there. Raises StageFailure when the source as a whole cannot be listed."""

    def read(self, locators: Sequence[bytes], sizes: Sequence[int]) -> Sequence[Read]:
        """(bytes, None), or (None, why not) for each locator, in order. At most one byte more than `sizes` is read."""

    def snapshot(self) -> str:
        """64 hex digits: equal when nothing in the source has changed."""


LISTED = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("path", pa.string()),
        pa.field("locator", pa.binary()),
        pa.field("size_bytes", pa.int64()),
        pa.field("stamp", pa.string()),
        pa.field("problem", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("license", pa.string()),
        pa.field("language", pa.string()),
        pa.field("repository", pa.string()),
        pa.field("author", pa.string()),
    ]
)


def tabulate(source: str, license: str, found: Iterable[Found]) -> pa.Table:
    """LISTED rows of one source in the order of their locators; an item without a licence has the source's, and one whose
    repository or author nobody knows has "" there. Repositories get the one name they go by (worker.sources).

    Built batch by batch: a million objects would be ten times a million rows.
    """
    items = iter(found)
    batches = []
    while chunk := list(islice(items, ROWS_AT_ONCE)):
        columns = {name: [getattr(item, name) for item in chunk] for name in LISTED.names if name != "source"}
        columns |= {"source": [source] * len(chunk), "license": [item.license or license for item in chunk]}
        columns |= {"repository": [repository_name(item.repository or "") for item in chunk]}
        columns |= {"author": [(item.author or "").strip() for item in chunk]}
        batches.append(pa.RecordBatch.from_pydict(columns, LISTED))
    table = pa.Table.from_batches(batches, LISTED).sort_by([("locator", "ascending"), ("path", "ascending")])
    return _each_path_once(table)


def snapshot_of(things: Iterable[tuple[str, int, str]]) -> str:
    """The digest of (path, size, stamp) of what a source consists of, in any order."""
    digest = hashlib.sha256()
    for path, size, stamp in sorted(things):
        digest.update(f"{path}\0{size}\0{stamp}\0".encode())
    return digest.hexdigest()


def shown(raw: bytes) -> str:
    """A file's name for people and rows; bytes that are not UTF-8 appear as \\xNN."""
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")


def words(error: OSError) -> str:
    """The system's words without the path: it is in the row already, and may be private."""
    return error.strerror or type(error).__name__


def _each_path_once(table: pa.Table) -> pa.Table:
    """A second row of the same path becomes `name~2.ext`: with one path and equal content two rows had one id."""
    counts = table.group_by("path").aggregate([("locator", "count")]).to_pylist()
    repeated = {row["path"]: 0 for row in counts if row["locator_count"] > 1}
    if not repeated:
        return table
    paths = table["path"].to_pylist()
    for row, path in enumerate(paths):
        if path in repeated:
            repeated[path] += 1
            name = PurePosixPath(path)
            again = str(name.with_name(f"{name.stem}~{repeated[path]}{name.suffix}"))
            paths[row] = path if repeated[path] == 1 else again
    return table.set_column(LISTED.get_field_index("path"), LISTED.field("path"), pa.array(paths, pa.string()))
