"""Reads single samples of a shard set's MDS files, for pages: no torch, no numpy, no cache, a few hundred bytes a read.

The format is MosaicML Streaming's, version 2 (docs.mosaicml.com/projects/streaming, "Dataset format"). A folder has
index.json, which lists shards with their number of samples, and each shard file is

    uint32 number of samples n
    uint32 offsets[n + 1]         of each sample in the file; the last is the file's length
    configuration, as JSON        not read: index.json has it too
    samples                       uint32 sizes of the columns that have no fixed one, then the columns, by name

all little-endian. Read here are uncompressed shards with columns of one-dimensional unsigned integers, which is what
build_shards writes. Whatever does not hold together is refused with its reason: an offset is followed only inside
the file, a size only inside its sample.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from typing import Any

import fsspec

from datasets_app.parquet import Unreadable

CODES = {"uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q"}
SHAPE_TYPES = ("uint8", "uint16", "uint32", "uint64")
MAX_SAMPLE_BYTES = 4_000_000  # a sequence of 65,536 tokens of four bytes has 0.3 MB


@dataclass(frozen=True)
class Shard:
    """One file: its samples are those from `first` on."""

    path: str
    n_bytes: int
    first: int
    n_samples: int


@dataclass(frozen=True)
class Column:
    """dtype, and the number of values where it is fixed."""

    name: str
    dtype: str
    length: int | None


@dataclass(frozen=True)
class Split:
    """An opened MDS folder."""

    filesystem: Any
    columns: tuple[Column, ...]
    shards: tuple[Shard, ...]

    def __len__(self) -> int:
        return sum(shard.n_samples for shard in self.shards)

    def read(self, sample: int) -> dict[str, tuple[int, ...]]:
        """A sample's columns. Raises IndexError beyond the last one, Unreadable for files that do not hold together."""
        for shard in self.shards:
            if shard.first <= sample < shard.first + shard.n_samples:
                return self._decode(self._bytes(shard, sample - shard.first))
        raise IndexError(f"no sample {sample} among {len(self)}")

    def _bytes(self, shard: Shard, index: int) -> bytes:
        head = self._range(shard, 0, 4)
        if struct.unpack("<I", head)[0] != shard.n_samples:
            raise Unreadable(f"The shard {shard.path} has another number of samples than its index says.")
        begin, end = struct.unpack("<II", self._range(shard, 4 * (1 + index), 4 * (3 + index)))
        if not 4 * (2 + shard.n_samples) <= begin < end <= shard.n_bytes or end - begin > MAX_SAMPLE_BYTES:
            raise Unreadable(f"Sample {shard.first + index} of {shard.path} is said to be at bytes {begin} to {end}.")
        return self._range(shard, begin, end)

    def _range(self, shard: Shard, begin: int, end: int) -> bytes:
        try:
            found: bytes = self.filesystem.cat_file(shard.path, start=begin, end=end)
        except OSError as error:
            raise Unreadable(f"The shard {shard.path} cannot be read: {error}") from error
        if len(found) != end - begin:
            raise Unreadable(f"The shard {shard.path} ends before byte {end}.")
        return found

    def _decode(self, raw: bytes) -> dict[str, tuple[int, ...]]:
        loose = [column for column in self.columns if column.length is None]
        sizes = dict(zip(loose, struct.unpack_from(f"<{len(loose)}I", _enough(raw, 4 * len(loose))), strict=True))
        at, values = 4 * len(loose), {}
        for column in self.columns:
            size = sizes.get(column, struct.calcsize(CODES[column.dtype]) * (column.length or 0))
            values[column.name] = _values(column, _enough(raw, at + size)[at : at + size])
            at += size
        return values


def open_split(uri: str, split: str) -> Split:
    """The MDS folder of one split of a shard set. Raises Unreadable where there is none or it is of another kind."""
    filesystem, root = fsspec.core.url_to_fs(uri)
    folder = f"{root}/{split}"
    try:
        raw = json.loads(filesystem.cat_file(f"{folder}/index.json"))
        shards = raw["shards"]
        columns = {tuple(_columns(shard)) for shard in shards}
        found, first = [], 0
        for shard in shards:
            data = shard["raw_data"]
            found.append(
                Shard(f"{folder}/{_plain(data['basename'])}", int(data["bytes"]), first, int(shard["samples"]))
            )
            first += int(shard["samples"])
    except FileNotFoundError as error:
        raise Unreadable(f"There is no split {split} in these shards, or its files are gone.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"The index of the split {split} cannot be read: {error!r}") from error
    if len(columns) != 1:
        raise Unreadable(f"The split {split} has shards of {len(columns)} different kinds.")
    return Split(filesystem, columns.pop(), tuple(found))


def _columns(shard: dict[str, Any]) -> list[Column]:
    if (shard["version"], shard["format"], shard["compression"]) != (2, "mds", None):
        raise ValueError(f"version {shard['version']} of {shard['format']}, compression {shard['compression']}")
    made = []
    for name, encoding in zip(shard["column_names"], shard["column_encodings"], strict=True):
        kind, _, rest = encoding.partition(":")
        dtype, _, shape = rest.partition(":")
        if kind != "ndarray" or dtype not in CODES or "," in shape:
            raise ValueError(f"the column {name} is {encoding}")
        made.append(Column(name, dtype, int(shape) if shape else None))
    return made


def _values(column: Column, raw: bytes) -> tuple[int, ...]:
    """A fixed column is its values alone; another begins with a byte (dimensions, type of the shape) and its shape."""
    at, length = 0, column.length
    if length is None:
        (head,) = struct.unpack_from("<B", _enough(raw, 1))
        code = CODES[SHAPE_TYPES[head % 4]]
        if head >> 2 != 1:
            raise Unreadable(f"The column {column.name} has {head >> 2} dimensions.")
        at = 1 + struct.calcsize(code)
        (length,) = struct.unpack_from(f"<{code}", _enough(raw, at), 1)
    end = at + length * struct.calcsize(CODES[column.dtype])
    return struct.unpack_from(f"<{length}{CODES[column.dtype]}", _enough(raw, end), at)


def _enough(raw: bytes, n_bytes: int) -> bytes:
    if len(raw) < n_bytes:
        raise Unreadable(f"A sample of {len(raw)} bytes is said to have {n_bytes}.")
    return raw


def _plain(name: str) -> str:
    """A file's name in this folder: an index must not lead out of it."""
    if "/" in name or name in {"", ".", ".."}:
        raise ValueError(f"{name!r} is no file of this folder")
    return name
