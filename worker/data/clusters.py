"""Near duplicates among documents, from their signatures alone: who resembles whom, and who stays.

    band by band     rows that agree on a whole band meet; those that do are compared by their sketches
    union-find       rows whose estimated Jaccard similarity reaches the threshold join one cluster
    in each cluster  rows in order of rank: one stays unless a row that stays already is similar enough

So every row that goes resembles the very row that it gives way to. Keeping one row of each connected component, as most
recipes do, also throws away the end of a chain (a like b, b like c, c unlike a): by true 5-gram similarity to the
kept row a larger share of those removals are none. No two rows found alike both stay, and the row of lowest rank
always does.

Candidates are checked because LSH alone is loose: below the threshold too some pairs share a band. The check's own
error is the sketch's (standard deviation 0.014 at 0.7, less for small files: worker.data.minhash).

Nothing depends on the order of the rows. Beside keys and sketches, which may be memory-mapped, it holds some 60 bytes a
row: one band's keys at a time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from worker.data.kernels import kernel
from worker.data.minhash import BANDS, BINS, SHINGLE_TOKENS

THRESHOLD = 0.7
# Of the estimate's standard deviation. A pair at the threshold is found with a chance of 69 % instead of 50, and what goes
# is seldom less like the row that stays than this: 0.007 at 0.7, nothing at 1.
MARGIN = 0.5
# Bytes of different leasts that are equal by chance: one of 255.
CHANCE = 255
# In a group of more rows than this each is compared with its first ones only: boilerplate shared by 100 000 files
# would else mean 5 * 10^9 comparisons. Rows alike share many bands, and meet again in smaller groups.
COMPARED_ROWS = 64

Words = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

CLUSTERS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("kept_id", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class _Settled:
    """Members of clusters, by cluster and rank: places (positions by rank) of each, its cluster's first, its keeper."""

    member: Ints
    first: Ints
    keeper: Ints
    similarity: Floats


def cluster(
    ids: pa.Array,
    keys: Words,
    sketches: Bytes,
    n_tokens: Ints,
    rank: Ints,
    threshold: float = THRESHOLD,
    is_first: Flags | None = None,
) -> pa.Table:
    """Rows that have company (schema CLUSTERS), by cluster and rank.

    ids: unique strings; keys: uint32[n, 25] and sketches: uint8[n, 1024], of worker.data.minhash; rank: lower stays,
    ties go by id. `cluster` is the id of its row of lowest rank. `kept_id` is the most similar of the rows that stay
    (its own id for one that stays itself), where is_first (bool[n]) is given the most similar of those, if one is
    similar enough: what resembles a held-out document is said to, whatever else it resembles. `similarity` is the
    estimated Jaccard similarity to it.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"a threshold of {threshold} is not in (0, 1]")
    ids = ids.cast(pa.string())
    order = pc.sort_indices(
        pa.table({"rank": rank, "id": ids}), sort_keys=[("rank", "ascending"), ("id", "ascending")]
    ).to_numpy()
    order = order[n_tokens[order] >= SHINGLE_TOKENS].astype(np.int64)
    goes_first = np.zeros(len(order), np.bool_) if is_first is None else is_first[order]
    needed = threshold - MARGIN * math.sqrt(threshold * (1 - threshold) / BINS)
    settled = _settle(sketches, order, _components(keys, sketches, order, needed), goes_first, needed)
    return _to_table(ids.take(pa.array(order)), settled)


def _components(keys: Words, sketches: Bytes, order: Ints, needed: float) -> Ints:
    """For each place in `order` the first place of its connected component."""
    parent = np.arange(len(order))
    for band in range(BANDS):
        of_band = keys[order, band]
        by_key = np.argsort(of_band, kind="stable")
        _join(sketches, order, by_key, of_band, needed, parent)
    return _roots(parent)


def _settle(sketches: Bytes, order: Ints, first: Ints, goes_first: Flags, needed: float) -> _Settled:
    has_company = np.bincount(first, minlength=len(first))[first] > 1
    member = np.flatnonzero(has_company)
    member = member[np.argsort(first[member], kind="stable")]
    keeper, similarity = np.empty_like(member), np.empty(len(member))
    _keep(sketches, order, member, first, goes_first, needed, keeper, similarity)
    return _Settled(member, first[member], keeper, similarity)


def _to_table(ids: pa.Array, settled: _Settled) -> pa.Table:
    columns = {
        "id": ids.take(pa.array(settled.member)),
        "cluster": ids.take(pa.array(settled.first)),
        "kept_id": ids.take(pa.array(settled.keeper)),
        "similarity": pa.array(settled.similarity),
    }
    return pa.table(columns, schema=CLUSTERS)


@kernel
def _join(sketches: Bytes, order: Ints, by_key: Ints, keys: Words, needed: float, parent: Ints) -> None:
    """Join the places of equal key that are similar enough. Groups come in order of rank."""
    start = 0
    for end in range(1, len(by_key) + 1):
        if end < len(by_key) and keys[by_key[end]] == keys[by_key[start]]:
            continue
        for later in range(start + 1, end):
            for earlier in range(start, min(later, start + COMPARED_ROWS)):
                a, b = _root(parent, by_key[earlier]), _root(parent, by_key[later])
                if a != b and _similarity(sketches, order[by_key[earlier]], order[by_key[later]]) >= needed:
                    parent[max(a, b)] = min(a, b)
        start = end


@kernel
def _root(parent: Ints, place: int) -> int:
    """Its component's first place; halves the path on the way (Tarjan & van Leeuwen 1984)."""
    while parent[place] != place:
        parent[place] = parent[parent[place]]
        place = parent[place]
    return place


@kernel
def _roots(parent: Ints) -> Ints:
    roots = np.empty_like(parent)
    for place in range(len(parent)):
        roots[place] = _root(parent, place)
    return roots


@kernel
def _keep(
    sketches: Bytes,
    order: Ints,
    member: Ints,
    first: Ints,
    goes_first: Flags,
    needed: float,
    keeper: Ints,
    similarity: Floats,
) -> None:
    """Greedy over each cluster's members in order of rank."""
    kept = np.empty(len(member), np.int64)
    n_kept = 0
    for i in range(len(member)):
        if i > 0 and first[member[i]] != first[member[i - 1]]:
            n_kept = 0
        keeper[i], similarity[i], best = member[i], 1.0, 0.0
        for k in range(n_kept):
            found = _similarity(sketches, order[kept[k]], order[member[i]])
            merit = found + (1.0 if goes_first[kept[k]] else 0.0)
            if found >= needed and merit > best:
                keeper[i], similarity[i], best = kept[k], found, merit
        if best == 0:
            kept[n_kept] = member[i]
            n_kept += 1


@kernel
def _similarity(sketches: Bytes, a: int, b: int) -> float:
    """Estimated Jaccard similarity: of the bins that are not empty in both, the share with equal leasts.

    Where neither is empty, different leasts have equal bytes with the chance 1 / CHANCE; with e equal bytes of n such bins
    (e - n / CHANCE) / (1 - 1 / CHANCE) leasts are equal.
    """
    equal = both = either = 0
    for at in range(BINS):
        x, y = sketches[a, at], sketches[b, at]
        both += (x != 0) & (y != 0)
        either += (x | y) != 0
        equal += (x == y) & (x != 0)
    return max(0.0, (CHANCE * equal - both) / ((CHANCE - 1) * either)) if either > 0 else 0.0
