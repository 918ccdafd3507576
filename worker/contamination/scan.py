"""One part of a dataset: n-grams looked up in its training rows, candidates, and those that are verified.

A task reads its part by row groups (512 rows, a few MB) and keeps nothing but matches, so its memory is the same for any
part. Held-out rows are passed over: nothing is trained on them. The sums are written last: where they are, the part is
done, and another attempt passes it over.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from worker.contamination import grams
from worker.contamination.probes import CODE, SHAPE, VIEWS, WORDS, Probe, View, tokens_of, view_of
from worker.contamination.verify import KINDS, Document, verify
from worker.data.comments import kinds_of_bytes
from worker.data.documents import TRAIN, write_parquet
from worker.data.limits import give_back_memory
from worker.data.lines import buffer_of
from worker.manifest import write_atomically

MATCH = pa.schema(
    [
        pa.field("task_id", pa.string(), nullable=False),
        pa.field("part", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("similarity", pa.float64(), nullable=False),
        pa.field("overlap", pa.float64(), nullable=False),
        pa.field("ast_similarity", pa.float64()),
        pa.field("n_shared", pa.int32(), nullable=False),
        pa.field("n_grams", pa.int32(), nullable=False),
        pa.field("dataset_uri", pa.string(), nullable=False),
        pa.field("dataset_sha256", pa.string(), nullable=False),
        pa.field("document_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("line_from", pa.int32(), nullable=False),
        pa.field("line_to", pa.int32(), nullable=False),
        pa.field("excerpt", pa.string(), nullable=False),
        pa.field("probe", pa.string(), nullable=False),
    ]
)
PROBES = "probes.pickle"
# Of a problem's part, in one part of a dataset: compared at most, and told at most. What is beyond is counted.
MOST_COMPARED, MOST_TOLD = 1_000, 50
_COLUMNS = ("id", "source", "path", "language", "content", "split")


@dataclass(frozen=True)
class Scan:
    """What the engine runs for each part: data only. A name is "<number>\\t<sha256>\\t<uri>\\t<file>"."""

    folder: Path
    candidate_share: float
    least_similarity: float

    def __call__(self, name: str) -> None:
        number, sha256, uri, file = name.split("\t")
        if not sums_of(self.folder, int(number)).exists():
            found = _Found(load(self.folder), self)
            found.read(Path(file))
            found.write(int(number), uri, sha256)
            give_back_memory()


def save(probes: list[Probe], folder: Path) -> None:
    """Once for all tasks: what they look for, as they read it."""
    write_atomically_bytes(folder / PROBES, pickle.dumps(probes, protocol=5))


@lru_cache(maxsize=1)
def load(folder: Path) -> Mapping[str, View]:
    """The views of the probes that `save` wrote."""
    probes = pickle.loads((folder / PROBES).read_bytes())  # noqa: S301 - written by this job, in its own folder
    return {view: view_of(probes, view) for view in VIEWS}


def matches_of(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.parquet"


def sums_of(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05d}.json"


def write_atomically_bytes(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


@dataclass
class _Found:
    """What one part gave so far."""

    views: Mapping[str, View]
    asked: Scan
    rows: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    compared: dict[tuple[str, str], int] = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=lambda: {"documents": 0, "bytes": 0, "not_compared": 0})

    def read(self, file: Path) -> None:
        """The rows of one Parquet file that are trained on."""
        source = pq.ParquetFile(file)
        for group in range(source.num_row_groups):
            table = source.read_row_group(group, columns=list(_COLUMNS), use_threads=False)
            table = table.filter(pc.equal(table["split"], TRAIN))
            if len(table):
                self._read_rows(table.combine_chunks())

    def _read_rows(self, table: pa.Table) -> None:
        content = table["content"].chunk(0)
        self.sums["documents"] += len(table)
        data, offsets = buffer_of(content)
        self.sums["bytes"] += len(data)
        kinds = kinds_of_bytes(content, table["language"].combine_chunks())
        hits = dict(zip((CODE, SHAPE), grams.find_code(data, offsets, kinds, *self._tables()), strict=True))
        hits[WORDS] = grams.find_words(data, offsets, self.views[WORDS].table)
        candidates: dict[int, list[tuple[Probe, npt.NDArray[np.int64], npt.NDArray[np.int64]]]] = {}
        for view in VIEWS:
            for row, *rest in _candidates(hits[view], self.views[view], self.asked.candidate_share):
                candidates.setdefault(row, []).append(tuple(rest))  # type: ignore[arg-type]
        for row in sorted(candidates):
            self._compare(table.slice(row, 1).to_pylist()[0], candidates[row])

    def _tables(self) -> tuple[grams.Table, grams.Table]:
        return self.views[CODE].table, self.views[SHAPE].table

    def _compare(
        self, row: Mapping[str, Any], candidates: list[tuple[Probe, npt.NDArray[np.int64], npt.NDArray[np.int64]]]
    ) -> None:
        views = {CODE if probe.view == SHAPE else probe.view for probe, _, _ in candidates}
        tokens = {view: tokens_of(row["content"], row["language"], view) for view in sorted(views)}
        document = Document(row["content"], row["language"], tokens)
        best: dict[tuple[str, str], dict[str, Any]] = {}
        for probe, ends, places in candidates:
            key = (probe.task_id, probe.part)
            self.compared[key] = self.compared.get(key, 0) + 1
            if self.compared[key] > MOST_COMPARED:
                self.sums["not_compared"] += 1
                continue
            match = verify(probe, document, ends, places, self.asked.least_similarity)
            if match is not None:
                found = {**vars(match), "n_grams": len(probe.grams), "probe": probe.text, "task_id": probe.task_id}
                found |= {"part": probe.part, "document_id": row["id"]}
                best[key] = min(best.get(key, found), found, key=_order)
        for key, found in best.items():
            told = {name: row[name] for name in ("source", "path", "language")}
            self.rows.setdefault(key, []).append({**found, **told})

    def write(self, number: int, uri: str, sha256: str) -> None:
        rows = [row for key in sorted(self.rows) for row in sorted(self.rows[key], key=_order)[:MOST_TOLD]]
        table = pa.Table.from_pylist(
            [{**row, "dataset_uri": uri, "dataset_sha256": sha256} for row in rows], schema=MATCH
        )
        write_parquet(table, matches_of(self.asked.folder, number))
        documents: dict[str, set[str]] = {}
        for (task_id, _), found in self.rows.items():
            documents.setdefault(task_id, set()).update(row["document_id"] for row in found)
        n_rows = {task_id: len(found) for task_id, found in documents.items()}
        text = json.dumps({**self.sums, "n_rows": n_rows}, sort_keys=True)
        write_atomically(sums_of(self.asked.folder, number), text)


def _order(row: Mapping[str, Any]) -> tuple[float, int, str]:
    """The most alike first; of equals the less changed, then by id."""
    return (-row["similarity"], KINDS.index(row["kind"]), row["document_id"])


def _candidates(
    hits: npt.NDArray[np.int64], view: View, share: float
) -> Iterator[tuple[int, Probe, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """(row, probe, ends of its hits, their places in the probe) where enough of a probe's distinct n-grams were met."""
    if not len(hits):
        return
    each = np.diff(view.firsts)[hits[:, grams.GRAM]]
    which = np.repeat(np.arange(len(hits)), each)
    within = np.arange(len(which)) - np.repeat(np.cumsum(each) - each, each)
    owners = view.owners[view.firsts[hits[which, grams.GRAM]] + within]
    pair = hits[which, grams.ROW] * len(view.probes) + owners
    distinct = np.unique(np.stack([pair, hits[which, grams.GRAM]]), axis=1)
    pairs, met = np.unique(distinct[0], return_counts=True)
    needed = np.maximum(1, np.ceil(share * view.n_grams[pairs % len(view.probes)]))
    wanted = pairs[met >= needed]
    order = np.argsort(pair, kind="stable")
    starts = np.searchsorted(pair[order], wanted)
    stops = np.searchsorted(pair[order], wanted, side="right")
    for one, start, stop in zip(wanted.tolist(), starts.tolist(), stops.tolist(), strict=True):
        mine = which[order[start:stop]]
        probe = view.probes[one % len(view.probes)]
        yield one // len(view.probes), probe, hits[mine, grams.END], _places(view, probe, hits[mine, grams.GRAM])


def _places(view: View, probe: Probe, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where in the probe each n-gram of the view begins."""
    values = view.grams[numbers]
    return probe.places[np.searchsorted(probe.grams, values)]
