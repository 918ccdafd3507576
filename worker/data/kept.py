"""Cleaned shards of earlier jobs, found again by their keys: a source that did not change is not read twice.

They lie in the storage beside the artifacts, `<storage>/cleaned-shards/<key>/`, hold nothing that a dataset would not
hold, and may be deleted at any time: the next ingest reads the files anew. Nothing deletes them by itself.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec

from worker.manifest import partial_of

FOLDER = "cleaned-shards"


@dataclass(frozen=True)
class Kept:
    """The shards in a storage. Data only, so that tasks can carry it."""

    storage_url: str

    def fetch(self, key: str, files: Sequence[Path]) -> bool:
        """Put the kept files of a key at `files`; False where they are not there, the last of them included."""
        filesystem, root = self._open()
        folder = f"{root}/{key}"
        if not filesystem.exists(f"{folder}/{files[-1].name}"):
            return False
        for file in files:
            if self._is_local:
                _link(Path(folder) / file.name, file)
            else:
                filesystem.get_file(f"{folder}/{file.name}", str(file))
        return True

    def keep(self, key: str, files: Sequence[Path]) -> None:
        """Keep finished files under a key, in their order: the last one says that all are there.

        Two jobs that keep the same key write the same bytes.
        """
        filesystem, root = self._open()
        folder = f"{root}/{key}"
        if filesystem.exists(f"{folder}/{files[-1].name}"):
            return
        filesystem.makedirs(folder, exist_ok=True)
        for file in files:
            if self._is_local:
                _link(file, Path(folder) / file.name)
            else:
                filesystem.put_file(str(file), f"{folder}/{file.name}")

    @property
    def _is_local(self) -> bool:
        return "://" not in self.storage_url or self.storage_url.startswith("file://")

    def _open(self) -> tuple[fsspec.AbstractFileSystem, str]:
        filesystem, path = fsspec.core.url_to_fs(self.storage_url)
        return filesystem, f"{path.rstrip('/')}/{FOLDER}"


def _link(source: Path, target: Path) -> None:
    """A hard link under another name, then renamed; a copy where the two lie on different disks."""
    partial = partial_of(target)
    try:
        os.link(source, partial)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        shutil.copyfile(source, partial)
    partial.replace(target)
