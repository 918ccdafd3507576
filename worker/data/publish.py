"""From cleaned documents to the dataset folder, for every stage that makes one.

data/part-00000.parquet ...   DOCUMENT, sorted by id over all parts dropped.parquet               DROPPED, sorted by
id: no content but the few redacted examples statistics.json               the funnel, reasons with examples,
languages, splits, histograms, redactions, the recipe
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from worker.context import Context, Outcome, Stopped
from worker.data import parts
from worker.data.deduplication import SIGNATURE, find_duplicates
from worker.data.documents import DROPPED, HELD_OUT, HELD_OUT_SOURCE, SPLITS, TRAIN, write_parquet
from worker.data.engine import map_tasks
from worker.data.funnel import Funnel, total_bytes
from worker.data.shard import EXAMPLES_PER_REASON, to_dropped
from worker.manifest import write_atomically
from worker.specs import IngestRecipe

LAYOUT = 1


@dataclass(frozen=True)
class Cleaned:
    """Everything before deduplication: files of documents, dropped rows, the funnel so far, sizes of the files seen."""

    documents: Sequence[Path]
    dropped: Sequence[pa.Table]
    funnel: Funnel
    seen_file_bytes: Sequence[int]


def publish(cleaned: Cleaned, recipe: IngestRecipe, work: Path, context: Context) -> Outcome:
    """Deduplicate, merge and describe. Raises Stopped between parts."""
    context.enter("remove duplicates")
    signatures = pa.concat_tables([ds.dataset(path).to_table(columns=SIGNATURE) for path in cleaned.documents])
    duplicates = find_duplicates(signatures)
    lost = duplicates.append_column("reason", pa.array(["duplicate"] * len(duplicates), pa.string()))
    kept = signatures.filter(pc.invert(pc.is_in(signatures["id"], duplicates["id"].combine_chunks())))
    cleaned.funnel.count("deduplication", len(signatures), total_bytes(signatures), kept, lost)
    dropped = _sorted_with_few_excerpts([*cleaned.dropped, to_dropped(lost)])
    plan = parts.plan(cleaned.documents, duplicates["id"].combine_chunks(), total_bytes(kept), work / "parts")
    _write_parts(plan, context)
    return _assemble(plan, dropped, cleaned, recipe, context)


def report_reasons(funnel: Funnel) -> str:
    """One line for people: most rows first."""
    ordered = sorted(funnel.reasons.items(), key=lambda item: -item[1]["rows"])
    return ", ".join(f"{code} {counts['rows']}" for code, counts in ordered) or "no file was seen"


def _write_parts(plan: parts.Plan, context: Context) -> None:
    context.enter("write the dataset")
    names = [str(part) for part in range(plan.n_parts)]
    done = 0
    for _ in map_tasks(lambda name: parts.write_part(plan, int(name)), names, context.stop_file):
        done += 1
        context.progress(done, plan.n_parts, "parts")
    if done < plan.n_parts:
        raise Stopped(f"stopped after {done} of {plan.n_parts} parts; cleaned files are kept")


def _assemble(plan: parts.Plan, dropped: pa.Table, cleaned: Cleaned, recipe: IngestRecipe, context: Context) -> Outcome:
    folder = context.out / "dataset"
    (folder / "data").mkdir(parents=True)
    for part in range(plan.n_parts):
        plan.path(part).rename(folder / "data" / plan.path(part).name)
    write_parquet(dropped, folder / "dropped.parquet")
    sums = parts.add_sums([plan.sums(part) for part in range(plan.n_parts)])
    statistics = _statistics(sums, dropped, cleaned, recipe)
    write_atomically(folder / "statistics.json", json.dumps(statistics, indent=1, sort_keys=True))
    return Outcome({"dataset": folder}, _counts(sums, dropped), statistics)


def _statistics(sums: Mapping[str, Any], dropped: pa.Table, cleaned: Cleaned, recipe: IngestRecipe) -> dict[str, Any]:
    seen = parts.histogram(cleaned.seen_file_bytes)
    return {
        "layout": LAYOUT,
        "recipe": asdict(recipe) | {"languages": list(recipe.languages)},
        "funnel": cleaned.funnel.to_list(),
        "reasons": cleaned.funnel.reasons_to_dict(_examples(dropped)),
        "repairs": cleaned.funnel.changed,
        "redactions": sums["redactions"],
        "languages": {name: _with_mean(row) for name, row in sums["languages"].items()},
        "sources": {name: _with_mean(row) for name, row in sums["sources"].items()},
        "splits": {name: _with_mean(row) for name, row in sums["splits"].items()},
        "histograms": {
            "file_bytes_seen": seen,
            "file_bytes_kept": sums["file_bytes"],
            "line_characters_kept": sums["line_characters"],
            "bin_upper_bounds": [2**k - 1 for k in range(len(seen))],
        },
    }


def _counts(sums: Mapping[str, Any], dropped: pa.Table) -> dict[str, int]:
    splits = {name: sums["splits"].get(name, {"files": 0, "bytes": 0}) for name in SPLITS}
    return {
        "documents": sum(row["files"] for row in splits.values()),
        "bytes": sum(row["bytes"] for row in splits.values()),
        "lines": sum(row["lines"] for row in sums["languages"].values()),
        "languages": len(sums["languages"]),
        "train": splits[TRAIN]["files"],
        "held_out": splits[HELD_OUT]["files"],
        "held_out_source": splits[HELD_OUT_SOURCE]["files"],
        "dropped": len(dropped),
        "redacted_values": sum(sums["redactions"].values()),
    }


def _with_mean(row: Mapping[str, int]) -> dict[str, float]:
    return {**row, "mean_line_characters": round(row["line_characters"] / max(row["lines"], 1), 2)}


def _sorted_with_few_excerpts(tables: Sequence[pa.Table]) -> pa.Table:
    """Every shard chose its examples; of all of them those with the lowest ids keep their excerpt."""
    table = pa.concat_tables(tables).sort_by([("id", "ascending"), ("path", "ascending")]).combine_chunks()
    seen: dict[str, int] = {}
    is_example = []
    for reason in table["reason"].to_pylist():
        seen[reason] = seen.get(reason, 0) + 1
        is_example.append(seen[reason] <= EXAMPLES_PER_REASON)
    excerpts = pc.if_else(pa.array(is_example, pa.bool_()), table["excerpt"], None)
    return table.set_column(table.column_names.index("excerpt"), DROPPED.field("excerpt"), excerpts)


def _examples(dropped: pa.Table) -> dict[str, list[dict[str, Any]]]:
    examples: dict[str, list[dict[str, Any]]] = {}
    for row in dropped.to_pylist():
        few = examples.setdefault(row["reason"], [])
        if len(few) < EXAMPLES_PER_REASON:
            few.append({name: row[name] for name in row if name not in {"reason", "step"} and row[name] is not None})
    return examples
