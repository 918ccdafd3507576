"""export_feedback: accepted completions become documents, so that what people kept is trained on next.

`rows.jsonl` has one object a line: id, language, prompt, completion, suffix, accepted, at, deployment, model_version,
author (who asked for the completion, "" where nobody signed in). A document is what stood in the editor after Tab: prompt
+ completion + suffix. Its source is "feedback", its path names the model version and the completion. The steps,
thresholds, split and layout are those of ingest_dataset; with a base, its recipe is used and its documents are part of
the new version, so that one dataset is trained on. Text that the base holds already is a duplicate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from worker import specs
from worker.context import Context, Outcome
from worker.data import shard
from worker.data.adopted import AdoptTask, held_out_sources
from worker.data.documents import FEEDBACK, content_sha, document_id
from worker.data.engine import map_tasks
from worker.data.funnel import Funnel, add_up
from worker.data.languages import extension_of, named
from worker.data.limits import no_more_than, telling_ends
from worker.data.parts import histogram
from worker.data.publish import Cleaned, publish, report_reasons
from worker.data.steps import CONTENT, FILES, Judged, Planned, planned
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.specs import ExportFeedback, IngestRecipe

VERSION = "3"
SOURCE = FEEDBACK
ROWS_AT_ONCE = 1_000
# The people of the installation wrote these texts; no licence of others is claimed for them.
LICENSE = "unknown"


def run(spec: ExportFeedback, context: Context) -> Outcome:
    """Raises data:user:no-rows when no completion is left, data:user:source-missing without rows.jsonl."""
    rows = context.fetch(spec.rows) / "rows.jsonl"
    if not rows.is_file():
        raise StageFailure("data:user:source-missing", location=spec.rows.uri)
    base = None if spec.base is None else context.fetch(spec.base)
    with no_more_than(context), telling_ends(context.job_dir):
        return _run(rows, base, context)


def _run(rows: Path, base: Path | None, context: Context) -> Outcome:
    recipe = IngestRecipe() if base is None else recipe_of(base)
    context.enter("clean completions")
    parts = [] if base is None else sorted((base / "data").glob("part-*.parquet"))
    cleaned = clean(rows, recipe, feedback_ids(parts), context)
    taken = _adopt(parts, context)
    cleaned = Cleaned([*taken, *cleaned.shards], cleaned.dropped, cleaned.funnel, cleaned.seen)
    return publish(cleaned, recipe, held_out_sources(parts), context)


def recipe_of(dataset: Path) -> IngestRecipe:
    """The recipe that a dataset was made with, out of its statistics."""
    raw = json.loads((dataset / "statistics.json").read_text())["recipe"]
    spec: specs.IngestDataset = specs.from_dict("ingest_dataset", {"sources": [], "recipe": raw})
    return spec.recipe


def clean(rows: Path, recipe: IngestRecipe, known: set[str], context: Context) -> Cleaned:
    """The accepted completions, less those with a known id, through the steps, batch by batch."""
    folder = context.work / "feedback"
    folder.mkdir(exist_ok=True)
    on_files, on_content = _on_files(recipe), planned(recipe.steps, CONTENT)
    shards, funnels, sizes = [], [], []
    for number, batch in enumerate(_batches(rows, known)):
        funnel = Funnel()
        shards.append(shard.Shard(folder, f"{number:05d}"))
        shard.write(shards[-1], _clean_batch(batch, on_files, on_content, funnel), funnel)
        funnels.append(funnel)
        sizes += batch["size_bytes"].to_pylist()
    funnel = add_up(funnels)
    if not any(one.lets_rows_through() for one in funnels):
        context.reporter.report(MessageLogged(f"nothing was kept; dropped: {report_reasons(funnel)}", "error"))
        raise StageFailure("data:user:no-rows")
    return Cleaned(shards, [], funnel, histogram(sizes))


def _on_files(recipe: IngestRecipe) -> list[Planned]:
    """Without the licence step: what people here wrote needs nobody's licence."""
    return [step for step in planned(recipe.steps, FILES) if step.name != "licence"]


def _adopt(parts: Sequence[Path], context: Context) -> list[shard.Shard]:
    folder = context.work / "base"
    folder.mkdir(exist_ok=True)
    list(map_tasks(AdoptTask(folder), [str(part) for part in parts], context.stop_file))
    return [shard.Shard(folder, part.stem) for part in parts]


def feedback_ids(parts: Sequence[Path]) -> set[str]:
    """Ids of the completions that a dataset holds already."""
    wanted = ds.field("source") == SOURCE
    return {name for part in parts for name in ds.dataset(part).to_table(["id"], filter=wanted)["id"].to_pylist()}


def _clean_batch(
    batch: pa.RecordBatch, on_files: Sequence[Planned], on_content: Sequence[Planned], funnel: Funnel
) -> shard.Cleaned:
    kept, refused = shard.run_step("feedback", _judge(batch), batch, funnel)
    kept = kept.drop_columns(["verdict", "line"])
    losses = [refused]
    for step in on_files:
        kept, dropped = shard.run_step(step.name, step.run(kept), kept, funnel)
        losses.append(dropped)
    return shard.clean_batch(kept, on_content, funnel, losses)


def _judge(batch: pa.RecordBatch) -> Judged:
    return Judged(batch, batch["verdict"], batch["line"].cast(pa.float64()))


def _batches(rows: Path, known: set[str]) -> Iterator[pa.RecordBatch]:
    pending: list[dict[str, Any]] = []
    with rows.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                pending.append(_once(_document(line, number), known))
            if len(pending) >= ROWS_AT_ONCE:
                yield pa.RecordBatch.from_pylist(pending, _ROW)
                pending = []
    if pending:
        yield pa.RecordBatch.from_pylist(pending, _ROW)


def _document(line: bytes, number: int) -> dict[str, Any]:
    """A row of the batch; `verdict` is a reason or None. Of a broken line the number is kept, and not its content."""
    try:
        row = json.loads(line)
        if not all(isinstance(row[name], str) for name in ("prompt", "completion", "language")):
            raise TypeError(f"line {number} holds something else than text")
        text = f"{row['prompt']}{row['completion']}{row.get('suffix') or ''}"
        path = f"{row['model_version']}/{row['id']}.{_extension(row['language'])}"
        verdict = None if row["accepted"] is True else "not-accepted"
    except (ValueError, KeyError, TypeError, AttributeError):
        return _row(f"line-{number}", b"", "bad-row") | {"size_bytes": len(line), "line": number}
    author = row.get("author")
    return _row(path, text.encode("utf-8", "surrogatepass"), verdict, author if isinstance(author, str) else "")


def _once(row: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Two documents must not share an id: they would be dropped as duplicates of each other."""
    if row["id"] in known and row["verdict"] is None:
        row["verdict"] = "repeated-row"
    known.add(row["id"])
    return row


def _row(path: str, raw: bytes, verdict: str | None, author: str = "") -> dict[str, Any]:
    path = path.encode("utf-8", "backslashreplace").decode()
    return {
        "id": document_id(SOURCE, path, raw),
        "source": SOURCE,
        "path": path,
        "size_bytes": len(raw),
        "raw": raw,
        "content_sha": content_sha(raw),
        "language": None,
        "license": LICENSE,
        "repository": "",
        "author": author,
        "verdict": verdict,
        "line": None,
    }


def _extension(language: str) -> str:
    """Of an unknown language its own name, so that the language step refuses it by that."""
    name = named(language)
    return language.casefold() if name is None else extension_of(name)


_ROW = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("source", pa.string()),
        pa.field("path", pa.string()),
        pa.field("size_bytes", pa.int64()),
        pa.field("raw", pa.large_binary()),
        pa.field("content_sha", pa.string()),
        pa.field("language", pa.string()),
        pa.field("license", pa.string()),
        pa.field("repository", pa.string()),
        pa.field("author", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("line", pa.int64()),
    ]
)
