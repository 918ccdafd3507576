"""python datatrove_pii.py ROWS MEGABYTES: datatrove's PII formatter over rows, in bytes per CPU second, as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
from datatrove.pipeline.formatters import PIIFormatter


def texts(rows: Path, n_bytes: int) -> list[str]:
    found: list[str] = []
    for file in sorted(rows.glob("*.parquet")):
        for text in pq.read_table(file, columns=["content"])["content"].to_pylist():
            if n_bytes <= 0:
                return found
            found.append(text)
            n_bytes -= len(text.encode())
    return found


def main(rows: Path, megabytes: float) -> None:
    given = texts(rows, int(megabytes * 1_000_000))
    formatter = PIIFormatter()
    started = time.process_time()
    for text in given:
        formatter.format(text)
    seconds = time.process_time() - started
    print(json.dumps({"bytes": sum(len(text.encode()) for text in given), "cpu_seconds": seconds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
