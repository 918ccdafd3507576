"""One attempt of one job, from claim to end: writes its spec, starts its process, keeps its lease, says how it ended.

Runs in RQ's work horse. Postgres may go away at any moment: whatever was to be written is written when it is back, and
the stage never notices. An attempt that finds its row taken over ends its process and says nothing.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from rq import get_current_job

from controlplane.jobs import processes, relay, transitions
from controlplane.jobs.ending import Ending, read_ending
from controlplane.jobs.kinds import JobKind, kind_of
from controlplane.jobs.metrics import Point
from controlplane.jobs.models import Job, Status
from controlplane.jobs.preparation import environment, prepare
from controlplane.jobs.queue import ring
from worker.failures import StageFailure

logger = logging.getLogger(__name__)
T = TypeVar("T")
TICK_SECONDS = 0.25
SAMPLE_SECONDS = 5.0
KILL_AFTER_SECONDS = 5.0  # from SIGTERM to SIGKILL
_leave = False
_queue_worker: int | None = None  # its pid, where a queue worker forked us


def run_job(kind: JobKind, job_id: str) -> None:
    """Take the best queued job of the kind's queue, not necessarily the one that was rung for, and see it through."""
    job = patiently(lambda: transitions.claim(kind.queue, worker_name(), socket.gethostname()))
    if job is None:
        logger.info("rung for job %s, but nothing waits in %s that may run", job_id, kind.queue)
        return
    logger.info("job %s: attempt %d of %s", job.id, job.attempt, job)
    Attempt(job).run()
    ring_next(kind.queue)


def ring_next(queue: str) -> None:
    """The end of one job makes room for another, whose own ring may have found none."""
    waiting = Job.objects.filter(queue=queue, status=Status.QUEUED).order_by("-priority", "created_at")
    job = patiently(waiting.first)
    if job is not None:
        ring(job)


def worker_name() -> str:
    return os.environ.get("RQ_WORKER_ID", f"{socket.gethostname()}.{os.getpid()}")[:80]


def watch_for_leave() -> None:
    """SIGTERM asks this process to hand its job back."""
    global _queue_worker
    _queue_worker = os.getppid()
    signal.signal(signal.SIGTERM, _ask_to_leave)


def _ask_to_leave(signum: int, frame: object) -> None:
    global _leave
    _leave = True


def _is_orphan() -> bool:
    """Whether this is a queue worker's process and the worker is gone."""
    return _queue_worker is not None and os.getppid() != _queue_worker


def patiently(write: Callable[[], T]) -> T:
    """Do it, again and again while Postgres is away."""
    pause = 0.1
    while True:
        try:
            return write()
        except (OperationalError, InterfaceError) as error:
            if _is_orphan():  # the whole yard was killed: nothing to wait for, and the lease hands the job back
                raise
            logger.warning("Postgres is away (%s); waiting", str(error).strip().split("\n")[0])
            connection.close()
            time.sleep(pause)
            pause = min(2.0, pause * 2)


class Attempt:
    """A claimed job and its process."""

    def __init__(self, job: Job) -> None:
        self.job, self.folder = job, relay.job_dir(job)
        self.parent = os.getppid()
        self.owned = True
        self.stop_seen_at: float | None = None
        self.terminated = False
        self.next_beat = self.next_sample = 0.0
        self.sampled_at = time.monotonic()
        self.usage = processes.Usage({})
        self.away_since: float | None = None

    def run(self) -> None:
        child = self.begin()
        if child is None:
            return
        try:
            self.watch(child)
        finally:
            processes.kill_family(self.job)
        self.conclude(child.wait())

    def begin(self) -> subprocess.Popen[bytes] | None:
        """The started process; None if the job was refused or could not be started, which ends it."""
        try:
            patiently(lambda: prepare(self.job))
            return self.start()
        except StageFailure as refusal:
            code, message = refusal.code, refusal.message
            patiently(lambda: transitions.end(self.job, Status.FAILED, code=code, message=message))
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:  # a kind's own code, a missing interpreter: the next attempt would meet it again
            logger.exception("job %s could not be started", self.job.id)
            reason = f"The job could not be started: {type(error).__name__}: {error}"
            patiently(lambda: transitions.end(self.job, Status.CRASHED, message=reason))
        return None

    def start(self) -> subprocess.Popen[bytes]:
        """The stage's process, in our own process group: what kills the horse's group kills it too."""
        command = [*settings.WORKER_COMMAND, self.job.kind, str(self.folder)]
        with (self.folder / "output.log").open("ab") as output:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=settings.BASE_DIR,
                env=environment(self.job),
            )
        self.job.pid, self.job.pid_started_at = child.pid, processes.started_at(child.pid)
        return child

    def watch(self, child: subprocess.Popen[bytes]) -> None:
        """Until the process has ended, or is not ours to watch any longer."""
        recorded = False
        while child.poll() is None and self.owned and not self.leaving():
            try:
                recorded = recorded or self.record_process()
                self.tend()
                self.away_since = None
            except (OperationalError, InterfaceError) as error:
                self.note_away(error)
            self.enforce_stop()
            self.wait(child)

    def wait(self, child: subprocess.Popen[bytes]) -> None:
        try:
            child.wait(TICK_SECONDS)
        except subprocess.TimeoutExpired:
            return

    def record_process(self) -> bool:
        assert self.job.pid is not None and self.job.pid_started_at is not None
        self.owned = transitions.set_process(self.job, self.job.pid, self.job.pid_started_at)
        return True

    def tend(self) -> None:
        """Heartbeat, relay, samples: whatever is due."""
        now = time.monotonic()
        if now >= self.next_beat:
            self.owned = transitions.extend_lease(self.job)
            self.next_beat = now + settings.JOB_LEASE_SECONDS / 4
        relay.drain(self.job)
        if now >= self.next_sample:
            self.sample(now)

    def sample(self, now: float) -> None:
        values = self.usage.measure(processes.tree(self.job.pid, self.job.pid_started_at), now - self.sampled_at)
        at = time.time()
        relay.store_points(self.job, [Point(name, int(at), value, at) for name, value in values.items()])
        self.sampled_at, self.next_sample = now, now + SAMPLE_SECONDS

    def note_away(self, error: Exception) -> None:
        connection.close()
        if self.away_since is None:
            self.away_since = time.monotonic()
            logger.warning("job %s: Postgres is away (%s); the stage goes on", self.job.id, str(error).split("\n")[0])

    def leaving(self) -> bool:
        """Asked to hand the job back; or the queue worker died, and its successor must not find us beside it."""
        return get_current_job() is not None and (_leave or os.getppid() != self.parent)

    def enforce_stop(self) -> None:
        """The stop file at once; after the grace SIGTERM to all, then SIGKILL."""
        if self.job.cancel_requested_at is None:
            return
        now = time.monotonic()
        if self.stop_seen_at is None:
            (self.folder / "stop").touch()
            self.stop_seen_at = now
        elif now - self.stop_seen_at > settings.JOB_STOP_GRACE_SECONDS + KILL_AFTER_SECONDS:
            processes.kill_family(self.job)
        elif now - self.stop_seen_at > settings.JOB_STOP_GRACE_SECONDS and not self.terminated:
            processes.terminate(processes.family(self.job))
            self.terminated = True

    def conclude(self, exit_code: int) -> None:
        """Everything it said, then how it ended."""
        job = self.job
        if not self.owned:
            logger.warning("job %s: attempt %d was taken over; leaving it", job.id, job.attempt)
            return
        patiently(lambda: relay.drain(job))
        if self.leaving() and not has_ended_well(self.folder, exit_code):
            reason = "The queue worker was stopped; the work continues with the next one."
            patiently(lambda: transitions.requeue(job, reason, counts=not _leave))
            return
        ending = patiently(lambda: read_ending(job, self.folder, exit_code))
        if not patiently(lambda: write_ending(job, ending)):
            logger.warning("job %s: attempt %d had ended already", job.id, job.attempt)


def has_ended_well(folder: Path, exit_code: int) -> bool:
    return exit_code == 0 and (folder / "manifest.json").exists()


def write_ending(job: Job, ending: Ending) -> bool:
    """The transition that an ending asks for. A result that cannot be registered is a crash that no attempt mends."""
    if ending.manifest is None:
        if ending.status == Status.CRASHED:
            return transitions.crash(job, ending.message)
        return transitions.end(job, ending.status, code=ending.code, message=ending.message)
    try:
        return transitions.succeed(job, ending.manifest)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:  # whatever a product's on_success raises: the job must not hang in `running`
        logger.exception("job %s succeeded, but %s could not take its result", job.id, kind_of(job).entry)
        reason = f"The work is done, but its result could not be registered: {type(error).__name__}: {error}"
        return transitions.end(job, Status.CRASHED, message=reason)
