"""What a model will see: a shard set's samples token by token, and the documents that each was packed from.

A split is an MDS folder with the tokens (datasets_app.mds) and ledger.parquet with the pieces (worker.shards.packing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets_app import documents, mds
from datasets_app.encoding import Piece, Vocabulary
from datasets_app.parquet import path_of, query

PAGE = 20
PREVIEW_TOKENS = 40
MOST = 100  # samples of one document that a page names; how many there are is said beside them


@dataclass(frozen=True)
class Part:
    """The tokens of one document in a sample. `path` is None where the dataset no longer has the row."""

    document: str
    path: str | None
    unit: str
    language: str
    token_start: int
    token_end: int
    ends: bool
    copy: int
    tokens: list[Piece]


@dataclass(frozen=True)
class Sample:
    """One sample. `starts` as recorded in the shards, None where boundaries were not asked for."""

    index: int
    parts: list[Part]
    starts: tuple[int, ...] | None


@dataclass(frozen=True)
class Listed:
    """A sample in a list."""

    index: int
    n_documents: int
    preview: list[Piece]


@dataclass(frozen=True)
class Holding:
    """The samples that hold a document: how many, and the first MOST of them."""

    total: int
    samples: list[int]


def read(uri: str, split: str, index: int, vocabulary: Vocabulary, dataset_uri: str) -> Sample:
    """Raises IndexError beyond the last sample, Unreadable when files are gone."""
    columns = mds.open_split(uri, split).read(index)
    tokens = columns["tokens"]
    pieces = _pieces(uri, split, [index])
    paths = documents.paths(dataset_uri, [piece["document"] for piece in pieces])
    # Decoded piece by piece: a character that is cut between two samples is never completed by another document.
    parts = [_part(piece, tokens, paths, vocabulary) for piece in pieces]
    return Sample(index, parts, columns.get("starts"))


def page(uri: str, split: str, vocabulary: Vocabulary, first: int) -> list[Listed]:
    """PAGE samples from `first` on."""
    found = mds.open_split(uri, split)
    return listed(uri, split, range(first, min(first + PAGE, len(found))), vocabulary)


def listed(uri: str, split: str, indices: Sequence[int], vocabulary: Vocabulary) -> list[Listed]:
    """Some samples with their first tokens."""
    found = mds.open_split(uri, split)
    held: dict[int, set[str]] = {}
    for piece in _pieces(uri, split, indices):
        held.setdefault(piece["sample"], set()).add(piece["document"])
    return [
        Listed(index, len(held.get(index, ())), vocabulary.pieces(found.read(index)["tokens"][:PREVIEW_TOKENS]))
        for index in indices
    ]


def documents_of(uri: str, split: str, indices: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """{sample: its pieces in order} of some samples."""
    found: dict[int, list[dict[str, Any]]] = {index: [] for index in indices}
    for piece in _pieces(uri, split, indices):
        found[piece["sample"]].append(piece)
    return found


def holding(uri: str, split: str, document: str) -> Holding:
    """Which samples of a split hold some of a document."""
    sql = "SELECT DISTINCT sample FROM read_parquet(?) WHERE document = ? ORDER BY sample"
    rows = query(sql, [_ledger(uri, split), document], "shard set")
    return Holding(len(rows), [row["sample"] for row in rows[:MOST]])


def _pieces(uri: str, split: str, indices: Sequence[int]) -> list[dict[str, Any]]:
    sql = "SELECT * FROM read_parquet(?) WHERE sample BETWEEN ? AND ? AND list_contains(?, sample)"
    if not indices:
        return []
    bounds = [min(indices), max(indices), list(indices)]
    return query(f"{sql} ORDER BY sample, token_start", [_ledger(uri, split), *bounds], "shard set")


def _part(piece: dict[str, Any], tokens: Sequence[int], paths: dict[str, str], vocabulary: Vocabulary) -> Part:
    start, end = piece["token_start"], piece["token_end"]
    return Part(
        document=piece["document"],
        path=paths.get(piece["document"]),
        unit=piece["unit"],
        language=piece["language"],
        token_start=start,
        token_end=end,
        ends=piece["ends"],
        copy=piece.get("copy", 0),
        tokens=vocabulary.pieces(tokens[start:end]),
    )


def _ledger(uri: str, split: str) -> str:
    return f"{path_of(uri)}/{split}/ledger.parquet"
