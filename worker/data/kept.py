"""Cleaned shards of earlier jobs, found again by their keys: a source that did not change is not read twice.

They lie in the storage beside the artifacts, `<storage>/cleaned-shards/<key>/`, hold nothing that a dataset would not
hold, and may be deleted at any time: the next ingest reads the files anew. Every ingest removes those that none has
used for KEPT_SHARDS_DAYS days; `python -m worker.data.kept STORAGE_URL [DAYS]` does so by hand. On disk a use is
recorded as the report's time of change; an object store keeps no such record, and there the days count from the making.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import fsspec

from worker.manifest import partial_of

FOLDER = "cleaned-shards"
DAYS, VARIABLE = 30, "KEPT_SHARDS_DAYS"
SECONDS_A_DAY = 86_400


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
        try:
            for file in files:
                if self._is_local:
                    _link(Path(folder) / file.name, file)
                else:
                    filesystem.get_file(f"{folder}/{file.name}", str(file))
            if self._is_local:
                os.utime(f"{folder}/{files[-1].name}")
        except FileNotFoundError:  # another ingest removed it as unused in this moment: clean the files anew
            files[-1].unlink(missing_ok=True)
            return False
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

    def evict(self, days: float) -> tuple[int, int]:
        """Remove shards that no ingest has used for so long, and unfinished ones as old; (shards, bytes) that went."""
        filesystem, root = self._open()
        n_shards = n_bytes = 0
        for folder, size in self._unused_since(time.time() - days * SECONDS_A_DAY):
            if self._is_local:  # renamed first: whoever looks for it meets all of its files or none
                gone = f"{root}/.going-{Path(folder).name}-{os.getpid()}"
                Path(folder).rename(gone)
                folder = gone
            filesystem.rm(folder, recursive=True)
            n_shards, n_bytes = n_shards + 1, n_bytes + size
        return n_shards, n_bytes

    def _unused_since(self, when: float) -> Iterator[tuple[str, int]]:
        """(folder, bytes). What an evicting process left when it died is named like one, and old as its files."""
        filesystem, root = self._open()
        by_folder: dict[str, list[dict[str, object]]] = {}
        for path, about in (filesystem.find(root, detail=True) if filesystem.isdir(root) else {}).items():
            by_folder.setdefault(path.rpartition("/")[0], []).append(about)
        for folder, files in sorted(by_folder.items()):
            if max(_changed(about) for about in files) < when:
                yield folder, sum(int(str(about.get("size") or 0)) for about in files)

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


def _changed(about: dict[str, object]) -> float:
    """Seconds since the epoch; of an object whose store does not say, now."""
    for name in ("mtime", "LastModified", "last_modified", "created"):
        value = about.get(name)
        if value is not None:
            return float(value.timestamp() if hasattr(value, "timestamp") else str(value))
    return time.time()


def days_kept() -> float:
    return float(os.environ.get(VARIABLE) or DAYS)


if __name__ == "__main__":
    removed, freed = Kept(sys.argv[1]).evict(float(sys.argv[2]) if len(sys.argv) > 2 else days_kept())
    sys.stdout.write(f"{removed} shards, {freed:,} bytes removed\n")
