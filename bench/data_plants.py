"""Plants in a corpus, and the truth about them: copies, near copies, secrets and what only looks like secrets.

The texts are those of the tests (tests.worker.data.plants and near_copies), on seeds of their own. What may be found is
written to truth.json beside the rows:

    exact      [path of the original, path of the copy]
    near       [path of the original, path of the copy, their true Jaccard similarity over 5-grams]
    plants     [path of the file, kind, value]    a value that must be gone
    decoys     [path of the file, kind, text]     lines that must still be there

A file carries one plant and is in no pair, and no original is in two.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from bench.corpus import write
from tests.worker.data.near_copies import WAYS, similarity
from tests.worker.data.plants import Sample, decoys, plants

SEED = 4711  # the rules of redaction were written on seeds below 100, the tests measure on others
EXACT, NEAR, PLANTS, DECOYS = 0.01, 0.03, 0.06, 0.05  # of the files
NEAR_BYTES = range(1_000, 40_000)
Rows = list[dict[str, Any]]


def planted(corpus: Path, seed: int = SEED) -> Path:
    """The folder of the corpus with its plants, beside it; made if it is not there."""
    folder = corpus.with_name(f"{corpus.name}-planted")
    if (folder / "truth.json").exists():
        return folder
    rows = read(corpus)
    truth = plant(rows, random.Random(seed), seed)
    write(rows, folder / "rows")
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def read(folder: Path) -> Rows:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def plant(rows: Rows, chance: random.Random, seed: int) -> dict[str, list[Any]]:
    """Changes and adds rows; returns the truth."""
    n = len(rows)
    fit = [row for row in rows if len(row["content"].encode()) in NEAR_BYTES and "\n" in row["content"]]
    chance.shuffle(fit)
    free = iter(fit)
    secret = [[name_of(row), s.kind, s.value] for row, s in _with_samples(free, plants(seed, int(PLANTS * n)))]
    alike = [[name_of(row), s.kind, s.text] for row, s in _with_samples(free, decoys(seed, int(DECOYS * n)))]
    near = list(_near_copies(rows, free, int(NEAR * n), chance))
    exact = list(_exact_copies(rows, free, int(EXACT * n)))
    return {"exact": exact, "near": near, "plants": secret, "decoys": alike}


def _with_samples(free: Iterator[dict[str, Any]], samples: Iterable[Sample]) -> Iterator[tuple[dict[str, Any], Sample]]:
    """Each sample on lines of its own, in the middle of a file."""
    for sample, row in zip(samples, free, strict=False):
        lines = row["content"].split("\n")
        lines.insert(len(lines) // 2, sample.text)
        row["content"] = "\n".join(lines)
        yield row, sample


def _near_copies(rows: Rows, free: Iterator[dict[str, Any]], n: int, chance: random.Random) -> Iterator[list[Any]]:
    for number in range(n):
        row = next(free, None)
        if row is None:
            return
        text = WAYS[number % len(WAYS)](row["content"], chance)
        copy = {**row, "repo_name": "planted/near", "path": f"{number:05d}/{row['path']}", "content": text}
        rows.append(copy)
        yield [name_of(row), name_of(copy), round(similarity(row["content"], text), 4)]


def _exact_copies(rows: Rows, free: Iterator[dict[str, Any]], n: int) -> Iterator[list[str]]:
    for number in range(n):
        row = next(free, None)
        if row is None:
            return
        copy = {**row, "repo_name": "planted/exact", "path": f"{number:05d}/{row['path']}"}
        rows.append(copy)
        yield [name_of(row), name_of(copy)]


def name_of(row: dict[str, Any]) -> str:
    """The path that the dataset gives a row of a table (worker.data.sources.columns.path_of)."""
    clean = "/".join(part for part in row["path"].split("/") if part not in {"", ".", ".."})
    return f"{row['repo_name']}/{clean}"
