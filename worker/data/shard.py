"""One shard of files through the steps on content: the unit of work, of resume and of parallelism.

A shard is a listing of at most SHARD_FILES files or SHARD_BYTES bytes of one source, written once and named by a hash
of what it lists, of the steps and of their versions. Cleaning it makes files of that name, the report last; where the
report is, the work is done:

    <key>.documents     what the steps let through (worker.data.buckets)
    <key>.measures      a row for every file that was decoded
    <key>.dropped       the rows that went no further
    <key>.signatures    ids, hashes and MinHash sketches of the documents: all that deduplication reads
    <key>.json          its funnel

What a task needs of memory is bounded by SHARD_BYTES and does not grow with the source.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from worker.cleaning import REASONS
from worker.data import buckets
from worker.data.documents import DOCUMENT, DROPPED, KEPT, MEASURES, content_sha, named_id, write_parquet
from worker.data.funnel import Funnel
from worker.data.kept import Kept
from worker.data.minhash import BANDS, BINS, band_keys, signatures
from worker.data.redaction import redact
from worker.data.sources import open_source
from worker.data.steps import Judged, Planned, split_by_reason
from worker.data.steps.judged import judged, with_column
from worker.data.steps.text import measures_of, with_measures
from worker.manifest import write_atomically
from worker.specs import SourceSpec

LAYOUT = 4
SHARD_FILES = 4_000
SHARD_BYTES = 16_000_000
EXAMPLES_PER_REASON = 5
EXCERPT_CHARACTERS = 300
# A secret that begins within the excerpt ends within this, and an example of a 16 MB line costs no 16 MB of redaction.
EXCERPT_READ_BYTES = 65_536

LISTING = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("path", pa.string()),
        pa.field("locator", pa.binary()),
        pa.field("size_bytes", pa.int64()),
        pa.field("stamp", pa.string()),
        pa.field("language", pa.string()),
        pa.field("license", pa.string()),
        pa.field("repository", pa.string()),
        pa.field("author", pa.string()),
    ]
)
# Without a split, which only all documents together decide.
CLEANED = pa.schema(
    [
        field.with_type(pa.large_string()) if field.name == "content" else field
        for field in DOCUMENT
        if field.name != "split"
    ]
)
SIGNATURES = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("position", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("content_sha", pa.string(), nullable=False),
        pa.field("shingle_tokens", pa.int64(), nullable=False),
        pa.field("band_keys", pa.binary(BANDS * 4), nullable=False),
        pa.field("sketch", pa.binary(BINS), nullable=False),
    ]
)


@dataclass(frozen=True)
class Terms:
    """What a task needs beside the rows. `sources`: by name; `scratch`: where readers unpack (worker.data.sources).

    `kept`: shards that earlier jobs cleaned.
    """

    steps: tuple[Planned, ...]
    sources: Mapping[str, SourceSpec]
    scratch: Path | None = None
    kept: Kept | None = None


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
        return self.folder / f"{self.key}.documents"

    @property
    def measures(self) -> Path:
        return self.folder / f"{self.key}.measures"

    @property
    def dropped(self) -> Path:
        return self.folder / f"{self.key}.dropped"

    @property
    def signatures(self) -> Path:
        return self.folder / f"{self.key}.signatures"

    @property
    def report(self) -> Path:
        return self.folder / f"{self.key}.json"

    @property
    def files(self) -> list[Path]:
        """What cleaning makes, the report last."""
        return [self.documents, self.measures, self.dropped, self.signatures, self.report]

    def has_documents(self) -> bool:
        return self.funnel().lets_rows_through()

    def funnel(self) -> Funnel:
        return Funnel(**json.loads(self.report.read_text()))


@dataclass(frozen=True)
class Cleaned:
    """What the steps made of a batch."""

    documents: pa.Table
    measures: pa.Table
    dropped: pa.Table
    signatures: pa.Table


def cut(listing: pa.Table, folder: Path, version: str, terms: Terms) -> list[Shard]:
    """Write the listing, in its order, as shards, none of them of two sources."""
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
    if shard.report.exists() or (terms.kept is not None and terms.kept.fetch(shard.key, shard.files)):
        return
    funnel = Funnel()
    listing = pq.read_table(shard.listing).combine_chunks().to_batches()[0]
    batch, unread = run_step("read", read_files(listing, terms.sources, terms.scratch), listing, funnel)
    write(shard, clean_batch(batch, terms.steps, funnel, [unread]), funnel)
    if terms.kept is not None:
        terms.kept.keep(shard.key, shard.files)


def write(shard: Shard, cleaned: Cleaned, funnel: Funnel) -> None:
    for table, path in (
        (cleaned.documents, shard.documents),
        (cleaned.measures, shard.measures),
        (cleaned.dropped, shard.dropped),
        (cleaned.signatures, shard.signatures),
    ):
        buckets.write(table, path)
    write_atomically(shard.report, json.dumps(dataclasses.asdict(funnel), sort_keys=True))


def clean_batch(
    batch: pa.RecordBatch, steps: Sequence[Planned], funnel: Funnel, losses: Sequence[pa.Table] = ()
) -> Cleaned:
    """Run the steps over rows with id, source, path, language, license, size_bytes, content_sha and raw."""
    batch = with_column(batch, "position", pa.array(np.arange(len(batch), dtype=np.int32)))
    lost, measured = list(losses), MEASURES.empty_table()
    refused = [DROPPED.empty_table().select(["id", "reason", "language"])]
    for step in steps:
        batch, dropped = run_step(step.name, step.run(batch), batch, funnel)
        if step.name == "encoding":
            batch = with_measures(batch)
            measured = measures_table(batch)
        else:
            refused.append(dropped.select(["id", "reason", "language"]))
        lost.append(dropped)
    documents = finish(batch)
    measures = _with_outcomes(measured, documents, refused)
    return Cleaned(documents, measures, pa.concat_tables(lost), signatures_table(documents, batch["position"]))


def run_step(name: str, verdict: Judged, before: pa.RecordBatch, funnel: Funnel) -> tuple[pa.RecordBatch, pa.Table]:
    """Split a judged batch in (what goes on, rows for dropped.parquet) and book both."""
    kept, lost = split_by_reason(verdict)
    dropped = to_dropped(lost if "id" in lost.schema.names else _named(lost))
    funnel.count(name, before, kept, dropped)
    for what, rows in verdict.changed.items():
        if rows:
            funnel.changed[f"{name}:{what}"] = funnel.changed.get(f"{name}:{what}", 0) + rows
    return kept, dropped


def finish(batch: pa.RecordBatch) -> pa.Table:
    """The columns that follow from a document's final content."""
    known = batch["content_sha"].to_pylist()
    stale = [row for row, sha in enumerate(known) if sha is None]
    for row in stale:
        known[row] = content_sha(batch["content"][row].as_buffer())
    batch = _measured_anew(with_column(batch, "content_sha", pa.array(known, pa.string())), stale)
    batch = with_column(batch, "changes", pa.array(_changes(batch), CLEANED.field("changes").type))
    if "redaction_spans" not in batch.schema.names:
        batch = with_column(batch, "redaction_spans", pa.nulls(len(batch), CLEANED.field("redaction_spans").type))
    return pa.table({name: batch[name] for name in CLEANED.names}).cast(CLEANED)


def read_files(batch: pa.RecordBatch, sources: Mapping[str, SourceSpec], scratch: Path | None = None) -> Judged:
    """Adds `raw`, `id` and `content_sha`. A file that cannot be read, or is not what was listed, goes in its reader's words."""
    raws: list[bytes | None] = [None] * len(batch)
    details: list[str | None] = [None] * len(batch)
    names, locators, sizes = (batch[name].to_pylist() for name in ("source", "locator", "size_bytes"))
    for name in dict.fromkeys(names):
        rows = [row for row, source in enumerate(names) if source == name]
        reader = open_source(sources[name], scratch=scratch)
        found = reader.read([locators[row] for row in rows], [sizes[row] for row in rows])
        for row, (raw, detail) in zip(rows, found, strict=True):
            is_as_listed = raw is None or len(raw) == sizes[row]
            raws[row], details[row] = (raw, detail) if is_as_listed else (None, "changed since it was listed")
    batch = batch.append_column("raw", pa.array(raws, pa.large_binary()))
    reasons = [None if detail is None else "unreadable-file" for detail in details]
    return judged(_identified(batch, raws), reasons, detail=details)


def to_dropped(lost: pa.RecordBatch) -> pa.Table:
    """Rows of dropped.parquet. The few with the lowest ids of each reason keep an excerpt, always redacted."""
    reasons = lost["reason"].to_pylist()
    excerpts: list[str | None] = [None] * len(reasons)
    seen: Counter[str] = Counter()
    for row in pc.sort_indices(lost["id"]).to_pylist() if "content" in lost.schema.names else []:
        seen[reasons[row]] += 1
        if seen[reasons[row]] <= EXAMPLES_PER_REASON:
            excerpts[row] = excerpt_of(lost["content"][row])
    columns = {name: lost[name] for name in DROPPED.names if name in lost.schema.names}
    columns |= {"step": pa.array([REASONS[reason].step for reason in reasons], pa.string())}
    columns |= {"excerpt": pa.array(excerpts, pa.string())}
    return pa.table({name: columns[name] for name in DROPPED.names}).cast(DROPPED)


def excerpt_of(content: pa.Scalar) -> str | None:
    """Redacted and then cut: half a key would no longer look like one."""
    if not content.is_valid:
        return None
    head = content.as_buffer().slice(0, min(EXCERPT_READ_BYTES, content.as_buffer().size)).to_pybytes()
    return redact(head)[0].decode("utf-8", "ignore")[:EXCERPT_CHARACTERS]


def _named(lost: pa.RecordBatch) -> pa.RecordBatch:
    """Ids of rows that were never read."""
    names = zip(lost["source"].to_pylist(), lost["path"].to_pylist(), strict=True)
    return lost.append_column("id", pa.array([named_id(*name, b"") for name in names], pa.string()))


def _identified(batch: pa.RecordBatch, raws: Sequence[bytes | None]) -> pa.RecordBatch:
    """One hash of the bytes serves the id and, while no step changes the content, its own hash."""
    digests = [b"" if raw is None else hashlib.sha256(raw).digest() for raw in raws]
    names = zip(batch["source"].to_pylist(), batch["path"].to_pylist(), digests, strict=True)
    batch = batch.append_column("id", pa.array([named_id(*row) for row in names], pa.string()))
    return batch.append_column("content_sha", pa.array([digest.hex() or None for digest in digests], pa.string()))


def measures_table(batch: pa.RecordBatch) -> pa.Table:
    found = measures_of(batch)
    columns = {name: batch[name] for name in ("id", "source", "path", "language", "license", "size_bytes")}
    columns |= {name: batch[name] for name in ("n_lines", "longest_line", "tokens")}
    columns |= {
        name: pa.array(getattr(found, name).astype(np.float32))
        for name in ("mean_line", "alphanumeric_share", "alphabetic_share")
    }
    columns["outcome"] = pa.array([KEPT] * len(batch), pa.string())
    return pa.table({name: columns[name] for name in MEASURES.names}).cast(MEASURES)


def _with_outcomes(measures: pa.Table, documents: pa.Table, refused: Sequence[pa.Table]) -> pa.Table:
    """`language` and `outcome` as the steps after the measuring left them."""
    if len(measures) == 0:
        return measures
    lost = pa.concat_tables(refused)
    latest = pa.concat_tables(
        [documents.select(["id", "language"]), lost.select(["id", "language"])], promote_options="permissive"
    )
    languages = latest["language"].take(pc.index_in(measures["id"], latest["id"].combine_chunks()))
    place = MEASURES.get_field_index("language")
    return with_outcomes(measures.set_column(place, MEASURES.field("language"), languages), lost)


def with_outcomes(measures: pa.Table, lost: pa.Table) -> pa.Table:
    """Rows of `measures` that are in `lost` (id, reason) get their reason as outcome."""
    reasons = lost["reason"].take(pc.index_in(measures["id"], lost["id"].combine_chunks()))
    place = MEASURES.get_field_index("outcome")
    return measures.set_column(place, MEASURES.field("outcome"), pc.coalesce(reasons, measures["outcome"]))


def _measured_anew(batch: pa.RecordBatch, rows: Sequence[int]) -> pa.RecordBatch:
    """Lines and tokens of rows whose content a step changed after it was measured."""
    if not rows:
        return batch
    found = with_measures(batch.take(pa.array(rows)))
    for name in ("n_lines", "tokens"):
        values = batch[name].to_numpy().copy()
        values[rows] = found[name].to_numpy()
        batch = with_column(batch, name, pa.array(values))
    return batch


def _changes(batch: pa.RecordBatch) -> list[list[tuple[str, int]] | None]:
    repairs = batch["repairs"].to_pylist()
    has_redactions = "redactions" in batch.schema.names
    redactions = batch["redactions"].to_pylist() if has_redactions else [None] * len(batch)
    rows = zip(repairs, redactions, strict=True)
    return [
        [(f"encoding:{name}", 1) for name in repaired] + [(f"redaction:{kind}", n) for kind, n in redacted or ()]
        or None
        for repaired, redacted in rows
    ]


def signatures_table(documents: pa.Table, position: pa.Array) -> pa.Table:
    content = documents["content"].combine_chunks()
    found = signatures(content.chunk(0) if isinstance(content, pa.ChunkedArray) else content)
    columns = {name: documents[name] for name in ("id", "source", "path", "language", "size_bytes", "content_sha")}
    columns |= {"position": position, "shingle_tokens": pa.array(found.n_tokens)}
    columns |= {"band_keys": _packed(band_keys(found.signature)), "sketch": _packed(found.sketch)}
    return pa.table({name: columns[name] for name in SIGNATURES.names}).cast(SIGNATURES)


def _packed(rows: npt.NDArray[Any]) -> pa.Array:
    """A matrix as one value of bytes a row."""
    width = rows.shape[1] * rows.itemsize
    return pa.Array.from_buffers(pa.binary(width), len(rows), [None, pa.py_buffer(np.ascontiguousarray(rows))])


def _pieces(listing: pa.Table) -> Iterator[pa.Table]:
    """Runs of rows of one source within the bounds."""
    start, n_bytes = 0, 0
    sources, sizes = listing["source"].to_pylist(), listing["size_bytes"].to_pylist()
    for row, size in enumerate(sizes):
        is_full = row - start >= SHARD_FILES or n_bytes + size > SHARD_BYTES
        if row > start and (is_full or sources[row] != sources[start]):
            yield listing.slice(start, row - start)
            start, n_bytes = row, 0
        n_bytes += size
    if start < len(listing):
        yield listing.slice(start)


def _key(piece: pa.Table, version: str, terms: Terms) -> str:
    source = dataclasses.asdict(terms.sources[piece["source"][0].as_py()])
    digest = hashlib.sha256(json.dumps([LAYOUT, version, terms.steps, source], sort_keys=True).encode())
    for row in zip(*(piece[name].to_pylist() for name in LISTING.names), strict=True):
        digest.update(repr(row).encode())
    return digest.hexdigest()[:24]
