"""Merges what the shards kept into the published parts: documents sorted by id over all parts, duplicates left out.

Ids are uniform, so a part is a range of ids and can be made alone from the row groups that touch its range: memory
is one part, whatever the size of the dataset. Each part comes with sums for the statistics.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from worker.data.documents import DOCUMENT, write_parquet
from worker.data.lines import line_statistics, log_histogram
from worker.manifest import write_atomically

PART_BYTES = 32_000_000


@dataclass(frozen=True)
class Plan:
    """inputs: Parquet files with DOCUMENT's columns and perhaps `redactions`; left_out: ids of duplicates."""

    inputs: Sequence[Path]
    left_out: pa.Array
    n_parts: int
    folder: Path

    def path(self, part: int) -> Path:
        return self.folder / f"part-{part:05d}.parquet"

    def sums(self, part: int) -> dict[str, Any]:
        sums: dict[str, Any] = json.loads(self.path(part).with_suffix(".json").read_text())
        return sums


def plan(inputs: Sequence[Path], left_out: pa.Array, total_bytes: int, folder: Path) -> Plan:
    folder.mkdir(parents=True, exist_ok=True)
    return Plan(inputs, left_out, max(1, -(-total_bytes // PART_BYTES)), folder)


def write_part(plan: Plan, part: int) -> None:
    """Part number `part` and its sums, the sums last."""
    bounds = ds.field("id") >= _bound(part, plan.n_parts)
    if part + 1 < plan.n_parts:
        bounds &= ds.field("id") < _bound(part + 1, plan.n_parts)
    wanted = bounds & ~ds.field("id").isin(plan.left_out)
    tables = [ds.dataset(path, format="parquet").to_table(filter=wanted) for path in plan.inputs]
    table = pa.concat_tables([_with_redactions(table) for table in tables]).sort_by("id")
    write_parquet(table.select(DOCUMENT.names).cast(DOCUMENT), plan.path(part))
    write_atomically(plan.path(part).with_suffix(".json"), json.dumps(_sums(table), sort_keys=True))


def histogram(sizes: Sequence[int]) -> list[int]:
    counts: list[int] = log_histogram(np.asarray(sizes, np.int64)).tolist()
    return counts


def add_sums(all_sums: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of several parts: numbers add, lists add by element, objects by key."""
    total: dict[str, Any] = {}
    for sums in all_sums:
        total = _add(total, sums)
    return total


def _sums(table: pa.Table) -> dict[str, Any]:
    statistics = line_statistics(table["content"].combine_chunks())
    in_lines = pa.array(np.rint(statistics.mean * statistics.n_lines).astype(np.int64))
    counted = table.append_column("in_lines", in_lines)
    redactions: Counter[str] = Counter()
    for pairs in table["redactions"].to_pylist():
        redactions.update(dict(pairs or ()))
    return {
        "languages": _by(counted, "language"),
        "splits": _by(counted, "split"),
        "sources": _by(counted, "source"),
        "redactions": dict(redactions),
        "file_bytes": log_histogram(table["size_bytes"].to_numpy()).tolist(),
        "line_characters": log_histogram(statistics.lengths).tolist(),
    }


def _by(table: pa.Table, column: str) -> dict[str, dict[str, int]]:
    """files, bytes, lines and characters within lines (no newlines), by the values of a column."""
    names = {"id_count": "files", "size_bytes_sum": "bytes", "n_lines_sum": "lines", "in_lines_sum": "line_characters"}
    sums = [("id", "count"), ("size_bytes", "sum"), ("n_lines", "sum"), ("in_lines", "sum")]
    grouped = table.group_by(column).aggregate(sums).sort_by(column)
    return {row[column]: {name: row[key] for key, name in names.items()} for row in grouped.to_pylist()}


def _with_redactions(table: pa.Table) -> pa.Table:
    kind = pa.map_(pa.string(), pa.int64())
    if "redactions" not in table.column_names:
        table = table.append_column("redactions", pa.nulls(len(table), kind))
    large = table["content"].cast(pa.large_string())
    return table.set_column(table.column_names.index("content"), "content", large).cast(_MERGED)


def _bound(part: int, n_parts: int) -> str:
    return f"{(part << 32) // n_parts:08x}"


def _add(left: Any, right: Any) -> Any:
    if isinstance(right, Mapping):
        left = left or {}
        return {key: _add(left.get(key), right[key]) if key in right else left[key] for key in sorted({*left, *right})}
    if isinstance(right, list):
        return [a + b for a, b in zip(left or [0] * len(right), right, strict=True)]
    return (left or 0) + right


_MERGED = DOCUMENT.set(
    DOCUMENT.get_field_index("content"), pa.field("content", pa.large_string(), nullable=False)
).append(pa.field("redactions", pa.map_(pa.string(), pa.int64())))
