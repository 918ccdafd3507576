"""From bytes of events.jsonl to clean events: pure, and it refuses nothing.

Whatever a stage writes, a row must be able to hold: NUL is not text to Postgres, NaN is not JSON to it, and a line of a
megabyte is a mistake to be shown, not stored. What is no event at all is counted by the caller.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BATCH_BYTES = 1 << 20
LONG_LINE = 64 << 10  # a metrics line of a hundred names is 5 kB
LONG_TEXT = 8 << 10
HEAD = ("v", "seq", "attempt", "at", "event")


@dataclass(frozen=True)
class Line:
    """One event as it may be stored."""

    seq: int
    attempt: int
    at: datetime
    event: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Chunk:
    """Whole lines read from a file: `offset` is where the next read begins; `n_skipped` lines were no events."""

    lines: list[Line]
    offset: int
    n_skipped: int


def read_chunk(path: Path, offset: int) -> Chunk:
    """The whole lines from a byte offset on, up to about BATCH_BYTES; a last line without its end waits for it."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(BATCH_BYTES)
            if b"\n" not in data:
                data += _rest_of_line(file, len(data))
    except FileNotFoundError:
        return Chunk([], offset, 0)
    whole = data[: data.rfind(b"\n") + 1]
    raw = [each for each in whole.split(b"\n") if each.strip()]
    lines = [line for each in raw if (line := parse(each)) is not None]
    return Chunk(lines, offset + len(whole), len(raw) - len(lines))


def _rest_of_line(file: Any, n_read: int) -> bytes:
    """A line longer than a batch is taken whole, or the offset would never move past it."""
    return bytes(file.readline()) if n_read == BATCH_BYTES else b""


def parse(raw: bytes) -> Line | None:
    """The event of one line; None if it is none."""
    try:
        fields = json.loads(raw)
        seq, attempt, at = int(fields["seq"]), int(fields["attempt"]), float(fields["at"])
        event, moment = str(fields["event"])[:40], datetime.fromtimestamp(at, UTC)
    except (ValueError, KeyError, TypeError, OverflowError, OSError, RecursionError):
        return None
    if not 0 < seq < 2**63 or not 0 <= attempt < 2**15:
        return None
    payload = {key: clean(value) for key, value in fields.items() if key not in HEAD}
    if len(raw) > LONG_LINE:
        payload = _cut(payload, len(raw))
    return Line(seq, attempt, moment, clean(event), payload)


def clean(value: Any) -> Any:
    """The same value as Postgres takes it in JSON: no NUL, no lone surrogate, no NaN; long texts cut with a note."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def clean_text(text: str) -> str:
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if len(text) <= LONG_TEXT:
        return text
    return f"{text[:LONG_TEXT]} … [cut: {len(text)} characters in all]"


def _cut(payload: dict[str, Any], n_bytes: int) -> dict[str, Any]:
    """What is small of a long line, and a note that the rest was cut."""
    small = {key: value for key, value in payload.items() if len(json.dumps(value)) <= LONG_TEXT * 2}
    return {**small, "cut": f"a line of {n_bytes} bytes"}
