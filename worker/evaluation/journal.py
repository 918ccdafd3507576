"""What was done already, as lines of JSON that survive kill -9: each record is appended once and never changed.

A line that a kill cut short is dropped when the file is opened, so that its work is simply done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

Key = tuple[str, int]


class Journal:
    """Records by (task_id, sample), in the order they were written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[Key, dict[str, Any]] = {}
        whole = self._read() if path.exists() else 0
        self.file = path.open("ab")
        self.file.truncate(whole)

    def __contains__(self, key: Key) -> bool:
        return key in self.records

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Keep these for good; when this returns they are on disk."""
        for record in records:
            self.records[record["task_id"], record["sample"]] = dict(record)
            self.file.write(json.dumps(record).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()

    def _read(self) -> int:
        """Take in all whole lines; returns where they end."""
        whole = 0
        for line in self.path.read_bytes().splitlines(keepends=True):
            try:
                record = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            self.records[record["task_id"], record["sample"]] = record
            whole += len(line)
        return whole
