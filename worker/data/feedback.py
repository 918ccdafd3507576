"""export_feedback: accepted completions become documents, so that what people kept is trained on next.

`rows.jsonl` has one object a line: id, language, prompt, completion, suffix, accepted, at, deployment,
model_version. A document is what stood in the editor after Tab: prompt + completion + suffix. Its source is
"feedback", its path names the model version and the completion. The steps, thresholds, split and layout are those of
ingest_dataset; with a base, its recipe is used and its documents are part of the new version, so that one dataset is
trained on. Text that the base holds already is a duplicate.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from worker.context import Context, Outcome
from worker.data import shard, steps
from worker.data.documents import FEEDBACK, document_id, write_parquet
from worker.data.funnel import Funnel
from worker.data.languages import extension_of, named
from worker.data.publish import Cleaned, publish, report_reasons
from worker.events import MessageLogged
from worker.failures import StageFailure
from worker.specs import ExportFeedback, IngestRecipe

VERSION = "1"
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
    recipe = IngestRecipe() if base is None else recipe_of(base)
    context.enter("clean completions")
    parts = [] if base is None else sorted((base / "data").glob("part-*.parquet"))
    cleaned = clean(rows, recipe, feedback_ids(parts), context)
    cleaned = replace(cleaned, documents=[*parts, *cleaned.documents])
    return publish(cleaned, recipe, context.work, context)


def recipe_of(dataset: Path) -> IngestRecipe:
    """The recipe that a dataset was made with, out of its statistics."""
    raw: dict[str, Any] = json.loads((dataset / "statistics.json").read_text())["recipe"]
    known = {field.name for field in fields(IngestRecipe)}
    values = {name: value for name, value in raw.items() if name in known}
    return IngestRecipe(**values | {"languages": tuple(raw["languages"])})


def clean(rows: Path, recipe: IngestRecipe, known: set[str], context: Context) -> Cleaned:
    """The accepted completions, less those with a known id, through the steps, batch by batch."""
    terms = shard.Terms(recipe, {}, {SOURCE: LICENSE}, frozenset())
    folder = context.work / "feedback"
    folder.mkdir(exist_ok=True)
    funnel, dropped, files, sizes = Funnel(), [], [], []
    for number, batch in enumerate(_batches(rows, known)):
        documents, lost = _clean_batch(batch, terms, funnel)
        files.append(folder / f"{number:05d}.parquet")
        write_parquet(documents, files[-1])
        dropped += lost
        sizes += batch["size_bytes"].to_pylist()
    if not sum(pq.read_metadata(file).num_rows for file in files):
        context.reporter.report(MessageLogged(f"nothing was kept; dropped: {report_reasons(funnel)}", "error"))
        raise StageFailure("data:user:no-rows")
    return Cleaned(files, dropped, funnel, sizes)


def feedback_ids(parts: Sequence[Path]) -> set[str]:
    """Ids of the completions that a dataset holds already."""
    wanted = ds.field("source") == SOURCE
    return {name for part in parts for name in ds.dataset(part).to_table(["id"], filter=wanted)["id"].to_pylist()}


def _clean_batch(batch: pa.RecordBatch, terms: shard.Terms, funnel: Funnel) -> tuple[pa.Table, list[pa.Table]]:
    kept, refused = shard.run_step("feedback", _judge(batch), batch, funnel)
    kept = kept.drop_columns(["verdict", "line"])
    losses = [refused]
    for name, step in (("language", steps.language), ("size", steps.size)):
        kept, dropped = shard.run_step(name, step(kept, terms.recipe), kept, funnel)
        losses.append(dropped)
    documents, dropped = shard.clean_batch(kept, terms, funnel)
    return documents, [*losses, dropped]


def _judge(batch: pa.RecordBatch) -> steps.Judged:
    return steps.Judged(batch, batch["verdict"], batch["line"].cast(pa.float64()), {})


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
    return _row(path, text.encode("utf-8", "surrogatepass"), verdict)


def _once(row: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """Two documents must not share an id: they would be dropped as duplicates of each other."""
    if row["id"] in known and row["verdict"] is None:
        row["verdict"] = "repeated-row"
    known.add(row["id"])
    return row


def _row(path: str, raw: bytes, verdict: str | None) -> dict[str, Any]:
    path = path.encode("utf-8", "backslashreplace").decode()
    return {
        "id": document_id(SOURCE, path, raw),
        "source": SOURCE,
        "path": path,
        "size_bytes": len(raw),
        "raw": raw,
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
        pa.field("verdict", pa.string()),
        pa.field("line", pa.int64()),
    ]
)
