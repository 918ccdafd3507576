"""From events.jsonl to rows: each line once, in order, whatever dies in between.

One transaction inserts a batch's rows, tells the job's kind, and moves the byte offset; it holds the job's row, so no
two relays read one job. The file stays the truth. Raises database errors: the runner waits and calls again.
"""

from __future__ import annotations

import logging
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from controlplane.jobs.event_lines import Chunk, Line, read_chunk
from controlplane.jobs.kinds import kind_of
from controlplane.jobs.metrics import Point, roll_up, thin
from controlplane.jobs.models import Job, JobEvent, MetricPoint, Status

logger = logging.getLogger(__name__)
METRICS, PROGRESS = "metrics.logged", "progress.made"
RATE_SECONDS = 10.0  # the rate's memory: its weight falls to 1/e in so long


def job_dir(job: Job) -> Path:
    folder: Path = settings.JOBS_DIR / str(job.id)
    return folder


def pump(job: Job) -> bool:
    """Relay one batch of an attempt's events; True if there may be more. Moves the offset on `job` too."""
    path = job_dir(job) / "events.jsonl"
    if not path.exists() or path.stat().st_size <= job.event_offset:
        return False
    with transaction.atomic():
        row = Job.objects.select_for_update().filter(pk=job.pk, attempt=job.attempt, status=Status.RUNNING).first()
        if row is None:
            return False  # another attempt has begun: these lines are its business
        chunk = read_chunk(path, row.event_offset)
        if chunk.offset == row.event_offset:
            return False
        _store(row, chunk)
    job.event_offset = row.event_offset
    return True


def drain(job: Job) -> None:
    """Relay all that an attempt has said. A line without an end stays: whoever wrote it is dead or still writing."""
    while pump(job):
        pass


def _store(job: Job, chunk: Chunk) -> None:
    ours = [line for line in _new_lines(job, chunk) if line.attempt == job.attempt]
    JobEvent.objects.bulk_create(
        [_row(job, line) for line in ours if line.event not in {METRICS, PROGRESS}], ignore_conflicts=True
    )
    n_late = sum(line.attempt != job.attempt for line in chunk.lines)
    if chunk.n_skipped or n_late:
        _note(job, "relay.skipped", not_events=chunk.n_skipped, of_another_attempt=n_late)
    store_points(job, _points(ours))
    _follow(job, ours)
    job.event_offset = chunk.offset
    job.event_seq = max([job.event_seq, *(line.seq for line in ours)])
    job.save(update_fields=[*_TOLD, "event_offset", "event_seq"])
    _tell_kind(job, ours)


_TOLD = ("stage", "progress_done", "progress_total", "progress_unit", "progress_rate", "progress_at")


def _new_lines(job: Job, chunk: Chunk) -> list[Line]:
    """Each seq once: a repeated line must not reach the kind again either."""
    seen, fresh = job.event_seq, []
    for line in chunk.lines:
        if line.attempt != job.attempt or line.seq > seen:
            fresh.append(line)
            seen = max(seen, line.seq) if line.attempt == job.attempt else seen
    return fresh


def _row(job: Job, line: Line) -> JobEvent:
    return JobEvent(job=job, attempt=line.attempt, seq=line.seq, at=line.at, event=line.event, payload=line.payload)


def _note(job: Job, event: str, **payload: Any) -> None:
    JobEvent.objects.create(job=job, attempt=job.attempt, at=timezone.now(), event=event, payload=payload)


# ---- metrics ---------------------------------------------------------------------------------------------------------


def store_points(job: Job, points: list[Point]) -> None:
    """Thin and keep, with the windows of long curves; a step that is logged again (after a resume) has its later value."""
    rows = [
        MetricPoint(job=job, name=p.name, step=p.step, value=p.value, at=datetime.fromtimestamp(p.at, UTC))
        for p in thin(points)
    ]
    MetricPoint.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["job", "name", "step"], update_fields=["value", "at"]
    )
    roll_up(job.pk, [(row.name, row.step) for row in rows])


def _points(lines: list[Line]) -> list[Point]:
    return [
        Point(name[:80], step, float(value), line.at.timestamp())
        for line in lines
        if line.event == METRICS and (step := _step(line)) is not None
        for name, value in _values(line).items()
    ]


def _step(line: Line) -> int | None:
    step = line.payload.get("step")
    return step if isinstance(step, int) and abs(step) < 2**63 else None


def _values(line: Line) -> dict[str, float]:
    """The numbers of a metrics line. NaN came as text by now: it is in the file and in no curve."""
    values = line.payload.get("values")
    if not isinstance(values, dict):
        return {}
    return {name: value for name, value in values.items() if isinstance(value, int | float)}


# ---- progress --------------------------------------------------------------------------------------------------------


def _follow(job: Job, lines: list[Line]) -> None:
    """Phase and progress onto the job."""
    for line in lines:
        if line.event == "stage.entered":
            job.stage = str(line.payload.get("phase", ""))[:80]
            job.progress_done, job.progress_total, job.progress_rate, job.progress_at = 0.0, None, None, None
        elif line.event == PROGRESS and (done := _number(line, "done")) is not None:
            job.progress_rate = smoothed_rate(job, done, line.at)
            job.progress_done, job.progress_total, job.progress_at = done, _number(line, "total"), line.at
            job.progress_unit = str(line.payload.get("unit", ""))[:20]


def smoothed_rate(job: Job, done: float, at: datetime) -> float | None:
    """Units a second: a moving average that forgets with time, not with the number of reports."""
    if job.progress_at is None:
        return None
    seconds, gained = (at - job.progress_at).total_seconds(), done - job.progress_done
    if seconds <= 0 or gained < 0:
        return job.progress_rate
    if job.progress_rate is None:
        return gained / seconds
    weight = 1 - math.exp(-seconds / RATE_SECONDS)
    return job.progress_rate + weight * (gained / seconds - job.progress_rate)


def _number(line: Line, key: str) -> float | None:
    value = line.payload.get(key)
    return float(value) if isinstance(value, int | float) else None


# ---- the job's kind --------------------------------------------------------------------------------------------------


def _tell_kind(job: Job, lines: list[Line]) -> None:
    """Product rows follow. One that fails is logged and shown, and stops neither the relay nor the work."""
    on_event = kind_of(job).on_event
    if on_event is None:
        return
    for event, payload in _gathered(lines):
        try:
            with transaction.atomic():
                on_event(job, event, payload)
        except (OperationalError, InterfaceError):
            raise
        except (DatabaseError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            logger.exception("the kind of job %s could not take %s", job.id, event)
            _note(job, "relay.refused", refused=event, error=f"{type(error).__name__}: {error}"[:500])


def _gathered(lines: list[Line]) -> list[tuple[str, dict[str, Any]]]:
    """All events but, of metrics the merged values and of progress the last, at the end."""
    told = [(line.event, line.payload) for line in lines if line.event not in {METRICS, PROGRESS}]
    metrics = [line for line in lines if line.event == METRICS and _step(line) is not None]
    if metrics:
        values = {name: value for line in metrics for name, value in _values(line).items()}
        told.append((METRICS, {"step": _step(metrics[-1]), "values": values}))
    progress = [line.payload for line in lines if line.event == PROGRESS]
    return [*told, *((PROGRESS, payload) for payload in progress[-1:])]
