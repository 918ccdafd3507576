"""Which documents give way to others, and which are held out: decided for all at once, from hashes and signatures.

    exact       of equal contents one stays
    near        a row goes if a row that stays resembles it (worker.data.clusters)
    split       a cluster of near duplicates is held out as a whole, by a hash of its smallest content hash; what
                resembles a document of a held-out source goes

Who stays is a matter of rank, never of arrival: a held-out source's document before any other, so that nothing that is
held out is trained on under another name; a completion that repeats a file gives way to the file; then the lowest
source and place within it. Without the step near_deduplication nothing goes for its likeness but what resembles a
held-out source; the clusters still decide the split.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.data import buckets
from worker.data.clusters import THRESHOLD, cluster
from worker.data.documents import CLUSTERS, FEEDBACK, hash_share
from worker.data.minhash import BANDS, BINS
from worker.data.shard import SIGNATURES
from worker.data.steps.judged import Mask

ROWS = pa.schema([field for field in SIGNATURES if field.name not in {"band_keys", "sketch", "path"}])
_SIGNED = pa.schema([SIGNATURES.field(name) for name in ("id", "band_keys", "sketch")])
LOST = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("measured", pa.float64()),
        pa.field("detail", pa.string()),
        pa.field("language", pa.string()),
        pa.field("size_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class Rules:
    """`threshold`: Jaccard similarity of near duplicates."""

    exact: bool
    near: bool
    threshold: float
    held_out_share: float
    seed: int
    held_out_sources: frozenset[str]


@dataclass(frozen=True)
class Decisions:
    """`lost`: tables LOST by step, in the order the steps run; `held_out`: ids; `clusters`: worker.data.documents.CLUSTERS."""

    rows: pa.Table
    lost: dict[str, pa.Table]
    held_out: pa.Array
    clusters: pa.Table


def decide(files: Sequence[Path], rules: Rules, scratch: Path) -> Decisions:
    """`files`: signatures of shards, in the order of the listing; `scratch` takes the signatures as one array."""
    rows = load(files, rules.held_out_sources)
    duplicates = find_duplicates(rows) if rules.exact else LOST.empty_table()
    left = _without(rows, duplicates)
    alike = _cluster(files, left, rules, scratch)
    near, resembling = _resembling(left, alike, rules)
    gone = [duplicates, near, resembling]
    kept = _without(left, pa.concat_tables([near, resembling]))
    lost = {"exact_deduplication": duplicates} if rules.exact else {}
    lost |= {"near_deduplication": near} if rules.near else {}
    held_out = _held_out(rows, alike, kept, rules)
    clusters = _describe(files, alike, pa.concat_tables(gone))
    return Decisions(rows, lost | {"split": resembling}, held_out, clusters)


def load(files: Sequence[Path], held_out_sources: Collection[str]) -> pa.Table:
    """ROWS of all documents with `rank` (lower stays), by rank."""
    tables, start = [], 0
    for file in files:
        table = buckets.read(file, ROWS)
        place = pc.add(table["position"].cast(pa.int64()), start)
        start += (pc.max(table["position"]).as_py() or 0) + 1
        tables.append(table.append_column("place", place))
    table = pa.concat_tables(tables)
    is_first = pc.is_in(table["source"], pa.array(sorted(held_out_sources), pa.string()))
    class_ = pc.if_else(is_first, 0, pc.if_else(pc.equal(table["source"], FEEDBACK), 2, 1))
    table = table.append_column("class", class_).sort_by([("class", "ascending"), ("place", "ascending")])
    rank = pa.array(np.arange(len(table)), pa.int64())
    return table.drop_columns(["class", "place", "position"]).append_column("rank", rank).combine_chunks()


def find_duplicates(rows: pa.Table) -> pa.Table:
    """LOST: of equal content_sha all but the row of lowest rank; `detail` is the id of the one that stays."""
    table = rows.sort_by([("content_sha", "ascending"), ("rank", "ascending")])
    shas = table["content_sha"].combine_chunks()
    repeats = np.zeros(len(table), bool)
    if len(table) > 1:
        repeats[1:] = pc.equal(shas[1:], shas[:-1]).to_numpy(zero_copy_only=False)
    keeper = np.maximum.accumulate(np.where(repeats, 0, np.arange(len(table))))
    keepers = table["id"].take(pa.array(keeper))
    return _lost(table.append_column("detail", keepers).filter(pa.array(repeats)), "duplicate")


def _cluster(files: Sequence[Path], left: pa.Table, rules: Rules, scratch: Path) -> pa.Table:
    """clusters.CLUSTERS of the rows that are left. Keys and sketches lie in files that are mapped, not in memory."""
    if len(left) == 0:
        nothing = np.zeros(0, np.int64)
        return cluster(
            pa.array([], pa.string()),
            np.zeros((0, BANDS), np.uint32),
            np.zeros((0, BINS), np.uint8),
            nothing,
            nothing,
        )
    keys = np.memmap(scratch / "keys.bin", np.uint32, "w+", shape=(len(left), BANDS))
    sketches = np.memmap(scratch / "sketches.bin", np.uint8, "w+", shape=(len(left), BINS))
    ids = left["id"].combine_chunks()
    for file in files:
        table = buckets.read(file, _SIGNED)
        rows = pc.index_in(table["id"], ids)
        here, is_left = rows.drop_null().to_numpy(), rows.is_valid()
        keys[here] = _rows_of(table["band_keys"].filter(is_left), np.uint32, BANDS)
        sketches[here] = _rows_of(table["sketch"].filter(is_left), np.uint8, BINS)
    n_tokens, rank = left["shingle_tokens"].to_numpy(), left["rank"].to_numpy()
    is_first = pc.is_in(left["source"], pa.array(sorted(rules.held_out_sources), pa.string())).to_numpy()
    threshold = rules.threshold if rules.near else THRESHOLD
    found = cluster(ids, keys, sketches, n_tokens, rank, threshold, is_first)
    del keys, sketches
    for name in ("keys.bin", "sketches.bin"):
        (scratch / name).unlink()
    return found


def _rows_of(column: pa.ChunkedArray, kind: type[np.generic], width: int) -> npt.NDArray[Any]:
    """Values of a fixed number of bytes as rows of a matrix."""
    packed = column.combine_chunks()
    values = np.frombuffer(packed.buffers()[1] or b"", kind)
    return values.reshape(-1, width)[packed.offset :][: len(packed)]


def _resembling(left: pa.Table, alike: pa.Table, rules: Rules) -> tuple[pa.Table, pa.Table]:
    """(near duplicates that go, rows that go because they resemble a held-out source's document)."""
    gives_way = pc.not_equal(alike["id"], alike["kept_id"])
    going = alike.filter(gives_way)
    rows = left.take(pc.index_in(going["id"], left["id"].combine_chunks()))
    keepers = left["source"].take(pc.index_in(going["kept_id"], left["id"].combine_chunks()))
    table = rows.append_column("measured", going["similarity"]).append_column("detail", going["kept_id"])
    held_out = pa.array(sorted(rules.held_out_sources), pa.string())
    is_leak = pc.and_(pc.is_in(keepers, held_out), pc.invert(pc.is_in(rows["source"], held_out)))
    near = table.filter(pc.invert(is_leak)) if rules.near else table.slice(0, 0)
    return _lost(near, "near-duplicate"), _lost(table.filter(is_leak), "resembles-held-out")


def _held_out(rows: pa.Table, alike: pa.Table, kept: pa.Table, rules: Rules) -> pa.Array:
    """Ids of the kept rows, those of held-out sources aside, whose cluster's hash falls into the held-out share."""
    names = alike["cluster"].take(pc.index_in(kept["id"], alike["id"].combine_chunks()))
    smallest = _smallest_hashes(rows, alike)
    shas = smallest["sha_min"].take(pc.index_in(names, smallest["cluster"].combine_chunks()))
    shas = pc.coalesce(shas, kept["content_sha"])
    is_candidate = pc.invert(pc.is_in(kept["source"], pa.array(sorted(rules.held_out_sources), pa.string())))
    share, seed = rules.held_out_share, rules.seed
    held_out = [
        name
        for name, sha, candidate in zip(*(c.to_pylist() for c in (kept["id"], shas, is_candidate)), strict=True)
        if candidate and hash_share(seed, "split", sha) < share
    ]
    return pa.array(held_out, pa.string())


def _smallest_hashes(rows: pa.Table, alike: pa.Table) -> pa.Table:
    shas = rows["content_sha"].take(pc.index_in(alike["id"], rows["id"].combine_chunks()))
    return pa.table({"cluster": alike["cluster"], "sha": shas}).group_by("cluster").aggregate([("sha", "min")])


def _describe(files: Sequence[Path], alike: pa.Table, gone: pa.Table) -> pa.Table:
    """worker.data.documents.CLUSTERS, the largest clusters first, in each the rows as they rank."""
    columns = pa.schema([SIGNATURES.field(name) for name in ("id", "source", "path", "language", "size_bytes")])
    ids = alike["id"].combine_chunks()
    about = [columns.empty_table()]
    for file in files if len(alike) else []:
        table = buckets.read(file, columns)
        about.append(table.filter(pc.is_in(table["id"], ids)))
    rows = pa.concat_tables(about)
    rows = rows.take(pc.index_in(ids, rows["id"].combine_chunks()))
    sizes = alike.group_by("cluster").aggregate([("id", "count")])
    size = sizes["id_count"].take(pc.index_in(alike["cluster"], sizes["cluster"].combine_chunks()))
    columns_of = {name: rows[name] for name in rows.column_names}
    columns_of |= {name: alike[name] for name in ("cluster", "kept_id", "similarity")}
    columns_of |= {"cluster_size": size, "kept": pc.invert(pc.is_in(ids, gone["id"].combine_chunks()))}
    columns_of["order"] = pa.array(np.arange(len(alike)))
    table = pa.table(columns_of).sort_by(
        [("cluster_size", "descending"), ("cluster", "ascending"), ("order", "ascending")]
    )
    return table.select(CLUSTERS.names).cast(CLUSTERS)


def _lost(rows: pa.Table, reason: str) -> pa.Table:
    columns = {name: rows[name] for name in LOST.names if name in rows.column_names}
    columns["reason"] = pa.array([reason] * len(rows), pa.string())
    columns.setdefault("measured", pa.nulls(len(rows), pa.float64()))
    return pa.table({name: columns[name] for name in LOST.names}).cast(LOST)


def _without(rows: pa.Table, lost: pa.Table) -> pa.Table:
    is_lost: Mask = pc.is_in(rows["id"], lost["id"].combine_chunks()).to_numpy()
    return rows.filter(pa.array(~is_lost))
