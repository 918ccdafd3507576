"""Exact duplicates by the hash of the final content. One document of each content stays, chosen by its name, never by
arrival.

A document of a held-out source is preferred to any other, so that nothing which is held out is trained on under
another name; a completion that repeats a file gives way to the file; after that the lowest (source, path) stays.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.documents import FEEDBACK, HELD_OUT_SOURCE

SIGNATURE = ["id", "source", "path", "language", "split", "size_bytes", "content_sha"]


def find_duplicates(signatures: pa.Table) -> pa.Table:
    """Of documents (columns SIGNATURE) those to drop, with `detail`, the id of the one that stays. Sorted by id."""
    is_first = pc.equal(signatures["split"], HELD_OUT_SOURCE)
    is_last = pc.equal(signatures["source"], FEEDBACK)
    rank = pc.if_else(is_first, 0, pc.if_else(is_last, 2, 1))
    table = signatures.append_column("rank", rank)
    table = table.sort_by([(name, "ascending") for name in ("content_sha", "rank", "source", "path")])
    shas = table["content_sha"].to_numpy()
    stays = np.concatenate([[True], shas[1:] != shas[:-1]])[: len(shas)]
    keeper = np.maximum.accumulate(np.where(stays, np.arange(len(shas)), 0))
    table = table.append_column("detail", table["id"].take(pa.array(keeper)))
    return table.filter(pa.array(~stays)).drop_columns(["rank"]).sort_by("id")
