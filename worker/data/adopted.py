"""Parts of a finished dataset taken into a new one: their documents are clean, and only meet what is new.

They become shards without a listing: documents, measures and signatures as cleaning would have left them, and no
dropped rows, which belong to the version that dropped them. Datasets of layout 2 and before know no repository and no author.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from worker.data import shard
from worker.data.documents import DROPPED, HELD_OUT_SOURCE
from worker.data.funnel import Funnel
from worker.data.steps.text import with_measures


@dataclass(frozen=True)
class AdoptTask:
    """What the engine runs for each part: data only."""

    folder: Path

    def __call__(self, part: str) -> None:
        adopt(Path(part), shard.Shard(self.folder, Path(part).stem))


def adopt(part: Path, target: shard.Shard) -> None:
    """Write the shard's files from a published part. Does nothing where its report is there."""
    if target.report.exists():
        return
    documents = _with_origins(pq.read_table(part)).select(shard.CLEANED.names).cast(shard.CLEANED).combine_chunks()
    batch = documents.to_batches()[0] if len(documents) else pa.RecordBatch.from_pylist([], shard.CLEANED)
    position = pa.array(np.arange(len(documents), dtype=np.int32))
    cleaned = shard.Cleaned(
        documents,
        shard.measures_table(with_measures(batch)),
        DROPPED.empty_table(),
        shard.signatures_table(documents, position),
    )
    shard.write(target, cleaned, Funnel())


def _with_origins(documents: pa.Table) -> pa.Table:
    for name in {"repository", "author"} - set(documents.column_names):
        documents = documents.append_column(name, pa.array([""] * len(documents), pa.string()))
    return documents


def held_out_sources(parts: Sequence[Path]) -> frozenset[str]:
    """The sources of which a dataset trains on nothing."""
    wanted = ds.field("split") == HELD_OUT_SOURCE
    tables = [ds.dataset(part).to_table(["source"], filter=wanted) for part in parts]
    return frozenset(name for table in tables for name in pc.unique(table["source"]).to_pylist())
