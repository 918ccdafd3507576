"""The last phase: what the shards kept becomes the published parts, each a range of ids and a task of its own.

Ids are uniform, so a part is made alone from its range of every shard's files: memory is one part, whatever the size of
the dataset. A part leaves out what deduplication decided, runs the steps over survivors (the parse check would double
the cost of all rows), gives each document its split, and comes with its dropped rows, its measures and its sums. The
sums are written last: where they are, the part is done.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.data import buckets
from worker.data.deduplication import LOST
from worker.data.documents import (
    DOCUMENT,
    DROPPED,
    HELD_OUT,
    HELD_OUT_SOURCE,
    MEASURES,
    TRAIN,
    write_parquet,
)
from worker.data.funnel import Funnel
from worker.data.lines import line_histogram, log_histogram
from worker.data.shard import CLEANED, run_step, to_dropped, with_outcomes
from worker.data.steps import Planned
from worker.manifest import write_atomically

PART_BYTES = 32_000_000
_ID = pa.schema([pa.field("id", pa.string())])


@dataclass(frozen=True)
class Plan:
    """Files of worker.data.buckets: `documents`, `dropped` and `measures` of the shards, `lost` and `held_out` of all."""

    documents: Sequence[Path]
    dropped: Sequence[Path]
    measures: Sequence[Path]
    lost: Path
    held_out: Path
    held_out_sources: frozenset[str]
    steps: tuple[Planned, ...]
    n_parts: int
    folder: Path

    def path(self, part: int, kind: str) -> Path:
        """kind: "parquet", "dropped", "measures" or "json"."""
        return self.folder / f"part-{part:05d}.{kind}"

    def sums(self, part: int) -> dict[str, Any]:
        sums: dict[str, Any] = json.loads(self.path(part, "json").read_text())
        return sums


def n_parts(total_bytes: int) -> int:
    """A power of two: a part is then a run of whole buckets, or a bucket a run of parts."""
    needed = -(-total_bytes // PART_BYTES)
    return 1 << max(0, needed - 1).bit_length()


def folder_of(work: Path, keys: Sequence[str], decided: Sequence[pa.Table], steps: Sequence[Planned]) -> Path:
    """Where the parts of exactly these inputs and decisions lie; parts of an earlier attempt are there if they are equal."""
    digest = hashlib.sha256(json.dumps([list(keys), list(steps), PART_BYTES], sort_keys=True).encode())
    for table in decided:
        for row in table.to_batches():
            digest.update(repr([column.to_pylist() for column in row.columns]).encode())
    folder = work / "parts" / digest.hexdigest()[:24]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_part(plan: Plan, part: int) -> None:
    """Part number `part`, its dropped rows, its measures and its sums. Does nothing where the sums are there."""
    if plan.path(part, "json").exists():
        return
    low, high = (part << 32) // plan.n_parts, (part + 1 << 32) // plan.n_parts
    funnel = Funnel()
    lost = buckets.read(plan.lost, LOST, low, high)
    # No name for what is read or left: of 32 MB of text one copy less is held while the rest is done.
    left, dropped = _survivors(buckets.read_all(plan.documents, CLEANED, low, high), lost, plan.steps, funnel)
    documents = _with_splits(left, plan, low, high)
    del left
    losses = pa.concat_tables([buckets.read_all(plan.dropped, DROPPED, low, high), *dropped])
    gone = pa.concat_tables([table.select(["id", "reason"]) for table in dropped])
    measures = with_outcomes(buckets.read_all(plan.measures, MEASURES, low, high), gone)
    write_parquet(documents, plan.path(part, "parquet"))
    buckets.write(losses.sort_by([("id", "ascending"), ("path", "ascending")]), plan.path(part, "dropped"))
    buckets.write(measures, plan.path(part, "measures"))
    sums = _sums(documents) | {"funnel": dataclasses.asdict(funnel), "dropped": len(losses)}
    write_atomically(plan.path(part, "json"), json.dumps(sums, sort_keys=True))


def add_sums(all_sums: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of several parts: numbers add, lists add by element, objects by key."""
    total: dict[str, Any] = {}
    for sums in all_sums:
        total = _add(total, sums)
    return total


def _survivors(
    cleaned: pa.Table, lost: pa.Table, steps: Sequence[Planned], funnel: Funnel
) -> tuple[pa.Table, list[pa.Table]]:
    """(documents that stay, tables of dropped rows)."""
    place = pc.index_in(cleaned["id"], lost["id"].combine_chunks())
    going = cleaned.filter(place.is_valid())
    about = lost.take(place.drop_null())
    for name in ("reason", "measured", "detail"):
        going = going.append_column(name, about[name])
    dropped = [to_dropped(buckets.batch_of(going))]
    batch = buckets.batch_of(cleaned.filter(place.is_null()))
    for step in steps:
        batch, refused = run_step(step.name, step.run(batch), batch, funnel)
        dropped.append(refused)
    return pa.Table.from_batches([batch]), dropped


def _with_splits(documents: pa.Table, plan: Plan, low: int, high: int) -> pa.Table:
    held_out = buckets.read(plan.held_out, _ID, low, high)["id"].combine_chunks()
    is_of_held_out = pc.is_in(documents["source"], pa.array(sorted(plan.held_out_sources), pa.string()))
    split = pc.if_else(pc.is_in(documents["id"], held_out), HELD_OUT, TRAIN)
    documents = documents.append_column("split", pc.if_else(is_of_held_out, HELD_OUT_SOURCE, split))
    return documents.select(DOCUMENT.names).cast(DOCUMENT)


def _sums(documents: pa.Table) -> dict[str, Any]:
    content = documents["content"].combine_chunks()
    line_counts, in_lines = line_histogram(content.chunk(0) if isinstance(content, pa.ChunkedArray) else content)
    counted = documents.drop_columns(["content"]).append_column("in_lines", pa.array(in_lines))
    changes: Counter[str] = Counter()
    for pairs in counted["changes"].drop_null().to_pylist():
        changes.update(dict(pairs))
    by_split = {
        split: counted.filter(pc.equal(counted["split"], split)) for split in (TRAIN, HELD_OUT, HELD_OUT_SOURCE)
    }
    return {
        "changes": dict(changes),
        "languages": _by(counted, "language"),
        "licenses": _by(counted, "license"),
        "splits": _by(counted, "split"),
        "sources": _by(counted, "source"),
        "train_sources": _by(by_split[TRAIN], "source"),
        "file_bytes": log_histogram(counted["size_bytes"].to_numpy()).tolist(),
        "line_characters": line_counts.tolist(),
        "tokens": log_histogram(counted["tokens"].to_numpy()).tolist(),
    }


def _by(table: pa.Table, column: str) -> dict[str, dict[str, int]]:
    """files, bytes, lines, tokens and characters within lines (no newlines), by the values of a column."""
    sums = {"files": ("id", "count"), "bytes": ("size_bytes", "sum"), "lines": ("n_lines", "sum")}
    sums |= {"line_characters": ("in_lines", "sum"), "tokens": ("tokens", "sum")}
    grouped = table.group_by(column).aggregate(list(sums.values())).sort_by(column)
    return {
        row[column]: {name: row[f"{field}_{how}"] for name, (field, how) in sums.items()} for row in grouped.to_pylist()
    }


def histogram(sizes: Any) -> list[int]:
    counts: list[int] = log_histogram(np.asarray(sizes, np.int64)).tolist()
    return counts


def _add(left: Any, right: Any) -> Any:
    if isinstance(right, Mapping):
        left = left or {}
        return {key: _add(left.get(key), right[key]) if key in right else left[key] for key in sorted({*left, *right})}
    if isinstance(right, list):
        return [a + b for a, b in zip(left or [0] * len(right), right, strict=True)]
    return (left or 0) + right
