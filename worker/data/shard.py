"""One shard of files through the steps: the unit of work, of resume and of parallelism.

A shard is a listing of at most SHARD_FILES files or SHARD_BYTES bytes, written once and named by a hash of what it
lists and of the recipe. Cleaning it makes three files of that name, the report last; where the report is, the work
is done:

    <key>.parquet            documents, sorted by id, with a column `redactions`
    <key>.dropped.parquet    the rows that went no further
    <key>.json               its funnel

What of memory a task needs is bounded by SHARD_BYTES and does not grow with the source.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from worker.data import steps
from worker.data.documents import DOCUMENT, DROPPED, content_sha, document_id, split_of, write_parquet
from worker.data.funnel import Funnel, total_bytes
from worker.data.lines import line_statistics
from worker.data.reasons import REASONS
from worker.data.redaction import redact
from worker.manifest import write_atomically
from worker.specs import IngestRecipe

SHARD_FILES = 1_000
SHARD_BYTES = 16_000_000
EXAMPLES_PER_REASON = 5
EXCERPT_CHARACTERS = 300

LISTING = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("path", pa.string()),
        pa.field("raw_path", pa.binary()),
        pa.field("size_bytes", pa.int64()),
        pa.field("mtime_ns", pa.int64()),
        pa.field("language", pa.string()),
    ]
)
CLEANED = DOCUMENT.append(pa.field("redactions", pa.map_(pa.string(), pa.int64())))

CONTENT_STEPS: tuple[tuple[str, steps.Step], ...] = (
    ("encoding", steps.encoding),
    ("lines", steps.lines),
    ("redaction", steps.redaction),
)


@dataclass(frozen=True)
class Terms:
    """What the steps need beside the rows. `roots`, `licenses`: by source name."""

    recipe: IngestRecipe
    roots: Mapping[str, str]
    licenses: Mapping[str, str]
    held_out_sources: frozenset[str]


@dataclass(frozen=True)
class Shard:
    """The files of one shard under its folder."""

    folder: Path
    key: str

    @property
    def listing(self) -> Path:
        return self.folder / f"{self.key}.listing.parquet"

    @property
    def documents(self) -> Path:
        return self.folder / f"{self.key}.parquet"

    @property
    def dropped(self) -> Path:
        return self.folder / f"{self.key}.dropped.parquet"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.key}.json"

    def funnel(self) -> Funnel:
        return Funnel(**json.loads(self.report.read_text()))


def cut(listing: pa.Table, folder: Path, version: str, terms: Terms) -> list[Shard]:
    """Write the listing, in its order, as shards."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    for piece in _pieces(listing):
        shard = Shard(folder, _key(piece, version, terms))
        if not shard.listing.exists():
            write_parquet(piece, shard.listing)
        shards.append(shard)
    return shards


def clean(shard: Shard, terms: Terms) -> None:
    """Read the shard's files, run the steps, write what came of them. Does nothing where the report is there."""
    if shard.report.exists():
        return
    funnel = Funnel()
    listing = pq.read_table(shard.listing).combine_chunks().to_batches()[0]
    batch, unread = run_step("read", read_files(listing, terms.roots), listing, funnel)
    documents, dropped = clean_batch(batch, terms, funnel)
    write_parquet(documents, shard.documents)
    write_parquet(pa.concat_tables([unread, dropped]), shard.dropped)
    write_atomically(shard.report, json.dumps(dataclasses.asdict(funnel), sort_keys=True))


def clean_batch(batch: pa.RecordBatch, terms: Terms, funnel: Funnel) -> tuple[pa.Table, pa.Table]:
    """(documents sorted by id, dropped rows) of a batch with id, source, path, language, size_bytes and raw."""
    losses = [DROPPED.empty_table()]
    for name, step in CONTENT_STEPS:
        batch, dropped = run_step(name, step(batch, terms.recipe), batch, funnel)
        losses.append(dropped)
    return finish(batch, terms).sort_by("id"), pa.concat_tables(losses)


def run_step(
    name: str, judged: steps.Judged, before: pa.RecordBatch, funnel: Funnel
) -> tuple[pa.RecordBatch, pa.Table]:
    """Split a judged batch in (what goes on, rows for dropped.parquet) and book both."""
    kept, lost = steps.split_by_reason(judged)
    dropped = to_dropped(lost)
    funnel.count(name, len(before), total_bytes(before), kept, dropped)
    for repair, rows in judged.changed.items():
        funnel.changed[repair] = funnel.changed.get(repair, 0) + rows
    return kept, dropped


def finish(batch: pa.RecordBatch, terms: Terms) -> pa.Table:
    """The columns that follow from a document's final content."""
    shas = [content_sha(text.encode()) for text in batch["content"].to_pylist()]
    sources = batch["source"].to_pylist()
    share, seed = terms.recipe.held_out_share, terms.recipe.seed
    splits = [split_of(sha, seed, share, s in terms.held_out_sources) for sha, s in zip(shas, sources, strict=True)]
    columns = {
        name: batch[name] for name in ("id", "source", "path", "language", "size_bytes", "content", "redactions")
    }
    columns |= {
        "license": pa.array([terms.licenses[name] for name in sources], pa.string()),
        "split": pa.array(splits, pa.string()),
        "n_lines": pa.array(line_statistics(batch["content"]).n_lines, pa.int64()),
        "content_sha": pa.array(shas, pa.string()),
    }
    return pa.table({name: columns[name] for name in CLEANED.names}).cast(CLEANED)


def read_files(batch: pa.RecordBatch, roots: Mapping[str, str]) -> steps.Judged:
    """Adds `raw` and `id`. A file that cannot be read, or is not what was listed, is dropped in the system's words."""
    raws, details = [], []
    for source, path, size in zip(
        *(batch[name].to_pylist() for name in ("source", "raw_path", "size_bytes")), strict=True
    ):
        raw, detail = _read(os.fsencode(roots[source]) + b"/" + path, size)
        raws.append(raw)
        details.append(detail)
    names = zip(batch["source"].to_pylist(), batch["path"].to_pylist(), raws, strict=True)
    ids = pa.array([document_id(*name) for name in names], pa.string())
    batch = batch.append_column("id", ids).append_column("raw", pa.array(raws, pa.large_binary()))
    reason = pa.array([None if detail is None else "unreadable-file" for detail in details], pa.string())
    return steps.Judged(batch, reason, pa.nulls(len(batch), pa.float64()), {}, pa.array(details, pa.string()))


def to_dropped(lost: pa.RecordBatch) -> pa.Table:
    """Rows of dropped.parquet. The few with the lowest ids of each reason keep an excerpt, always redacted."""
    rows = lost.to_pylist()
    chosen: dict[str, list[str]] = {}
    for row in sorted(rows, key=lambda row: str(row["id"])):
        chosen.setdefault(row["reason"], []).append(row["id"])
    for row in rows:
        row["step"] = REASONS[row["reason"]].step
        is_example = row["id"] in chosen[row["reason"]][:EXAMPLES_PER_REASON]
        row["excerpt"] = _excerpt(row.get("content")) if is_example else None
    return pa.Table.from_pylist(rows, DROPPED)


def _excerpt(content: str | None) -> str | None:
    """Redacted as a whole and then cut: half a key would no longer look like one."""
    return None if content is None else redact(content.encode())[0].decode()[:EXCERPT_CHARACTERS]


def _read(path: bytes, size: int) -> tuple[bytes | None, str | None]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            raw = file.read(size + 1)
    except OSError as error:
        return None, error.strerror or type(error).__name__
    return (raw, None) if len(raw) == size else (None, "changed since it was listed")


def _pieces(listing: pa.Table) -> Iterator[pa.Table]:
    start, n_bytes = 0, 0
    for row, size in enumerate(listing["size_bytes"].to_pylist()):
        if row > start and (row - start >= SHARD_FILES or n_bytes + size > SHARD_BYTES):
            yield listing.slice(start, row - start)
            start, n_bytes = row, 0
        n_bytes += size
    if start < len(listing):
        yield listing.slice(start)


def _key(piece: pa.Table, version: str, terms: Terms) -> str:
    text = json.dumps([version, dataclasses.asdict(terms.recipe), dict(terms.licenses), sorted(terms.held_out_sources)])
    digest = hashlib.sha256(text.encode())
    for row in piece.to_pylist():
        digest.update(repr(sorted(row.items())).encode())
    return digest.hexdigest()[:24]
