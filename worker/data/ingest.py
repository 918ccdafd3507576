"""ingest_dataset: folders of source files to a cleaned, deduplicated, split dataset.

    walk, language, size, sample      here, on names and sizes alone
    read, encoding, lines, redaction  per shard of files, over Daft (worker.data.shard)
    deduplication, parts              on ids and hashes, then per range of ids (worker.data.publish)

Redaction runs before deduplication, and the split is a hash of the redacted content: files that differ in nothing
but an address are one document, and cannot stand on both sides of the split.

The same files and recipe give the same bytes, whatever the number of threads and wherever the folders lie. It does
not look for near duplicates, parse files or detect licences.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from worker.context import Context, Outcome, Stopped
from worker.data import shard, steps
from worker.data.documents import DROPPED, HELD_OUT, document_id, hash_share
from worker.data.engine import map_tasks
from worker.data.funnel import Funnel, add_up
from worker.data.languages import named
from worker.data.publish import Cleaned, publish, report_reasons
from worker.data.walk import Found, walk
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.specs import IngestDataset, IngestRecipe, SourceSpec

VERSION = "1"


def run(spec: IngestDataset, context: Context) -> Outcome:
    """Raises StageFailure (data:user:...) for sources that are missing or give nothing, and Stopped between shards."""
    check(spec)
    funnel = Funnel()
    context.enter("list files")
    found = [item for source in spec.sources for item in walk(source, spec.sources)]
    listing, dropped = choose(found, spec, funnel)
    _refuse_empty_sources(spec.sources, listing, funnel, context)
    listing, beyond = sample(listing, spec.recipe, funnel)
    terms = terms_of(spec)
    shards = shard.cut(listing, context.work / "shards", VERSION, terms)
    _clean(shards, terms, len(listing), context)
    cleaned = _collect(shards, [dropped, beyond], funnel, [item.size_bytes for item in found if item.problem is None])
    return _publish(cleaned, spec, context)


def check(spec: IngestDataset) -> None:
    """Refuse a spec that cannot mean anything, before the first file is touched."""
    names = [source.name for source in spec.sources]
    unknown = [name for name in spec.recipe.languages if named(name) is None]
    problems = (
        (not names, "it names no source"),
        (len(set(names)) < len(names), f"two sources share a name: {', '.join(sorted(names))}"),
        (any("\0" in name or not name for name in names), "a source has no usable name"),
        (bool(unknown), f"no language is called {', '.join(unknown)}"),
        (not 0 <= spec.recipe.held_out_share < 1, f"a held-out share of {spec.recipe.held_out_share} is not in [0, 1)"),
    )
    for is_so, detail in problems:
        if is_so:
            raise StageFailure("data:user:bad-recipe", detail=detail)


def terms_of(spec: IngestDataset) -> shard.Terms:
    return shard.Terms(
        recipe=spec.recipe,
        roots={source.name: source.location for source in spec.sources},
        licenses={source.name: source.license for source in spec.sources},
        held_out_sources=frozenset(source.name for source in spec.sources if source.held_out),
    )


def choose(found: Sequence[Found], spec: IngestDataset, funnel: Funnel) -> tuple[pa.Table, pa.Table]:
    """(files worth reading, sorted by source and path; rows dropped): walk, language and size."""
    batch = _to_batch(found)
    problems = steps.Judged(
        batch,
        pa.array([item.problem for item in found], pa.string()),
        pa.nulls(len(batch), pa.float64()),
        {},
        pa.array([item.detail for item in found], pa.string()),
    )
    kept, dropped = shard.run_step("walk", problems, batch, funnel)
    losses = [dropped]
    for name, step in (("language", steps.language), ("size", steps.size)):
        kept, dropped = shard.run_step(name, step(kept, spec.recipe), kept, funnel)
        losses.append(dropped)
    listing = pa.Table.from_batches([kept]).sort_by([("source", "ascending"), ("path", "ascending")])
    return listing.select(shard.LISTING.names).cast(shard.LISTING), pa.concat_tables(losses)


def sample(listing: pa.Table, recipe: IngestRecipe, funnel: Funnel) -> tuple[pa.Table, pa.Table]:
    """Files by a seeded hash of their names until `max_total_bytes` is full: a larger total only adds files."""
    if recipe.max_total_bytes is None:
        return listing, DROPPED.empty_table()
    names = zip(listing["source"].to_pylist(), listing["path"].to_pylist(), strict=True)
    order = sorted(
        (hash_share(recipe.seed, "sample", f"{source}\0{path}"), row) for row, (source, path) in enumerate(names)
    )
    sizes = listing["size_bytes"].to_pylist()
    reason, total = ["not-sampled"] * len(listing), 0
    for _, row in order:
        total += sizes[row]
        if total > recipe.max_total_bytes:
            break
        reason[row] = ""
    batch = _with_ids(listing).combine_chunks().to_batches()[0]
    judged = steps.Judged(
        batch, pa.array([code or None for code in reason], pa.string()), batch["size_bytes"].cast(pa.float64()), {}
    )
    kept, dropped = shard.run_step("sample", judged, batch, funnel)
    return pa.Table.from_batches([kept]).select(shard.LISTING.names), dropped


def _clean(shards: Sequence[shard.Shard], terms: shard.Terms, n_files: int, context: Context) -> None:
    """Finished shards of an earlier attempt are passed over quickly: their reports are there."""
    context.enter("clean files")
    by_key = {item.key: item for item in shards}
    n_in = {key: pq.read_metadata(item.listing).num_rows for key, item in by_key.items()}
    done = n_done = 0
    for key in map_tasks(lambda key: shard.clean(by_key[key], terms), list(by_key), context.stop_file):
        done, n_done = done + n_in[key], n_done + 1
        context.progress(done, n_files, "files")
    if n_done < len(by_key):
        raise Stopped(f"stopped after {done} of {n_files} files; {n_done} of {len(by_key)} shards are kept")


def _collect(shards: Sequence[shard.Shard], dropped: list[pa.Table], funnel: Funnel, seen: list[int]) -> Cleaned:
    lost = [*dropped, *(pq.read_table(item.dropped) for item in shards)]
    return Cleaned(
        [item.documents for item in shards], lost, add_up([funnel, *(item.funnel() for item in shards)]), seen
    )


def _publish(cleaned: Cleaned, spec: IngestDataset, context: Context) -> Outcome:
    n_documents = sum(pq.read_metadata(path).num_rows for path in cleaned.documents)
    if n_documents == 0:
        _refuse(spec.sources, cleaned.funnel, context)
    outcome = publish(cleaned, spec.recipe, context.work, context)
    context.reporter.report(
        MessageLogged(f"kept {outcome.counts['documents']} documents; dropped: {report_reasons(cleaned.funnel)}")
    )
    if outcome.counts[HELD_OUT] == 0:
        context.reporter.report(MessageLogged("no document fell into the held-out split", "warning"))
    return outcome


def _refuse_empty_sources(sources: Sequence[SourceSpec], listing: pa.Table, funnel: Funnel, context: Context) -> None:
    """A source that gives no file is a slip of the person who named it; better said before the work than after."""
    present = set(listing["source"].to_pylist())
    empty = [source for source in sources if source.name not in present]
    if empty:
        _refuse(empty, funnel, context)


def _refuse(sources: Sequence[SourceSpec], funnel: Funnel, context: Context) -> None:
    context.reporter.report(MessageLogged(f"nothing was kept; dropped: {report_reasons(funnel)}", "error"))
    raise StageFailure("data:user:source-empty", location=", ".join(source.location for source in sources))


def _to_batch(found: Sequence[Found]) -> pa.RecordBatch:
    columns = {
        "source": pa.array([item.source for item in found], pa.string()),
        "path": pa.array([item.path for item in found], pa.string()),
        "raw_path": pa.array([os.fsencode(item.raw_path) for item in found], pa.binary()),
        "size_bytes": pa.array([item.size_bytes for item in found], pa.int64()),
        "mtime_ns": pa.array([item.mtime_ns for item in found], pa.int64()),
        "language": pa.nulls(len(found), pa.string()),
        "id": pa.array([document_id(item.source, item.path, None) for item in found], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def _with_ids(listing: pa.Table) -> pa.Table:
    names = zip(listing["source"].to_pylist(), listing["path"].to_pylist(), strict=True)
    return listing.append_column("id", pa.array([document_id(*name, None) for name in names], pa.string()))
