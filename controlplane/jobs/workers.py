"""Who works, and on what: RQ's list of workers joined with the running jobs.

With Redis away only the workers that hold a job are known, from Postgres, and their state is `unknown`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from redis.exceptions import RedisError
from rq.worker import BaseWorker, Worker

from controlplane.jobs.models import Job, Status
from controlplane.jobs.queue import QUEUES, open_queue

LOST_AFTER = timedelta(seconds=45)  # an idle worker beats every 15 s, a busy one every 5 s


@dataclass(frozen=True)
class WorkerInfo:
    """state: idle, busy, lost (no heartbeat for 45 s) or unknown (the queue is away)."""

    name: str
    queue: str
    pid: int | None
    state: str
    last_heartbeat: datetime | None
    current_job: Job | None


def queue_is_reachable() -> bool:
    try:
        return bool(open_queue(QUEUES[0]).connection.ping())
    except (RedisError, OSError):
        return False


def list_workers() -> list[WorkerInfo]:
    """Every worker that is known, by queue and name."""
    running = Job.objects.filter(status=Status.RUNNING).select_related("project").order_by("worker_name")
    jobs = {job.worker_name: job for job in running}
    try:
        found = [_described(worker, jobs) for worker in Worker.all(connection=open_queue(QUEUES[0]).connection)]
    except (RedisError, OSError):
        found = [WorkerInfo(name, job.queue, None, "unknown", None, job) for name, job in jobs.items()]
    return sorted(found, key=lambda worker: (worker.queue, worker.name))


def _described(worker: BaseWorker, jobs: dict[str, Job]) -> WorkerInfo:
    beat = worker.last_heartbeat
    if beat is not None and beat.tzinfo is None:
        beat = beat.replace(tzinfo=UTC)
    job = jobs.get(worker.name)
    lost = beat is None or timezone.now() - beat > LOST_AFTER
    state = "lost" if lost else "busy" if job is not None else "idle"
    return WorkerInfo(worker.name, ", ".join(worker.queue_names()), worker.pid, state, beat, job)
