"""A location as files: a path, a folder, a pattern of paths, or the same in an object store (fsspec).

A name is relative to the location's root (the file's folder, the folder itself, or what stands before a pattern), so
that moving the whole changes no locator. Credentials and endpoints come from the environment, as botocore and
huggingface_hub read them. Links on disk are left out: see sources.folder.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, TypeVar, cast

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from worker.data.sources.allowed import WILDCARDS
from worker.data.sources.folder import is_excluded
from worker.data.sources.reader import snapshot_of
from worker.failures import StageFailure
from worker.sources import scheme_of

T = TypeVar("T")
BUFFER_BYTES = 1 << 20
# What object stores say of an object's state, most exact first; a file on disk has its time of change.
STAMPS = ("ETag", "etag", "blob_id", "oid", "md5Hash", "mtime", "LastModified", "last_modified")


@dataclass(frozen=True)
class Place:
    """One file. `name` is relative to the root, `path` what its file system calls it."""

    name: str
    path: str
    size_bytes: int
    stamp: str


@dataclass(frozen=True)
class Root:
    """Where names start. `pattern`: what the location asks for below it, None for everything."""

    fs: fsspec.AbstractFileSystem
    path: str
    pattern: str | None = None

    def path_of(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path else name

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", self.fs.open(self.path_of(name), "rb"))


def root_of(location: str, storage_options: Mapping[str, str] | None = None) -> Root:
    """Raises StageFailure when the place cannot be looked at. A location that is one file has its name as pattern."""

    def look() -> Root:
        fs, path = _file_system(location, tuple(sorted((storage_options or {}).items())))
        if any(sign in path for sign in WILDCARDS):
            before = path[: min(path.index(sign) for sign in WILDCARDS if sign in path)].rpartition("/")[0]
            return Root(fs, before, path[len(before) :].lstrip("/"))
        if fs.isfile(path):
            before, _, name = path.rpartition("/")
            return Root(fs, before, name)
        return Root(fs, path.rstrip("/"))

    return answering(location, look)


def places(root: Root, location: str, suffixes: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[Place]:
    """The files asked for, by name. Raises data:user:source-missing when there is nothing at all."""
    found = answering(location, lambda: _entries(root))
    if not found:
        raise StageFailure("data:user:source-missing", location=location)
    is_named = root.pattern is not None and not any(sign in root.pattern for sign in WILDCARDS)
    return sorted(
        (
            place
            for place in (_place(root, entry) for entry in found)
            if (is_named or not suffixes or place.name.lower().endswith(tuple(suffixes)))
            and not is_excluded(place.name, exclude)
        ),
        key=lambda place: place.name,
    )


def digest(found: Sequence[Place]) -> str:
    return snapshot_of((place.name, place.size_bytes, place.stamp) for place in found)


def answering(location: str, look: Callable[[], T]) -> T:
    """`look()`, with a store's refusal as a StageFailure that holds no address but the one that was given."""
    try:
        return look()
    except FileNotFoundError as error:
        raise StageFailure("data:user:source-missing", location=location) from error
    except ImportError as error:
        detail = f"the package for {scheme_of(location)}:// is not installed ({error.name})"
        raise StageFailure("data:user:source-unreachable", location=location, detail=detail) from error
    except Exception as error:  # botocore, aiohttp and huggingface_hub share no base class of errors
        raise StageFailure("data:user:source-unreachable", location=location, detail=brief(error)) from error


def brief(error: BaseException) -> str:
    """An error's first line, cut: enough to act on, and no page of XML."""
    text = str(error).strip().partition("\n")[0] or type(error).__name__
    return text[:200]


def unpacked(file: BinaryIO, name: str) -> BinaryIO:
    """The bytes of a file, unpacked if its name says that it is packed.

    Python's own readers where there are any: Arrow's gives nothing of a damaged file, these what comes before the damage.
    """
    suffix = name.lower().rpartition(".")[2]
    if suffix in {"gz", "tgz", "crate"}:
        return cast("BinaryIO", gzip.GzipFile(fileobj=file))
    if suffix in {"bz2", "xz", "txz"}:
        return cast("BinaryIO", bz2.open(file) if suffix == "bz2" else lzma.open(file))
    if suffix == "zst":
        stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
        return io.BufferedReader(cast("io.RawIOBase", stream), BUFFER_BYTES)
    return file


@cache
def _file_system(location: str, storage_options: tuple[tuple[str, str], ...]) -> tuple[fsspec.AbstractFileSystem, str]:
    """No listing is cached: a source is looked at again to see whether it changed."""
    scheme = scheme_of(location)
    options: dict[str, Any] = dict(storage_options)
    if scheme in {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az"}:
        options["use_listings_cache"] = False
    fs, path = fsspec.url_to_fs(location, **options)
    return fs, path


def _entries(root: Root) -> list[dict[str, Any]]:
    wanted = root.pattern
    found = root.fs.find(root.path, detail=True) if wanted is None else root.fs.glob(root.path_of(wanted), detail=True)
    files = [entry for entry in found.values() if entry["type"] == "file" and not entry.get("islink")]
    if not isinstance(root.fs, LocalFileSystem):
        return files
    # A pattern goes through linked folders as well: what lies outside of the root is none of this source's.
    top = os.path.realpath(root.path or "/").rstrip("/")
    return [entry for entry in files if os.path.realpath(entry["name"]).startswith(f"{top}/")]


def _place(root: Root, entry: Mapping[str, Any]) -> Place:
    path = str(entry["name"])
    name = os.path.relpath(path, root.path) if root.path.startswith("/") else path[len(root.path) :].lstrip("/")
    stamp = next((str(entry[key]) for key in STAMPS if entry.get(key)), "")
    return Place(name, path, int(entry["size"] or 0), stamp.strip('"'))
