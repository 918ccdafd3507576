"""ingest_dataset: sources of raw files to a cleaned, deduplicated, split dataset.

    list files         what each source holds, and the steps that need no content; names and sizes alone
    clean files        the steps over content, per shard of files, over the engine (worker.data.shard)
    remove duplicates  all documents together, by hashes and signatures (worker.data.deduplication)
    write the dataset  per range of ids, with the steps over survivors (worker.data.parts)

Which steps, in which order, with which parameters: the recipe, of worker.cleaning's catalogue. Redaction runs before
deduplication, and the split is a hash of the redacted content: files that differ in nothing but an address are one
document, and cannot stand on both sides of the split.

The same files and recipe give the same bytes, whatever the number of threads and wherever the folders lie. Every phase
keeps what it finished under `work`; an attempt that was killed goes on from there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from worker import cleaning
from worker.context import Context, Outcome, Stopped
from worker.data import buckets, engine, preview, shard
from worker.data.documents import DROPPED, HELD_OUT, hash_share
from worker.data.engine import map_tasks
from worker.data.funnel import Funnel, add_up
from worker.data.kept import Kept, days_kept
from worker.data.languages import named
from worker.data.limits import give_back_memory, no_more_than, telling_ends
from worker.data.lines import BINS, log_histogram
from worker.data.publish import Cleaned, publish, report_reasons
from worker.data.sources import open_source, tabulate
from worker.data.steps import CONTENT, FILES, Planned, planned
from worker.data.steps.judged import Judged, judged
from worker.events import MessageLogged, MetricsLogged
from worker.failures import StageFailure
from worker.specs import IngestDataset, IngestRecipe, SourceSpec

VERSION = "3"
FUNNELS_TOLD = 20


@dataclass
class Listed:
    """What is to be read, the files of rows that are not, the sizes of all that was seen by bin, what each source held.

    `empty`: sources that gave nothing to read, the sample aside.
    """

    listing: pa.Table
    dropped: list[Path]
    seen: list[int]
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    empty: list[SourceSpec] = field(default_factory=list)


def reuses_receipt(spec: IngestDataset) -> bool:
    """A preview is of now."""
    return spec.preview_rows is None


def state_of(spec: IngestDataset) -> dict[str, Any]:
    """What the spec does not say of the work: the state of each source, and the versions of the steps."""
    if spec.preview_rows is not None:
        return {}
    check(spec)
    snapshots = {source.name: open_source(source, spec.sources).snapshot() for source in spec.sources}
    return {"sources": snapshots, "steps": {name: step.version for name, step in cleaning.STEPS.items()}}


def run(spec: IngestDataset, context: Context) -> Outcome:
    """Raises StageFailure (data:...) for sources that are missing or give nothing, and Stopped between tasks."""
    check(spec)
    if spec.preview_rows is not None:
        with no_more_than(context, preview.MEMORY_BYTES):
            return preview.preview(spec.sources[0], spec.preview_rows, context)
    with no_more_than(context), telling_ends(context.job_dir):
        return _run(spec, context)


def _run(spec: IngestDataset, context: Context) -> Outcome:
    funnel = Funnel()
    machines = engine.prepare(context)
    context.enter("list files")
    listed = list_files(spec, context.work, funnel)
    if listed.empty:  # a slip of the person who named them; better said before the work than after
        _refuse(listed.empty, funnel, context)
    kept = Kept(context.storage_url)
    terms = terms_of(spec, context.work / "sources", kept)
    n_files = len(listed.listing)
    shards = shard.cut(listed.listing, context.work / "shards", VERSION, terms)
    listed.listing = listed.listing.slice(0, 0)  # a million rows are of no use from here on
    _clean(shards, terms, n_files, funnel, context)
    _evict(kept, context)
    cleaned = Cleaned(shards, listed.dropped, add_up([funnel, *(item.funnel() for item in shards)]), listed.seen)
    outcome = _publish(cleaned, spec, context)
    return replace(outcome, summary={**outcome.summary, "read": listed.sources, "engine": machines})


def check(spec: IngestDataset) -> None:
    """Refuse a spec that cannot mean anything, before the first file is touched."""
    names = [source.name for source in spec.sources]
    problems = (
        (not names, "it names no source."),
        (len(set(names)) < len(names), f"two sources share a name: {', '.join(sorted(names))}."),
        (any("\0" in name or not name for name in names), "a source has no usable name."),
    )
    for detail in [
        *(detail for is_so, detail in problems if is_so),
        *recipe_problems(spec.recipe),
        *_mixture_problems(spec),
    ]:
        raise StageFailure("data:user:bad-recipe", detail=detail)


def recipe_problems(recipe: IngestRecipe) -> Iterator[str]:
    """Sentences that name the step and the parameter."""
    yield from cleaning.problems([(step.name, step.parameters) for step in recipe.steps])
    if not 0 <= recipe.held_out_share < 1:
        yield f"A held-out share of {recipe.held_out_share} is not in [0, 1)."
    for step in recipe.steps:
        for parameter in cleaning.STEPS[step.name].parameters if step.name in cleaning.STEPS else ():
            values = step.parameters.get(parameter.name, ())
            strange = [name for name in values if named(name) is None] if parameter.name == "languages" else []
            if strange:
                yield f"Step {step.name}, parameter languages: no language is called {', '.join(strange)}."


def _mixture_problems(spec: IngestDataset) -> Iterator[str]:
    trained = {source.name for source in spec.sources if not source.held_out}
    for source, weight in spec.recipe.mixture.items():
        if source not in trained:
            yield f"The mixture weighs {source}, which is no source to train on."
        elif not 0 <= weight < float("inf"):
            yield f"The mixture's weight of {source} is {weight}, which is no number from 0."
    if spec.recipe.mixture and not any(spec.recipe.mixture.values()):
        yield "All weights of the mixture are 0."


def terms_of(spec: IngestDataset, scratch: Path | None = None, kept: Kept | None = None) -> shard.Terms:
    sources = {source.name: source for source in spec.sources}
    return shard.Terms(planned(spec.recipe.steps, CONTENT), sources, scratch, kept)


def list_files(spec: IngestDataset, work: Path, funnel: Funnel) -> Listed:
    """Source by source, by locator: neighbours in a source are read together."""
    folder = work / "listed"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    listed = Listed(shard.LISTING.empty_table(), [], [0] * BINS)
    steps, chosen = planned(spec.recipe.steps, FILES), [listed.listing]
    for number, source in enumerate(sorted(spec.sources, key=lambda source: source.name)):
        reader = open_source(source, spec.sources, work / "sources")
        found = tabulate(source.name, source.license, reader.list())
        listed.sources[source.name] = _held(reader.snapshot(), found)
        listed.seen = [a + b for a, b in zip(listed.seen, _sizes(found), strict=True)]
        kept, dropped = choose(found, steps, funnel)
        chosen.append(kept)
        listed.empty += [] if len(kept) else [source]
        _put_aside(dropped, folder / f"{number:06d}", listed)
    listing, beyond = sample(pa.concat_tables(chosen), spec.recipe, funnel)
    _put_aside(beyond, folder / "sample", listed)
    listed.listing = listing
    return listed


def choose(found: pa.Table, steps: Sequence[Planned], funnel: Funnel) -> tuple[pa.Table, pa.Table]:
    """(files worth reading, in the order of `found`; rows dropped): the walk's own verdict and the steps over files."""
    batch = pa.RecordBatch.from_struct_array(found.to_struct_array().combine_chunks())
    rows = batch.drop_columns(["problem", "detail"])
    problems = Judged(rows, batch["problem"], pa.nulls(len(batch), pa.float64()), {}, batch["detail"])
    kept, dropped = shard.run_step("walk", problems, rows, funnel)
    losses = [dropped]
    for step in steps:
        kept, dropped = shard.run_step(step.name, step.run(kept), kept, funnel)
        losses.append(dropped)
    return pa.Table.from_batches([kept]).select(shard.LISTING.names).cast(shard.LISTING), pa.concat_tables(losses)


def sample(listing: pa.Table, recipe: IngestRecipe, funnel: Funnel) -> tuple[pa.Table, pa.Table]:
    """Files by a seeded hash of their names until `max_total_bytes` is full: a larger total only adds files."""
    if recipe.max_total_bytes is None or len(listing) == 0:
        return listing, DROPPED.empty_table()
    names = zip(listing["source"].to_pylist(), listing["path"].to_pylist(), strict=True)
    shares = np.array([hash_share(recipe.seed, "sample", f"{source}\0{path}") for source, path in names])
    order, sizes = np.argsort(shares, kind="stable"), listing["size_bytes"].to_numpy()
    is_beyond = np.empty(len(listing), bool)
    is_beyond[order] = np.cumsum(sizes[order]) > recipe.max_total_bytes
    batch = listing.combine_chunks().to_batches()[0]
    verdict = judged(batch, ["not-sampled" if beyond else None for beyond in is_beyond], sizes.astype(float))
    kept, dropped = shard.run_step("sample", verdict, batch, funnel)
    return pa.Table.from_batches([kept]), dropped


@dataclass(frozen=True)
class CleanTask:
    """What the engine runs for each shard: data only."""

    folder: Path
    terms: shard.Terms

    def __call__(self, key: str) -> None:
        shard.clean(shard.Shard(self.folder, key), self.terms)
        give_back_memory()


def _clean(shards: Sequence[shard.Shard], terms: shard.Terms, n_files: int, before: Funnel, context: Context) -> None:
    """Finished shards of an earlier attempt are passed over quickly: their reports are there.

    The funnel so far, which starts with what the listing lost (`before`), is told at most FUNNELS_TOLD times.
    """
    context.enter("clean files")
    n_in = {item.key: pq.read_metadata(item.listing).num_rows for item in shards}
    done = n_done = n_told = 0
    so_far = add_up([before])
    for key in map_tasks(CleanTask(context.work / "shards", terms), list(n_in), context.stop_file):
        done, n_done = done + n_in[key], n_done + 1
        context.progress(done, n_files, "files")
        so_far.add(shard.Shard(context.work / "shards", key).funnel())
        if n_done * FUNNELS_TOLD // len(n_in) > n_told:
            n_told = n_done * FUNNELS_TOLD // len(n_in)
            context.reporter.report(MetricsLogged(done, so_far.to_metrics()))
    if n_done < len(n_in):
        raise Stopped(f"stopped after {done} of {n_files} files; {n_done} of {len(n_in)} shards are kept")


def _evict(kept: Kept, context: Context) -> None:
    """Once this job's own shards are marked as used."""
    days = days_kept()
    n_shards, n_bytes = kept.evict(days)
    if n_shards:
        said = f"removed {n_shards} kept shards, {n_bytes:,} bytes, that no ingest had used for {days:g} days"
        context.reporter.report(MessageLogged(said))


def _publish(cleaned: Cleaned, spec: IngestDataset, context: Context) -> Outcome:
    if not any(item.has_documents() for item in cleaned.shards):
        _refuse(spec.sources, cleaned.funnel, context)
    held_out = frozenset(source.name for source in spec.sources if source.held_out)
    outcome = publish(cleaned, spec.recipe, held_out, context)
    if outcome.counts["documents"] == 0:
        _refuse(spec.sources, cleaned.funnel, context)
    context.reporter.report(
        MessageLogged(f"kept {outcome.counts['documents']} documents; dropped: {report_reasons(cleaned.funnel)}")
    )
    if outcome.counts[HELD_OUT] == 0:
        context.reporter.report(MessageLogged("no document fell into the held-out split", "warning"))
    return outcome


def _refuse(sources: Sequence[SourceSpec], funnel: Funnel, context: Context) -> None:
    context.reporter.report(MessageLogged(f"nothing was kept; dropped: {report_reasons(funnel)}", "error"))
    raise StageFailure("data:user:source-empty", location=", ".join(source.location for source in sources))


def _put_aside(dropped: pa.Table, path: Path, listed: Listed) -> None:
    if len(dropped):
        buckets.write(dropped, path)
        listed.dropped.append(path)


def _held(snapshot: str, found: pa.Table) -> dict[str, Any]:
    """What is told of a source beside the dataset: in it, a time of change would make equal data unequal bytes."""
    good = found.filter(pc.is_null(found["problem"]))
    return {"snapshot": snapshot, "files": len(good), "bytes": pc.sum(good["size_bytes"]).as_py() or 0}


def _sizes(found: pa.Table) -> list[int]:
    sizes = found.filter(pc.is_null(found["problem"]))["size_bytes"].to_numpy()
    counts: list[int] = log_histogram(sizes).tolist()
    return counts
