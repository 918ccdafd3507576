"""python -m worker.data.digest DATASET: a digest of a dataset's rows that no writer of Parquet has a part in.

Another release of pyarrow encodes equal rows as other bytes, so two clusters' datasets are compared by this: SHA-256
over the rows of every table, each row as JSON with its keys sorted (maps and lists in their order, floats by repr,
bytes as hex), the rows of a table sorted as text, and statistics.json as it is. Equal files have equal digests; equal
digests mean equal rows in whatever files, row groups and order. It holds the rows' hashes in memory, not the rows.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

TABLES = ("data/part-*.parquet", "dropped.parquet", "measures.parquet", "clusters.parquet")


def row_digest(dataset: Path) -> str:
    """Hex SHA-256 of a dataset folder's rows and statistics."""
    digest = hashlib.sha256()
    for pattern in TABLES:
        digest.update(f"{pattern}\0".encode())
        for row in sorted(_rows(sorted(dataset.glob(pattern)))):
            digest.update(row)
    digest.update((dataset / "statistics.json").read_bytes())
    return digest.hexdigest()


def _rows(files: list[Path]) -> Iterator[bytes]:
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(2_000):
            for row in batch.to_pylist():
                text = json.dumps(row, sort_keys=True, default=_plain)
                yield hashlib.sha256(text.encode()).digest()


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"a {type(value).__name__} has no text that all machines agree on")


if __name__ == "__main__":
    sys.stdout.write(f"{row_digest(Path(sys.argv[1]))}\n")
