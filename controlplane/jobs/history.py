"""What a job's events and files tell, read for pages: its attempts, and its log from a byte onward."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from controlplane.jobs.models import JobEvent

LOG_BYTES = 64 << 10
ENDS = {"job.requeued", "job.succeeded", "job.failed", "job.crashed", "job.cancelled"}


@dataclass
class AttemptInfo:
    """One attempt. `outcome` is a final status, `requeued`, or "" while it runs; `reason` is its first line."""

    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    reason: str = ""

    @property
    def seconds(self) -> float | None:
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None


def attempts(events: Iterable[JobEvent]) -> list[AttemptInfo]:
    """From the control plane's own events, in order."""
    found: dict[int, AttemptInfo] = {}
    for event in events:
        if event.event == "job.claimed":
            found[event.attempt] = AttemptInfo(event.attempt, str(event.payload.get("worker", "")), event.at)
        elif event.event in ENDS and event.attempt in found:
            attempt = found[event.attempt]
            if attempt.ended_at is None:  # a retry asked for later must not move the end
                attempt.ended_at, attempt.outcome = event.at, event.event.removeprefix("job.")
                attempt.reason = str(event.payload.get("reason") or event.payload.get("message") or "").split("\n")[0]
    return list(found.values())


@dataclass(frozen=True)
class LogChunk:
    """Whole lines of a log; `after` is the byte to ask from next, `is_cut` that there is more before the first."""

    text: str
    after: int
    is_cut: bool = False


def read_log(path: Path, after: int | None) -> LogChunk:
    """At most 64 kB from a byte on; without one, the end of the log. A line still being written waits for its end."""
    try:
        size = path.stat().st_size
        start = max(0, size - LOG_BYTES) if after is None else min(max(0, after), size)
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(LOG_BYTES)
    except FileNotFoundError:
        return LogChunk("", 0)
    first = data.find(b"\n") + 1 if after is None and start else 0
    end = data.rfind(b"\n") + 1 or (len(data) if len(data) == LOG_BYTES else 0)
    text = data[first:end].decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return LogChunk(text, start + end, is_cut=after is None and start > 0)
