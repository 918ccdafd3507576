"""What the cleaning found of the plants (bench.data_plants): shares, and a list of what it missed.

A pair counts where both files came through the filters before deduplication; a plant or decoy, where its file is in the
dataset. A removal is right where the row that was kept in its stead is at least 0.7 like it, by the true Jaccard similarity over
5-grams of the raw files.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.data_plants import name_of, read
from tests.worker.data.near_copies import similarity

SEED, REMOVALS = 3, 300
# Outcomes of files that came as far as deduplication.
REACHED = {"kept", "duplicate", "near-duplicate", "resembles-held-out", "does-not-parse", "too-complex"}


@dataclass(frozen=True)
class Quality:
    """Shares in [0, 1]; `missed` and `harmed`: kinds of plants left and of decoys hit, and how often."""

    exact: float
    near_085: float
    near_07: float
    precision: float
    recall: float
    decoys_hit: float
    kinds: int
    missed: Mapping[str, int]
    harmed: Mapping[str, int]
    counts: Mapping[str, int]


def judge(dataset: Path, planted: Path) -> Quality:
    truth = json.loads((planted / "truth.json").read_text())
    outcomes = _column(dataset / "measures.parquet", "outcome")
    stands = _standing(dataset)
    pairs = {
        "exact": _share(truth["exact"], outcomes, stands),
        "near_085": _share([pair for pair in truth["near"] if pair[2] >= 0.85], outcomes, stands),
        "near_07": _share([pair for pair in truth["near"] if pair[2] >= 0.7], outcomes, stands),
    }
    kept = _column(dataset / "data", "content")
    left = [(kind, value in kept[path]) for path, kind, value in truth["plants"] if path in kept]
    safe = [(kind, text in kept[path]) for path, kind, text in truth["decoys"] if path in kept]
    missed, harmed = _tally(left, lambda stays: stays), _tally(safe, lambda stays: not stays)
    counts = {name: found[1] for name, found in pairs.items()} | {"plants": len(left), "decoys": len(safe)}
    return Quality(
        **{name: found[0] for name, found in pairs.items()},
        precision=_precision(dataset, planted),
        recall=1 - sum(missed.values()) / max(1, len(left)),
        decoys_hit=sum(harmed.values()) / max(1, len(safe)),
        kinds=len({kind for kind, _ in left}),
        missed=missed,
        harmed=harmed,
        counts=counts,
    )


def _tally(found: Sequence[tuple[str, bool]], is_wrong: Callable[[bool], bool]) -> dict[str, int]:
    wrong = [kind for kind, stays in found if is_wrong(stays)]
    return {kind: wrong.count(kind) for kind in sorted(set(wrong))}


def _column(table: Path, column: str) -> dict[str, Any]:
    """path -> value."""
    read_in = pq.read_table(table, columns=["path", column])
    return dict(zip(read_in["path"].to_pylist(), read_in[column].to_pylist(), strict=True))


def _standing(dataset: Path) -> dict[str, str]:
    """path -> the id of the row that stands for it in the end: its own, or the one that it was dropped in favour of."""
    rows = pq.read_table(dataset / "dropped.parquet", columns=["id", "reason", "detail"]).to_pylist()
    instead = {row["id"]: row["detail"] for row in rows if row["reason"] in {"duplicate", "near-duplicate"}}

    def last(name: str) -> str:
        while name in instead:
            name = instead[name]
        return name

    return {path: last(name) for path, name in _column(dataset / "measures.parquet", "id").items()}


def _share(pairs: Sequence[Sequence[Any]], outcomes: Mapping[str, str], stands: Mapping[str, str]) -> tuple[float, int]:
    """(share of the pairs of which one row is left, their number)."""
    seen = [pair for pair in pairs if outcomes.get(pair[0]) in REACHED and outcomes.get(pair[1]) in REACHED]
    found = sum(stands[pair[0]] == stands[pair[1]] for pair in seen)
    return (found / len(seen) if seen else 1.0), len(seen)


def _precision(dataset: Path, planted: Path) -> float:
    """Share of a sample of near-duplicate removals whose true similarity to the kept row is at least 0.7."""
    members = pq.read_table(dataset / "clusters.parquet", columns=["id", "path", "kept", "kept_id"]).to_pylist()
    path_of = {row["id"]: row["path"] for row in members}
    removed = [(row["path"], path_of[row["kept_id"]]) for row in members if not row["kept"]]
    random.Random(SEED).shuffle(removed)
    texts = {name_of(row): row["content"] for row in read(planted / "rows")}
    alike = [similarity(texts[one], texts[other]) >= 0.7 for one, other in removed[:REMOVALS]]
    return sum(alike) / len(alike) if alike else 1.0
