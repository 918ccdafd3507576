"""Rows of JSON-lines files. In a plain file on disk a locator is (file, content column, offset, length of the line).

A packed or remote file is passed through once and its contents spooled: nothing can be read in the middle of it.
A line of more than LONGEST_LINE_BYTES is skipped without being held.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, cast

from fsspec.implementations.local import LocalFileSystem

from worker.data.sources.columns import Mapped
from worker.data.sources.places import Place, Root, unpacked
from worker.data.sources.reader import Read, words
from worker.data.sources.rows import Row
from worker.data.sources.spool import Spool

PACKED = (".gz", ".zst", ".bz2")
SUFFIXES = tuple(f"{plain}{packed}" for plain in (".jsonl", ".ndjson", ".json") for packed in ("", *PACKED))
MARK, SPOOLED = b"j", b"s"
LONGEST_LINE_BYTES = 64_000_000
LOOKED_AT = 50  # lines, for the names of columns
_LINE = struct.Struct(">QQ")


def columns(root: Root, place: Place) -> list[tuple[str, str]]:
    """Keys of the first lines, in the order in which they come."""
    found: dict[str, str] = {}
    with root.open(place.name) as file:
        for _, _, line in islice(_lines(unpacked(file, place.name)), LOOKED_AT):
            cells = _parsed(line)
            for name, value in (cells or {}).items():
                if found.get(name, "null") == "null":
                    found[name] = _type_of(value)
    if not found:
        raise ValueError(f"none of the first {LOOKED_AT} lines is a JSON object")
    return list(found.items())


def rows(
    root: Root, place: Place, mapped: Mapped, extra: Sequence[str], spool_key: str, scratch: Path | None
) -> Iterator[Row]:
    """Raises OSError or EOFError where the file breaks off; the rows before it have been given."""
    if isinstance(root.fs, LocalFileSystem) and not place.name.lower().endswith(PACKED):
        head = MARK + place.name.encode("utf-8", "surrogateescape") + b"\0" + mapped.content.encode() + b"\0"
        with root.open(place.name) as file:
            for number, (offset, length, line) in enumerate(_lines(file)):
                yield _row(line, number, mapped, head + _LINE.pack(offset, length))
        return
    if scratch is None:
        raise ValueError("a packed or remote file needs a scratch folder")
    with root.open(place.name) as file, Spool(scratch, spool_key) as spool:
        for number, (_, _, line) in enumerate(_lines(unpacked(file, place.name))):
            row = _row(line, number, mapped, b"")
            content = _content(line, mapped.content) if row.problem is None and row.size_bytes is not None else None
            yield row if content is None else Row(row.cells, SPOOLED + spool.add(content), number, len(content))


def read(root: Root, locators: Sequence[bytes]) -> list[Read]:
    found: dict[bytes, Read] = {}
    by_head: dict[bytes, list[bytes]] = {}
    for locator in locators:
        by_head.setdefault(locator[: -_LINE.size], []).append(locator)
    for head, wanted in by_head.items():
        name, column = head[1:-1].split(b"\0")
        try:
            with root.open(name.decode("utf-8", "surrogateescape")) as file:
                found |= {locator: _read_line(file, locator, column.decode()) for locator in wanted}
        except OSError as error:
            found |= dict.fromkeys(wanted, (None, words(error)))
    return [found[locator] for locator in locators]


def _read_line(file: BinaryIO, locator: bytes, column: str) -> Read:
    offset, length = _LINE.unpack(locator[-_LINE.size :])
    file.seek(offset)
    content = _content(file.read(length), column)
    return (content, None) if content is not None else (None, "changed since it was listed")


def _lines(file: BinaryIO) -> Iterator[tuple[int, int, bytes | None]]:
    """(offset, length, line) of lines that are not blank; the line is None where it is too long to hold."""
    offset = 0
    for line, length in _cut(file):
        if line is None or line.strip():
            yield offset, length, line
        offset += length


def _cut(file: BinaryIO) -> Iterator[tuple[bytes | None, int]]:
    while line := file.readline(LONGEST_LINE_BYTES):
        if line.endswith(b"\n") or len(line) < LONGEST_LINE_BYTES:
            yield line, len(line)
            continue
        length = len(line)
        while not line.endswith(b"\n") and (line := file.readline(LONGEST_LINE_BYTES)):
            length += len(line)
        yield None, length


def _row(line: bytes | None, number: int, mapped: Mapped, locator: bytes) -> Row:
    if line is None:
        detail = f"line {number + 1} is longer than {LONGEST_LINE_BYTES:,} bytes"
        return Row({}, locator or str(number).encode(), number, None, "corrupt-row", detail)
    cells = _parsed(line)
    if cells is None:
        return Row(
            {}, locator or str(number).encode(), number, None, "corrupt-row", f"line {number + 1} is no JSON object"
        )
    content = cells.pop(mapped.content, None)
    if not isinstance(content, str):
        return Row(cells, locator or str(number).encode(), number, None, None, _type_of(content))
    return Row(cells, locator, number, len(content.encode("utf-8", "surrogatepass")))


def _content(line: bytes | None, column: str) -> bytes | None:
    content = (_parsed(line) or {}).get(column)
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else None


def _parsed(line: bytes | None) -> dict[str, Any] | None:
    try:
        cells = json.loads(line or b"null")
    except (ValueError, RecursionError):  # a lone bracket 100,000 deep is a RecursionError
        return None
    return cast("dict[str, Any]", cells) if isinstance(cells, dict) else None


def _type_of(value: object) -> str:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}
    return "null" if value is None else names.get(type(value), "unknown")
