"""What people may ask of jobs. Who may ask is decided at the door (controlplane.access.doors), not here."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from controlplane.access import audit
from controlplane.access.models import Project, User
from controlplane.access.refusals import Refused
from controlplane.jobs import transitions
from controlplane.jobs.kinds import JobKind
from controlplane.jobs.models import Job, Status
from controlplane.jobs.queue import ring_on_commit


@transaction.atomic
def submit_job(
    *, kind: JobKind, project: Project, created_by: User | None, title: str, url: str = "", priority: int = 0
) -> Job:
    """Queue a piece of work. The queue is rung when the caller's transaction commits, so a rollback leaves nothing."""
    job = Job.objects.create(
        project=project,
        created_by=created_by,
        kind=kind.verb,
        entry=kind.entry,
        queue=kind.queue,
        title=title[:200],
        url=url,
        priority=priority,
        max_attempts=kind.max_attempts,
    )
    transitions.note(job, "job.queued", priority=priority)
    audit.record(action="submit_job", actor=created_by, project=project, obj=job, after={"kind": kind.verb})
    ring_on_commit(job)
    return job


@transaction.atomic
def stop_job(*, job: Job, by: User | None) -> Job:
    """A queued job is cancelled at once; a running one is asked to save and leave. Raises Refused if it has ended.

    Works with Redis away: the runner reads the request from Postgres.
    """
    before = {"status": _locked(job).status}
    if job.status == Status.QUEUED:
        transitions.cancel_queued(job)
    elif job.status == Status.RUNNING:
        if job.cancel_requested_at is None:
            job.cancel_requested_at = timezone.now()
            job.save(update_fields=["cancel_requested_at"])
            transitions.note(job, "job.stop_requested", by=str(by or ""))
    else:
        raise Refused(f"The job has ended already: it {job.status}.")
    after = {"status": job.status, "stop_requested": True}
    audit.record(action="stop_job", actor=by, project=job.project, obj=job, before=before, after=after)
    return job


@transaction.atomic
def retry_job(*, job: Job, by: User | None) -> Job:
    """A job that ended without success gets one more attempt, which continues from what the last one kept."""
    before = {"status": _locked(job).status}
    if job.status not in {Status.FAILED, Status.CRASHED, Status.CANCELLED}:
        raise Refused(f"Only a job that ended without success can be tried again; this one is {job.status}.")
    transitions.reopen(job)
    after = {"status": job.status}
    audit.record(action="retry_job", actor=by, project=job.project, obj=job, before=before, after=after)
    return job


@transaction.atomic
def set_priority(*, job: Job, by: User | None, priority: int) -> Job:
    """Higher goes first, from -100 to 100. Raises Refused for a job that no longer waits."""
    before = {"priority": _locked(job).priority}
    if job.status != Status.QUEUED:
        raise Refused("Only a job that waits has a place in the queue.")
    if not -100 <= priority <= 100:
        raise Refused("A priority is a whole number from -100 to 100.")
    job.priority = priority
    job.save(update_fields=["priority"])
    transitions.note(job, "job.priority_set", priority=priority)
    audit.record(
        action="set_priority", actor=by, project=job.project, obj=job, before=before, after={"priority": priority}
    )
    return job


def _locked(job: Job) -> Job:
    """The row as it is now, kept from changing until the transaction ends."""
    Job.objects.select_for_update().get(pk=job.pk)
    job.refresh_from_db()
    return job
