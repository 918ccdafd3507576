"""An evaluation's samples as files: JSONL for programs, CSV for spreadsheets. Streamed: 164 × 200 samples are 100 MB."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from typing import Any

from django.http import StreamingHttpResponse

from eval_app import contamination
from eval_app.models import Evaluation

COLUMNS = ("task_id", "sample", "outcome", "seconds", "is_truncated", "prompt", "completion", "output")
# And how the problem stands in the training data: a kind of ContaminationMatch, "" for one that was not found, None
# where nobody looked.
CONTAMINATION = "contamination"
CHUNK = 500
TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson"}
# A spreadsheet runs a cell that begins so (OWASP, CSV Injection); what a model wrote is not to be run.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def samples(evaluation: Evaluation, kind: str) -> StreamingHttpResponse:
    """All samples in the order of problems, as `kind`: "csv" or "jsonl"."""
    lines = _csv(evaluation) if kind == "csv" else _jsonl(evaluation)
    headers = {"Content-Disposition": f'attachment; filename="evaluation-{evaluation.pk}.{kind}"'}
    return StreamingHttpResponse(lines, content_type=TYPES[kind], headers=headers)


def _rows(evaluation: Evaluation) -> Iterator[tuple[Any, ...]]:
    standing = contamination.of_evaluation(evaluation) if evaluation.is_ready else contamination.Standing(None)
    kinds = {found.task_id: found.kind for found in standing.found}
    rows = evaluation.samples.order_by("task_id", "sample").values_list(*COLUMNS)
    for row in rows.iterator(chunk_size=CHUNK):
        yield (*row, kinds.get(row[0], "") if standing.check else None)


def _jsonl(evaluation: Evaluation) -> Iterator[str]:
    for row in _rows(evaluation):
        yield json.dumps(dict(zip((*COLUMNS, CONTAMINATION), row, strict=True)), ensure_ascii=False) + "\n"


class _Echo:
    """What csv writes to; a line goes back to the one who asked for it."""

    def write(self, line: str) -> str:
        return line


def _csv(evaluation: Evaluation) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow((*COLUMNS, CONTAMINATION))
    for row in _rows(evaluation):
        yield writer.writerow([_harmless(value) for value in row])


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
