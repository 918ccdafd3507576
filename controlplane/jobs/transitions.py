"""How a job's status changes: by compare-and-set on status and attempt, with a JobEvent in the same transaction.

A transition that finds the row changed answers False and does nothing: whoever was late has lost. Nothing here knows of
processes, files or Redis, beyond ringing on commit.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Count, F
from django.db.models.functions import Now
from django.utils import timezone

from controlplane.jobs.kinds import kind_of
from controlplane.jobs.models import Job, JobEvent, JobQuerySet, Status
from controlplane.jobs.queue import ring_on_commit
from worker.manifest import Manifest

logger = logging.getLogger(__name__)
CLAIM_LOCK = 0x79617264  # one claim at a time, or two workers would each see room for one more of a kind


def note(job: Job, event: str, **payload: Any) -> JobEvent:
    """An event of the control plane's own; it carries the job's attempt and no seq."""
    return JobEvent.objects.create(job=job, attempt=job.attempt, at=timezone.now(), event=event, payload=payload)


def lease_end() -> Any:
    """On the database's clock, which every host shares."""
    return Now() + timedelta(seconds=settings.JOB_LEASE_SECONDS)


def crowded_kinds() -> set[str]:
    """Kinds of which as many run as may."""
    limits: dict[str, int] = settings.JOB_CONCURRENCY
    running = Job.objects.filter(status=Status.RUNNING, kind__in=limits).values("kind").annotate(n=Count("id"))
    return {row["kind"] for row in running if row["n"] >= limits[row["kind"]]}


@transaction.atomic
def claim(queue: str, worker_name: str, host: str) -> Job | None:
    """The highest-priority, then oldest, queued job becomes running under a new attempt; None if there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CLAIM_LOCK])
    waiting = Job.objects.filter(queue=queue, status=Status.QUEUED).exclude(kind__in=crowded_kinds())
    job = waiting.select_for_update(skip_locked=True).order_by("-priority", "created_at", "id").first()
    if job is None:
        return None
    now = timezone.now()
    Job.objects.filter(pk=job.pk).update(
        status=Status.RUNNING,
        attempt=F("attempt") + 1,
        lease_until=lease_end(),
        worker_name=worker_name,
        host=host,
        pid=None,
        pid_started_at=None,
        started_at=job.started_at or now,
        stage="",
        progress_done=0,
        progress_total=None,
        progress_rate=None,
        progress_at=None,
    )
    job.refresh_from_db()
    note(job, "job.claimed", worker=worker_name, host=host)
    return job


def set_process(job: Job, pid: int, pid_started_at: float) -> bool:
    """Record the stage's process; False if the attempt is no longer ours."""
    changed = _running(job).update(pid=pid, pid_started_at=pid_started_at)
    return bool(changed)


def extend_lease(job: Job) -> bool:
    """The heartbeat; False if the attempt is no longer ours. Refreshes what people may have asked since."""
    if not _running(job).update(lease_until=lease_end()):
        return False
    job.refresh_from_db(fields=["cancel_requested_at"])
    return True


def expire_leases(worker_name: str) -> int:
    """The work horse of a worker is dead: what it held need not wait for its lease to run out."""
    held = Job.objects.filter(status=Status.RUNNING, worker_name=worker_name)
    return held.update(lease_until=Now() - timedelta(milliseconds=1))


@transaction.atomic
def succeed(job: Job, manifest: Manifest) -> bool:
    """The job and what it made, in one transaction."""
    if not _end(_running(job), job, Status.SUCCEEDED):
        return False
    kind_of(job).on_success(job, manifest)
    note(job, "job.succeeded", counts=dict(manifest.counts))
    return True


@transaction.atomic
def end(job: Job, status: Status, *, code: str = "", message: str = "") -> bool:
    """A running job ends failed, crashed or cancelled."""
    if not _end(_running(job), job, status, code, message):
        return False
    return _tell_end(job, {"code": code, "message": message})


@transaction.atomic
def cancel_queued(job: Job) -> bool:
    """A job that nobody has claimed ends at once."""
    queued = Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Status.QUEUED)
    return _end(queued, job, Status.CANCELLED) and _tell_end(job, {})


@transaction.atomic
def requeue(job: Job, reason: str, *, counts: bool = True) -> bool:
    """A running job goes back in the queue; its next claim is its next attempt.

    `counts` is False when nothing was wrong with the attempt (its worker was told to leave): it gets one more.
    """
    extra = 0 if counts else 1
    changed = _running(job).update(
        status=Status.QUEUED,
        max_attempts=F("max_attempts") + extra,
        lease_until=None,
        pid=None,
        worker_name="",
        failure_message=reason,
    )
    if not changed:
        return False
    job.refresh_from_db()
    note(job, "job.requeued", reason=reason)
    ring_on_commit(job)
    return True


@transaction.atomic
def crash(job: Job, message: str, *, only_if_silent: bool = False) -> bool:
    """The attempt ended without a word: queued again while attempts are left, else crashed; cancelled if so asked."""
    rows = _running(job).select_for_update()
    row = rows.filter(lease_until__lt=Now()).first() if only_if_silent else rows.first()
    if row is None:
        return False
    job.cancel_requested_at, job.max_attempts = row.cancel_requested_at, row.max_attempts
    if job.cancel_requested_at is not None:
        return end(job, Status.CANCELLED)
    if job.attempt < job.max_attempts:
        return requeue(job, message)
    return end(job, Status.CRASHED, message=message)


@transaction.atomic
def reopen(job: Job) -> bool:
    """A job that ended without success goes back in the queue with one attempt more."""
    changed = Job.objects.filter(pk=job.pk, attempt=job.attempt, status=job.status).update(
        status=Status.QUEUED,
        finished_at=None,
        cancel_requested_at=None,
        max_attempts=F("attempt") + 1,
        failure_code="",
        failure_message="",
    )
    if not changed:
        return False
    job.refresh_from_db()
    on_reopen = kind_of(job).on_reopen
    if on_reopen is not None:
        on_reopen(job)
    note(job, "job.retried")
    ring_on_commit(job)
    return True


def _running(job: Job) -> JobQuerySet:
    return Job.objects.filter(pk=job.pk, attempt=job.attempt, status=Status.RUNNING)


def _end(rows: JobQuerySet, job: Job, status: Status, code: str = "", message: str = "") -> bool:
    changed = rows.update(
        status=status,
        finished_at=timezone.now(),
        lease_until=None,
        pid=None,
        failure_code=code[:60],
        failure_message=message,
    )
    if changed:
        job.refresh_from_db()
    return bool(changed)


def _tell_end(job: Job, payload: dict[str, Any]) -> bool:
    note(job, f"job.{job.status}", **{key: value for key, value in payload.items() if value})
    try:
        on_end = kind_of(job).on_end
        if on_end is not None:
            with transaction.atomic():
                on_end(job)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # a product's fault, or its app is gone: the job ends all the same, and shows why
        logger.exception("job %s ended, but %s could not take it", job.id, job.entry)
        note(job, "job.end_refused", error=f"{type(error).__name__}: {error}"[:500])
    return True
