"""The first rows of one source as its reader sees them: an ingest_dataset that makes nothing, for the add-a-source page.

It gives up after SECONDS and holds at most MEMORY_BYTES. What it shows of a content is redacted as a whole before it is
cut: a preview is stored, and a secret must not be. Nothing is filtered, so that people see what the recipe will.
"""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from worker.context import Context, Outcome
from worker.data.redaction import redact
from worker.data.sources import Found, Reader, open_source
from worker.data.sources.delta_spark import SparkTable
from worker.data.sources.tables import TableReader
from worker.failures import StageFailure
from worker.specs import SourceSpec

SECONDS = 30
MEMORY_BYTES = 1_500_000_000
EXCERPT_CHARACTERS, EXCERPT_LINES = 600, 12
# Of a content beyond it only the size is shown: redaction is quick, and a preview waits for nothing.
LARGEST_SHOWN_BYTES = 1_000_000


def preview(spec: SourceSpec, n_rows: int, context: Context) -> Outcome:
    """summary: rows, table (columns and mapping, None for what is no table), `is_whole` (there are no more rows).

    Raises StageFailure for a source that cannot be read, and data:user:preview-too-long.
    """
    context.enter("look at the source")
    with tempfile.TemporaryDirectory(dir=context.work) as scratch, _given_up_after(SECONDS, spec.name):
        reader = open_source(spec, scratch=Path(scratch))
        table = _table_of(reader)
        found = [] if table and table["problem"] else list(islice(reader.list(), n_rows + 1))
        rows = list(_rows(open_source(spec, scratch=Path(scratch)), found[:n_rows]))
    summary = {"rows": rows, "table": table, "is_whole": len(found) <= n_rows}
    return Outcome({}, {"rows": len(rows)}, summary, complete=False)


def _table_of(reader: Reader) -> dict[str, Any] | None:
    if not isinstance(reader, (TableReader, SparkTable)):
        return None
    described = reader.describe()
    mapped = described.mapped
    return {
        "columns": [list(column) for column in described.columns],
        "mapping": dict(mapped.columns) if mapped else {},
        "schema": mapped.schema if mapped else "",
        "problem": described.problem,
    }


def _rows(reader: Reader, found: Sequence[Found]) -> Iterator[dict[str, Any]]:
    wanted = [item for item in found if item.problem is None and item.size_bytes <= LARGEST_SHOWN_BYTES]
    read = reader.read([item.locator for item in wanted], [item.size_bytes for item in wanted]) if wanted else []
    contents = {id(item): result for item, result in zip(wanted, read, strict=True)}
    for item in found:
        raw, detail = contents.get(id(item), (None, item.detail))
        row = asdict(item) | {"detail": detail, "excerpt": None if raw is None else _excerpt(raw)}
        del row["locator"], row["stamp"]
        yield row


def _excerpt(raw: bytes) -> str:
    text = redact(raw.decode("utf-8", "replace").encode())[0].decode("utf-8", "replace").replace("\0", "\ufffd")
    return "\n".join(text.splitlines()[:EXCERPT_LINES])[:EXCERPT_CHARACTERS]


@contextmanager
def _given_up_after(seconds: int, name: str) -> Iterator[None]:
    """An alarm, since a store that does not answer is waited for in a system call."""

    def give_up(signum: int, frame: FrameType | None) -> None:
        raise StageFailure("data:user:preview-too-long", name=name, seconds=seconds)

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
