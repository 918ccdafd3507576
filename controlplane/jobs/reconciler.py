"""Makes true again what a crash left untrue: rings for queued jobs that nobody rang for, and ends attempts gone silent.

It decides from Postgres alone. A lease is not judged while Postgres itself has just come back: runners need a moment to
renew theirs, and killing healthy work for our own outage would be the wrong repair.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now
from redis.exceptions import RedisError
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.worker_registration import clean_worker_registry

from controlplane.jobs import processes, relay, transitions
from controlplane.jobs.ending import crash_message
from controlplane.jobs.models import Job, Status
from controlplane.jobs.queue import QUEUES, open_queue, ring, waiting_rings

logger = logging.getLogger(__name__)
PAUSE_SECONDS = 1.0
TIDY_SECONDS = 30.0
RINGS_A_ROUND = 100


class Reconciler:
    """One process a yard; a second one does no harm, since every change is a compare-and-set."""

    def __init__(self) -> None:
        self.host = socket.gethostname()
        self.no_verdict_until = 0.0
        self.next_tidy = 0.0
        self.away = ""  # the server whose outage was told

    def run(self, leave: threading.Event) -> None:
        """Rounds until `leave` is set."""
        while not leave.wait(PAUSE_SECONDS):
            self.round()

    def round(self) -> None:
        """One look at everything. An outage of either server is logged and met again in the next round."""
        try:
            if time.monotonic() >= self.no_verdict_until:
                self.end_silent_attempts()
            self.ring_for_waiting()
            self.tidy()
        except (OperationalError, InterfaceError) as error:
            self._tell("Postgres", error)
            connection.close()
            self.no_verdict_until = time.monotonic() + settings.JOB_LEASE_SECONDS
        except (RedisError, OSError) as error:
            self._tell("the queue", error)
        else:
            self.away = ""

    def _tell(self, server: str, error: Exception) -> None:
        """Once an outage, not once a second."""
        if self.away != server:
            logger.warning("%s is away (%s)", server, str(error).strip().split("\n")[0])
        self.away = server

    # ---- silent attempts ---------------------------------------------------------------------------------------------

    def end_silent_attempts(self) -> int:
        """Attempts whose lease ran out: their processes end, what they said is kept, the job goes on or ends."""
        silent = list(Job.objects.filter(status=Status.RUNNING, lease_until__lt=Now()))
        if not silent or _postgres_uptime() < timedelta(seconds=settings.JOB_LEASE_SECONDS):
            return 0
        return sum(self._end(job) for job in silent)

    def _end(self, job: Job) -> bool:
        if job.host == self.host:
            killed = processes.kill_family(job)
            logger.warning("job %s: attempt %d went silent; %d processes killed", job.id, job.attempt, killed)
            try:
                relay.drain(job)
            except ImportError:  # its app is gone; the job must still end, or we would meet it in every round
                logger.exception("job %s: nobody knows %s any longer", job.id, job.entry)
        reason = f"Its queue worker {job.worker_name} on {job.host} went silent."
        return transitions.crash(job, crash_message(reason, relay.job_dir(job)), only_if_silent=True)

    # ---- waiting jobs ------------------------------------------------------------------------------------------------

    def ring_for_waiting(self) -> int:
        """A ring for each queued job that may run and has none; the number of rings."""
        crowded, rung = transitions.crowded_kinds(), 0
        for queue in QUEUES:
            waiting = Job.objects.filter(queue=queue, status=Status.QUEUED).exclude(kind__in=crowded)
            jobs = list(waiting.order_by("-priority", "created_at")[:RINGS_A_ROUND])
            if not jobs:
                continue
            have = waiting_rings(queue)
            for job in jobs:
                if str(job.id) not in have:
                    ring(job)
                    rung += 1
        return rung

    def tidy(self) -> None:
        """RQ's own registries: they only ever say that a doorbell was answered, but they would grow."""
        if time.monotonic() < self.next_tidy:
            return
        self.next_tidy = time.monotonic() + TIDY_SECONDS
        for name in QUEUES:
            queue = open_queue(name)
            StartedJobRegistry(queue=queue, serializer=queue.serializer).cleanup()
            FailedJobRegistry(queue=queue, serializer=queue.serializer).cleanup()
            clean_worker_registry(queue)


def _postgres_uptime() -> timedelta:
    with connection.cursor() as cursor:
        cursor.execute("SELECT now() - pg_postmaster_start_time()")
        uptime: timedelta = cursor.fetchone()[0]
    return uptime
