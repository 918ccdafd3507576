"""Seeded samples of a dataset's text, read part by part: the ids are chosen first, then one batch is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from worker.data.documents import hash_share

BATCH_ROWS = 512


@dataclass(frozen=True)
class Sample:
    """Documents by id, and the bytes of their text."""

    ids: frozenset[str]
    n_bytes: int


def sample(data: Path, split: str, max_bytes: int, seed: int, language: str | None = None) -> Sample:
    """Whole documents by a hash of (seed, id) until the next would pass `max_bytes`; more only adds documents."""
    wanted = ds.field("split") == split
    if language is not None:
        wanted &= ds.field("language") == language
    table = _open(data).to_table(columns=["id", "size_bytes"], filter=wanted)
    rows = zip(table["id"].to_pylist(), table["size_bytes"].to_pylist(), strict=True)
    chosen, total = set(), 0
    for _, document, size in sorted(
        (hash_share(seed, "tokenizer", document), document, size) for document, size in rows
    ):
        if total + size > max_bytes:
            break
        chosen.add(document)
        total += size
    return Sample(frozenset(chosen), total)


def read(data: Path, sample: Sample) -> Iterator[list[str]]:
    """Contents of the sample's documents, by id, in batches."""
    ids = pa.array(sorted(sample.ids), pa.string())
    for path in _parts(data):
        source = ds.dataset(path).scanner(columns=["id", "content"], batch_size=BATCH_ROWS, use_threads=False)
        for batch in source.to_batches():
            kept = batch.filter(pc.is_in(batch["id"], ids))
            if len(kept):
                yield kept["content"].to_pylist()


def languages(data: Path, split: str) -> list[str]:
    """The languages that a split has documents of."""
    table = _open(data).to_table(columns=["language"], filter=ds.field("split") == split)
    return sorted(pc.unique(table["language"]).to_pylist())


def _open(data: Path) -> ds.Dataset:
    return ds.dataset(_parts(data), format="parquet")


def _parts(data: Path) -> list[Path]:
    return sorted((data / "data").glob("part-*.parquet"))
