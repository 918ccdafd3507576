"""Documents into units, one file of units for each part of the dataset, sorted by a seeded hash of their text.

Sorting by a hash of the text does three things at once: it is the shuffle; equal texts meet, so the duplicates are
neighbours, even across splits; and a range of hashes is a bucket that can be read alone. A finished file is never
made again.

Repetitions that a mixture asks for are rows of their own, with the number of the copy in the hash: each copy has its
own place in the order, and equal texts meet copy by copy. A held-out text is put beside every copy as a shadow, which
is never packed and keeps equal texts out of training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from worker.data.documents import HELD_OUT, HELD_OUT_SOURCE, TRAIN, write_parquet
from worker.shards.mixture import Mixture
from worker.shards.units import Unit, original_positions, python_units, unit_text, whole

BUCKET_BYTES = 32_000_000
BATCH_ROWS = 512

# Of equal texts the one that is held out stays: what is measured on must not be trained on.
RANK = {HELD_OUT_SOURCE: 0, HELD_OUT: 1, TRAIN: 2}

UNIT = pa.schema(
    [
        pa.field("order", pa.string()),
        pa.field("rank", pa.int8()),
        pa.field("copy", pa.int32()),
        pa.field("document", pa.string()),
        pa.field("language", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("start", pa.int64()),
        pa.field("end", pa.int64()),
        pa.field("dedent", pa.int64()),
        pa.field("n_bytes", pa.int64()),
        pa.field("text", pa.string()),
        # Where each character of a dedented text stands in its document is found again from the document's own lines.
        pa.field("raw", pa.string()),
    ]
)


@dataclass(frozen=True)
class Found:
    """One unit with its text, ready to be packed."""

    split: str
    document: str
    language: str
    unit: Unit
    text: str
    raw: str
    copy: int = 0

    def positions(self) -> Sequence[int]:
        """As `units.original_positions`, from the span alone."""
        here = Unit(self.unit.name, 0, len(self.raw), self.unit.dedent)
        return [self.unit.start + position for position in original_positions(self.raw, here)]


def cut_part(part: Path, out: Path, kind: str, seed: int, mixture: Mixture) -> None:
    """Write the units of one part of the dataset. kind: "functions" or "documents"."""
    if out.exists():
        return
    columns = ["id", "source", "language", "split", "content"]
    batches = ds.dataset(part).scanner(columns=columns, batch_size=BATCH_ROWS, use_threads=False).to_batches()
    tables = [pa.Table.from_pylist(list(_rows(batch, kind, seed, mixture)), UNIT) for batch in batches]
    table = pa.concat_tables([UNIT.empty_table(), *tables])
    write_parquet(table.sort_by([(name, "ascending") for name in ("order", "rank", "document", "start")]), out)


def read_bucket(files: Sequence[Path], bucket: int, n_buckets: int) -> tuple[list[Found], int]:
    """(units of one bucket in the order they are packed, how many duplicates were left out).

    A held-out text's shadows are counted as neither.
    """
    wanted = ds.field("order") >= _bound(bucket, n_buckets)
    if bucket + 1 < n_buckets:
        wanted &= ds.field("order") < _bound(bucket + 1, n_buckets)
    tables = [ds.dataset(path).to_table(filter=wanted) for path in files]
    table = pa.concat_tables(tables).sort_by([(name, "ascending") for name in ("order", "rank", "document", "start")])
    firsts = list(_first_of_equal(table))
    shadows = pc.sum(pc.and_(pc.greater(table["copy"], 0), pc.not_equal(table["rank"], RANK[TRAIN]))).as_py() or 0
    units = [found for found in firsts if found.copy == 0 or found.split == TRAIN]
    return units, len(table) - len(units) - shadows


def count_buckets(files: Sequence[Path]) -> tuple[int, int]:
    """(number of buckets, number of units)."""
    sizes = [ds.dataset(path).to_table(columns=["n_bytes"])["n_bytes"] for path in files]
    n_bytes = sum(pc.sum(size).as_py() or 0 for size in sizes)
    return max(1, -(-n_bytes // BUCKET_BYTES)), sum(len(size) for size in sizes)


def _rows(batch: pa.RecordBatch, kind: str, seed: int, mixture: Mixture) -> Iterator[dict[str, object]]:
    for row in batch.to_pylist():
        trained = row["split"] == TRAIN
        copies = mixture.copies(row["id"], row["source"], row["split"]) if trained else mixture.most_copies
        if not copies:
            continue
        for unit in _units(row["content"], row["language"], kind):
            made = _row(row, unit)
            for copy in range(copies):
                yield {**made, "order": _order(made["text"], seed, copy), "copy": copy}


def _row(row: Mapping[str, Any], unit: Unit) -> dict[str, Any]:
    content = row["content"]
    text = unit_text(content, unit.start, unit.end, unit.dedent)
    return {
        "rank": RANK[row["split"]],
        "document": row["id"],
        "language": row["language"],
        "unit": unit.name,
        "start": unit.start,
        "end": unit.end,
        "dedent": unit.dedent,
        "n_bytes": len(text.encode()),
        "text": text,
        "raw": content[unit.start : unit.end] if unit.dedent else None,
    }


def _order(text: str, seed: int, copy: int) -> str:
    """128 bits in hex. The first copy's order is what it is without a mixture."""
    place = f"{seed}\0" if copy == 0 else f"{seed}\0copy {copy}\0"
    return hashlib.sha256(place.encode() + text.encode()).hexdigest()[:32]


def _units(content: str, language: str, kind: str) -> list[Unit]:
    """A Python document that does not parse stays whole, as those of other languages do."""
    units = python_units(content) if kind == "functions" and language == "Python" else None
    return whole(content) if units is None else units


def _first_of_equal(table: pa.Table) -> Iterator[Found]:
    splits = {rank: split for split, rank in RANK.items()}
    last = ""
    for batch in table.to_batches(max_chunksize=BATCH_ROWS):
        for row in batch.to_pylist():
            if row["order"] != last:
                unit = Unit(row["unit"], row["start"], row["end"], row["dedent"])
                raw = row["text"] if row["raw"] is None else row["raw"]
                yield Found(splits[row["rank"]], row["document"], row["language"], unit, row["text"], raw, row["copy"])
            last = row["order"]


def _bound(bucket: int, n_buckets: int) -> str:
    return f"{(bucket << 32) // n_buckets:08x}"
