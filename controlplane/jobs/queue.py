"""The doorbell: Redis gets a job's id and nothing else, so losing it loses nothing.

A ring says that there is work, not which: the worker that answers takes the best queued job of its queue
(`transitions.claim`). With Redis away a ring is a logged warning; the reconciler rings again.
"""

from __future__ import annotations

import logging
import uuid

import django_rq
from django.db import transaction
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job as Ring
from rq.serializers import JSONSerializer

from controlplane.jobs.models import Job

logger = logging.getLogger(__name__)
QUEUES = ("cpu", "gpu")


def open_queue(name: str) -> Queue:
    """RQ's queue, without django-rq's own commit hook: inside a transaction that one answers None and raises later."""
    return Queue(name, connection=django_rq.get_connection(name), serializer=JSONSerializer)


def ring(job: Job) -> None:
    """Tell the job's queue that it waits. Never raises for a Redis that is away."""
    try:
        _enqueue(open_queue(job.queue), job)
    except (RedisError, OSError) as error:
        logger.warning("job %s waits, but the queue cannot be rung (%s); the reconciler will", job.id, error)


def ring_on_commit(job: Job) -> None:
    transaction.on_commit(lambda: ring(job))


def waiting_rings(name: str) -> set[str]:
    """Ids of the jobs for which a ring lies in the queue, unanswered. Raises RedisError."""
    return {ring_id[:36] for ring_id in open_queue(name).job_ids}


def _enqueue(queue: Queue, job: Job) -> None:
    ring_id = f"{job.id}-{job.attempt + 1}"
    if Ring.exists(ring_id, connection=queue.connection):
        # Answered already, by a worker that took a better job and is still at it. Its record must not be written over.
        ring_id = f"{ring_id}-{uuid.uuid4().hex[:6]}"
    queue.enqueue_call(
        func=job.entry,
        args=(str(job.id),),
        timeout=-1,  # the deadline of work is ours; RQ's is an exception that any `except Exception` swallows
        retry=None,
        result_ttl=0,
        failure_ttl=3600,
        job_id=ring_id,
        at_front=job.priority > 0,
    )
