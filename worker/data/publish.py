"""From cleaned shards to the dataset folder, for every stage that makes one.

data/part-00000.parquet ...   DOCUMENT, sorted by id over all parts
dropped.parquet               DROPPED, sorted by id: no content but the few redacted examples
measures.parquet              MEASURES, sorted by id: what filters are tried on before they are run
clusters.parquet              CLUSTERS: near duplicates, the largest clusters first
statistics.json               the funnel, reasons by language with examples, languages, licences, sources, splits,
                              histograms, changes, the mixture, the recipe
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from worker import specs
from worker.cleaning import completed
from worker.cleaning.mixing import mixture
from worker.context import Context, Outcome, Stopped
from worker.data import buckets, parts
from worker.data.deduplication import LOST, Decisions, Rules, decide
from worker.data.documents import (
    CLUSTERS,
    DROPPED,
    HELD_OUT,
    HELD_OUT_SOURCE,
    MEASURES,
    SPLITS,
    TRAIN,
    ParquetFile,
    write_parquet,
)
from worker.data.engine import map_tasks
from worker.data.funnel import Funnel, total_bytes
from worker.data.limits import give_back_memory
from worker.data.shard import EXAMPLES_PER_REASON, Shard
from worker.data.steps import DATASET, planned
from worker.events import MetricsLogged
from worker.manifest import write_atomically
from worker.specs import IngestRecipe

LAYOUT = 3
# As DuckDB reads them: one row group is what one thread scans at a time.
MEASURES_PER_GROUP = 122_880
DROPPED_PER_GROUP = 20_000


@dataclass(frozen=True)
class Cleaned:
    """Everything before deduplication: shards, files of rows dropped before reading, the funnel, sizes seen by bin."""

    shards: Sequence[Shard]
    dropped: Sequence[Path]
    funnel: Funnel
    seen: Sequence[int]


def publish(cleaned: Cleaned, recipe: IngestRecipe, held_out_sources: frozenset[str], context: Context) -> Outcome:
    """Deduplicate, split, merge and describe. Raises Stopped between parts."""
    context.enter("remove duplicates")
    rules = rules_of(recipe, held_out_sources)
    decisions = decide([shard.signatures for shard in cleaned.shards], rules, context.work)
    kept_bytes = _book(decisions, cleaned.funnel)
    context.reporter.report(MetricsLogged(1 + sum(cleaned.seen), cleaned.funnel.to_metrics()))
    plan = _plan(cleaned, decisions, recipe, rules, parts.n_parts(kept_bytes), context.work)
    _write_parts(plan, context)
    return _assemble(plan, decisions.clusters, cleaned, recipe, context)


def rules_of(recipe: IngestRecipe, held_out_sources: frozenset[str]) -> Rules:
    chosen = {step.name: completed(step.name, step.parameters) for step in recipe.steps}
    near = chosen.get("near_deduplication", completed("near_deduplication", {}))
    return Rules(
        exact="exact_deduplication" in chosen,
        near="near_deduplication" in chosen,
        threshold=near["threshold"],
        held_out_share=recipe.held_out_share,
        seed=recipe.seed,
        held_out_sources=held_out_sources,
    )


def report_reasons(funnel: Funnel) -> str:
    """One line for people: most rows first."""
    return ", ".join(f"{code} {rows}" for code, rows in funnel.rows_by_reason().items()) or "no file was seen"


def _book(decisions: Decisions, funnel: Funnel) -> int:
    """Book each step of deduplication; how many bytes are left."""
    rows = decisions.rows.select(["id", "size_bytes"])
    for step, lost in decisions.lost.items():
        kept = rows.filter(pc.invert(pc.is_in(rows["id"], lost["id"].combine_chunks())))
        funnel.count(step, rows, kept, lost)
        rows = kept
    return total_bytes(rows)


def _plan(
    cleaned: Cleaned, decisions: Decisions, recipe: IngestRecipe, rules: Rules, n_parts: int, work: Path
) -> parts.Plan:
    lost = pa.concat_tables([LOST.empty_table(), *decisions.lost.values()])
    held_out = pa.table({"id": decisions.held_out})
    steps = planned(recipe.steps, DATASET)
    folder = parts.folder_of(work, [shard.key for shard in cleaned.shards], [lost, held_out], steps)
    buckets.write(lost, folder / "lost")
    buckets.write(held_out, folder / "held_out")
    return parts.Plan(
        documents=[shard.documents for shard in cleaned.shards],
        dropped=[*cleaned.dropped, *(shard.dropped for shard in cleaned.shards)],
        measures=[shard.measures for shard in cleaned.shards],
        lost=folder / "lost",
        held_out=folder / "held_out",
        held_out_sources=rules.held_out_sources,
        steps=steps,
        n_parts=n_parts,
        folder=folder,
    )


def _write_parts(plan: parts.Plan, context: Context) -> None:
    context.enter("write the dataset")
    done = 0
    for _ in map_tasks(PartTask(plan), [str(part) for part in range(plan.n_parts)], context.stop_file):
        done += 1
        context.progress(done, plan.n_parts, "parts")
    if done < plan.n_parts:
        raise Stopped(f"stopped after {done} of {plan.n_parts} parts; they and the cleaned files are kept")


@dataclass(frozen=True)
class PartTask:
    """What the engine runs for each part: data only."""

    plan: parts.Plan

    def __call__(self, name: str) -> None:
        parts.write_part(self.plan, int(name))
        give_back_memory()


def _assemble(
    plan: parts.Plan, clusters: pa.Table, cleaned: Cleaned, recipe: IngestRecipe, context: Context
) -> Outcome:
    folder = context.out / "dataset"
    (folder / "data").mkdir(parents=True)
    for part in range(plan.n_parts):
        # Linked, not moved: a process that dies here leaves the part for the next attempt.
        os.link(plan.path(part, "parquet"), folder / "data" / plan.path(part, "parquet").name)
    write_parquet(clusters, folder / "clusters.parquet", DROPPED_PER_GROUP)
    _join(plan, "measures", MEASURES, folder / "measures.parquet", MEASURES_PER_GROUP, lambda table: table)
    examples = Examples()
    _join(plan, "dropped", DROPPED, folder / "dropped.parquet", DROPPED_PER_GROUP, examples.thin_out)
    sums = parts.add_sums([plan.sums(part) for part in range(plan.n_parts)])
    cleaned.funnel.add(Funnel(**sums.pop("funnel")))
    statistics = _statistics(sums, clusters, examples.of, cleaned, recipe)
    write_atomically(folder / "statistics.json", json.dumps(statistics, indent=1, sort_keys=True))
    return Outcome({"dataset": folder}, _counts(sums, clusters), statistics)


def _join(
    plan: parts.Plan, kind: str, schema: pa.Schema, path: Path, per_group: int, look: Callable[[pa.Table], pa.Table]
) -> None:
    """The parts' tables of a kind as one file with even row groups, holding a row group and a part at a time."""
    with ParquetFile(path, schema) as file:
        for table in _evenly(plan, kind, schema, per_group):
            file.write(look(table), per_group)


def _evenly(plan: parts.Plan, kind: str, schema: pa.Schema, per_group: int) -> Iterator[pa.Table]:
    waiting = schema.empty_table()
    for part in range(plan.n_parts):
        waiting = pa.concat_tables([waiting, buckets.read(plan.path(part, kind), schema)])
        while len(waiting) >= per_group:
            yield waiting.slice(0, per_group)
            waiting = waiting.slice(per_group).combine_chunks()
    yield waiting


class Examples:
    """Every shard chose its examples of each reason; of all of them those with the lowest ids keep their excerpt."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.of: dict[str, list[dict[str, Any]]] = {}

    def thin_out(self, table: pa.Table) -> pa.Table:
        """The next rows by id, those that are no example without their excerpt."""
        is_example = []
        for row, reason in enumerate(table["reason"].to_pylist()):
            self.seen[reason] += 1
            is_example.append(self.seen[reason] <= EXAMPLES_PER_REASON)
            if is_example[-1]:
                about = table.slice(row, 1).to_pylist()[0]
                shown = {name: value for name, value in about.items() if name not in {"reason", "step"}}
                few = self.of.setdefault(reason, [])
                few.append({name: value for name, value in shown.items() if value is not None})
        excerpts = pc.if_else(pa.array(is_example, pa.bool_()), table["excerpt"], None)
        return table.set_column(table.column_names.index("excerpt"), DROPPED.field("excerpt"), excerpts)


def _statistics(
    sums: Mapping[str, Any],
    clusters: pa.Table,
    examples: Mapping[str, list[dict[str, Any]]],
    cleaned: Cleaned,
    recipe: IngestRecipe,
) -> dict[str, Any]:
    tokens = {source: row["tokens"] for source, row in sums["train_sources"].items()}
    prefix = "redaction:"
    redactions = {name.removeprefix(prefix): n for name, n in sums["changes"].items() if name.startswith(prefix)}
    return {
        "layout": LAYOUT,
        "recipe": specs.to_dict(recipe),
        "funnel": cleaned.funnel.to_list(),
        "reasons": cleaned.funnel.reasons_to_dict(examples),
        "repairs": cleaned.funnel.changed,
        "redactions": redactions,
        **{name: _with_means(sums[name]) for name in ("languages", "licenses", "sources", "splits")},
        "clusters": {"clusters": pc.count_distinct(clusters["cluster"]).as_py(), "rows": len(clusters)},
        "mixture": mixture(recipe.mixture, tokens),
        "histograms": {
            "file_bytes_seen": list(cleaned.seen),
            "file_bytes_kept": sums["file_bytes"],
            "line_characters_kept": sums["line_characters"],
            "tokens_kept": sums["tokens"],
            "bin_upper_bounds": [2**k - 1 for k in range(len(cleaned.seen))],
        },
    }


def _counts(sums: Mapping[str, Any], clusters: pa.Table) -> dict[str, int]:
    nothing = {"files": 0, "bytes": 0, "tokens": 0}
    splits = {name: sums["splits"].get(name, nothing) for name in SPLITS}
    redacted = sum(n for name, n in sums["changes"].items() if name.startswith("redaction:"))
    return {
        "documents": sum(row["files"] for row in splits.values()),
        "bytes": sum(row["bytes"] for row in splits.values()),
        "tokens": sum(row["tokens"] for row in splits.values()),
        "lines": sum(row["lines"] for row in sums["languages"].values()),
        "languages": len(sums["languages"]),
        "train": splits[TRAIN]["files"],
        "held_out": splits[HELD_OUT]["files"],
        "held_out_source": splits[HELD_OUT_SOURCE]["files"],
        "dropped": sums["dropped"],
        "redacted_values": redacted,
        "clusters": pc.count_distinct(clusters["cluster"]).as_py(),
    }


def _with_means(rows: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    return {
        name: {**row, "mean_line_characters": round(row["line_characters"] / max(row["lines"], 1), 2)}
        for name, row in rows.items()
    }


__all__ = ["CLUSTERS", "Cleaned", "publish", "report_reasons"]
