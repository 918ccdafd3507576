"""Near duplicates meet, only what is alike goes, and nothing depends on the order of the rows."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from tests.worker.data.near_copies import WAYS, real_sources, similarity
from worker.data.clusters import CLUSTERS, cluster
from worker.data.minhash import BANDS, BINS, band_keys, signatures

RNG = np.random.default_rng(9)


def row() -> np.ndarray:
    """A sketch without an empty bin, of values that change by `like` only."""
    return RNG.integers(1, 128, BINS, dtype=np.uint8)


def like(base: np.ndarray, share: float, first: int = 0) -> np.ndarray:
    """A sketch that is to be taken for `share` similar to `base`: of its bytes, from bin `first` on, so many differ that
    with those which are equal by chance (1 of 255) `share` is left.
    """
    other = base.copy()
    changed = (first + np.arange(round((1 - share) * BINS * 254 / 255))) % BINS
    other[changed] = np.where(base[changed] < 128, base[changed] + 127, base[changed] - 127)
    return other


def clustered(rows: dict[str, np.ndarray], rank: dict[str, int] | None = None, n_tokens: int = 100, **options):
    """All rows are candidates of each other: their keys are equal."""
    ranks, keys = np.array([(rank or {}).get(name, 0) for name in rows]), np.zeros((len(rows), BANDS), np.uint32)
    sketches, tokens = np.stack(list(rows.values())), np.full(len(rows), n_tokens)
    table = cluster(pa.array(list(rows)), keys, sketches, tokens, ranks, **options)
    assert table.schema == CLUSTERS
    return {item["id"]: (item["cluster"], item["kept_id"], item["similarity"]) for item in table.to_pylist()}


def test_rows_without_company_are_not_listed():
    base = row()
    assert clustered({"a": base, "b": like(base, 0.9), "c": row()}).keys() == {"a", "b"}


def test_the_row_of_lowest_rank_stays_and_ties_go_by_id():
    base = row()
    rows = {"b": like(base, 0.9), "c": base, "a": like(base, 0.95)}
    assert {name: kept for name, (_, kept, _) in clustered(rows).items()} == dict.fromkeys("abc", "a")
    assert {kept for _, kept, _ in clustered(rows, rank={"c": -1}).values()} == {"c"}


def test_similarity_is_that_to_the_row_that_stays():
    base = row()
    found = clustered({"a": base, "b": like(base, 0.8)})
    assert found == {"a": ("a", "a", 1.0), "b": ("a", "a", pytest.approx(0.8, abs=0.001))}


def test_only_pairs_above_the_threshold_join():
    """Or below it by no more than half of the estimate's standard deviation, 0.007."""
    base = row()
    assert clustered({"a": base, "b": like(base, 0.694)}).keys() == {"a", "b"}
    rows = {"a": base, "b": like(base, 0.691)}
    assert clustered(rows) == {}
    assert clustered(rows, threshold=0.69).keys() == {"a", "b"}
    assert clustered({"a": base, "b": base}, threshold=1.0).keys() == {"a", "b"}
    assert clustered({"a": base, "b": like(base, 0.998)}, threshold=1.0) == {}


def test_only_candidates_are_compared():
    sketches, keys = np.stack([row()] * 2), np.arange(2 * BANDS, dtype=np.uint32).reshape(2, BANDS)
    rest = (np.full(2, 9), np.arange(2))
    assert cluster(pa.array(["a", "b"]), keys, sketches, *rest).num_rows == 0
    keys[1, BANDS - 1] = keys[0, BANDS - 1]
    assert cluster(pa.array(["a", "b"]), keys, sketches, *rest).num_rows == 2


def test_bins_that_are_empty_in_both_say_nothing():
    half = row()
    half[: BINS // 2] = 0
    assert clustered({"a": half, "b": half}, threshold=1.0).keys() == {"a", "b"}
    other = half.copy()
    other[BINS // 2 : 3 * BINS // 4] = 0
    assert clustered({"a": half, "b": other}, threshold=0.6) == {}
    assert clustered({"a": half, "b": other}, threshold=0.5).keys() == {"a", "b"}


def test_a_row_gives_way_to_the_most_similar_unless_it_resembles_one_that_goes_first():
    held_out = row()
    middle = like(held_out, 0.8)
    rows = {"held-out": held_out, "other": like(middle, 0.85, first=300), "row": middle}
    rank = {"held-out": 0, "other": 1, "row": 2}
    assert clustered(rows, rank)["other"][1] == "other"
    assert clustered(rows, rank)["row"][1] == "other"
    assert clustered(rows, rank, is_first=np.array([True, False, False]))["row"][1] == "held-out"


def test_the_end_of_a_chain_stays_in_the_cluster_but_is_kept():
    base = row()
    middle = like(base, 0.8)
    chain = {"a": base, "b": middle, "c": like(middle, 0.8, first=500)}
    found = clustered(chain)
    assert {name for name, (_, kept, _) in found.items() if kept == name} == {"a", "c"}
    assert {home for home, _, _ in found.values()} == {"a"}


def test_no_two_rows_that_resemble_each_other_both_stay():
    family = [row()]
    for _ in range(60):
        family.append(like(family[RNG.integers(len(family))], 0.85, first=int(RNG.integers(BINS))))
    rows = {f"{i:02d}": values for i, values in enumerate(family)}
    kept = [rows[name] for name, (_, keeper, _) in clustered(rows).items() if keeper == name]
    agreements = [(one == other).mean() for i, one in enumerate(kept) for other in kept[:i]]
    assert max(agreements, default=0) < 0.7


def test_short_documents_never_join():
    nothing = np.zeros(BINS, np.uint8)
    assert clustered({"a": nothing, "b": nothing}, n_tokens=4) == {}


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows_give_an_empty_table(n):
    keys, sketches = np.zeros((n, BANDS), np.uint32), np.zeros((n, BINS), np.uint8)
    found = cluster(pa.array(["a"][:n], pa.string()), keys, sketches, np.full(n, 9), np.zeros(n, int))
    assert (found.num_rows, found.schema) == (0, CLUSTERS)


def test_a_threshold_out_of_range_is_refused():
    with pytest.raises(ValueError, match="threshold"):
        clustered({"a": row()}, threshold=1.2)


def planted(n: int, n_copies: int, seed: int) -> tuple[list[str], list[tuple[int, int]]]:
    rng = random.Random(seed)
    texts = real_sources(n, seed)
    pairs = []
    for original in rng.sample(range(n), n_copies):
        copy = rng.choice(WAYS)(texts[original], rng)
        if copy != texts[original]:
            pairs.append((original, len(texts)))
            texts.append(copy)
    return texts, pairs


def test_planted_near_copies_of_real_files_are_found_and_what_goes_resembles_what_stays():
    texts, pairs = planted(300, 240, seed=11)
    names = [f"{i:04d}" for i in range(len(texts))]
    signed = signatures(pa.array(texts, pa.large_string()))
    keys, ranks = band_keys(signed.signature), np.zeros(len(texts), np.int64)
    table = cluster(pa.array(names), keys, signed.sketch, signed.n_tokens, ranks).to_pylist()
    home = {item["id"]: item["cluster"] for item in table}
    gone = {item["id"]: item["kept_id"] for item in table if item["id"] != item["kept_id"]}
    true = {pair: similarity(texts[pair[0]], texts[pair[1]]) for pair in pairs}

    def recall(at_least: float) -> float:
        wanted = [(names[a], names[b]) for (a, b), value in true.items() if value >= at_least]
        return sum(a in home and home[a] == home.get(b) and (a in gone or b in gone) for a, b in wanted) / len(wanted)

    assert recall(0.85) >= 0.99
    assert recall(0.7) >= 0.98
    alike = [similarity(texts[int(name)], texts[int(keeper)]) >= 0.7 for name, keeper in gone.items()]
    assert np.mean(alike) >= 0.96


def test_the_order_of_rows_changes_nothing():
    texts, _ = planted(60, 40, seed=12)
    signed = signatures(pa.array(texts, pa.large_string()))
    names, ranks = np.array([f"{i * 7919 % 1000:03d}" for i in range(len(texts))]), np.arange(len(texts)) % 3
    keys = band_keys(signed.signature)

    def run(order) -> pa.Table:
        rest = (signed.sketch[order], signed.n_tokens[order], ranks[order])
        return cluster(pa.array(names[order]), keys[order], *rest)

    expected = run(np.arange(len(texts)))
    assert expected.num_rows > 20
    assert all(run(np.random.default_rng(seed).permutation(len(texts))).equals(expected) for seed in range(3))
