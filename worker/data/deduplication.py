"""Exact duplicates by the hash of the final content. One document of each content stays, chosen by its name, never by arrival.

A document of a held-out source is preferred to any other, so that nothing which is held out is trained on under another name; after
that the lowest (source, path) stays.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.documents import HELD_OUT_SOURCE

SIGNATURE = ["id", "source", "path", "language", "split", "size_bytes", "content_sha"]


def find_duplicates(signatures: pa.Table) -> pa.Table:
    """Of documents (columns SIGNATURE) those to drop, with `detail`, the id of the one that stays. Sorted by id."""
    rank = pc.not_equal(signatures["split"], HELD_OUT_SOURCE).cast(pa.int8())
    table = signatures.append_column("rank", rank)
    table = table.sort_by([(name, "ascending") for name in ("content_sha", "rank", "source", "path")])
    shas = table["content_sha"].to_numpy()
    is_first = np.concatenate([[True], shas[1:] != shas[:-1]])[: len(shas)]
    keeper = np.maximum.accumulate(np.where(is_first, np.arange(len(shas)), 0))
    table = table.append_column("detail", table["id"].take(pa.array(keeper)))
    return table.filter(pa.array(~is_first)).drop_columns(["rank"]).sort_by("id")
