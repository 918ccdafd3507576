"""Content out of what can only be read in order, kept so that it can be read out of order.

A packed tar, a packed JSONL file and a dump's XML are passed through once, at listing; each document's bytes go to a
file of the job's scratch folder, and a locator is (file, offset, length) there. The listing of an unchanged source is
repeatable, so a later attempt writes the same bytes again.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from worker.data.sources.reader import Read, words

_PLACE = struct.Struct(">QQ")


class Spool:
    """Appends contents to one file of `folder`, named after `key`."""

    def __init__(self, folder: Path, key: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        self.file = (folder / self.name).open("wb")

    def add(self, content: bytes) -> bytes:
        """The locator of `content`. Raises OSError, and with it ends the job, when the disk is full."""
        offset = self.file.tell()
        self.file.write(content)
        return self.name.encode() + _PLACE.pack(offset, len(content))

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.file.close()


def read_spooled(folder: Path, locators: Sequence[bytes]) -> list[Read]:
    files: dict[bytes, int] = {}
    try:
        return [_read(folder, files, locator) for locator in locators]
    finally:
        for descriptor in files.values():
            os.close(descriptor)


def _read(folder: Path, files: dict[bytes, int], locator: bytes) -> Read:
    name, (offset, length) = locator[: -_PLACE.size], _PLACE.unpack(locator[-_PLACE.size :])
    try:
        if name not in files:
            files[name] = os.open(os.fsencode(folder) + b"/" + name, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(files[name], length, offset), None
    except OSError as error:
        return None, words(error)
