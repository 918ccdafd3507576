"""The queue worker: RQ's own, quicker to notice, and made to leave with its family.

Used as `manage.py rqworker QUEUE --worker-class controlplane.jobs.worker.Worker`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from typing import Any

import rq
from django.apps import apps
from django.db import InterfaceError, OperationalError, connection
from redis.exceptions import RedisError

from controlplane.jobs.kinds import JobKind
from controlplane.jobs.runner import watch_for_leave
from controlplane.jobs.transitions import expire_leases


def names_a_kind(path: str) -> bool:
    """Whether a dotted path is `<installed app>.jobs.<kind>`. No other module is imported to find out."""
    app, _, name = path.partition(".jobs.")
    if not apps.is_installed(app) or not name.isidentifier():
        return False
    return isinstance(getattr(importlib.import_module(f"{app}.jobs"), name, None), JobKind)


class Worker(rq.Worker):
    """Looks after its horse every 5 s, after its registries every 10 s, and beats every 15 s while it waits.

    RQ's defaults are 30 s, 10 min and 405 s: a dead worker would be listed as idle for minutes.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        quick = {"job_monitoring_interval": 5, "maintenance_interval": 10, "worker_ttl": 30}
        super().__init__(*args, **{**kwargs, **quick})

    def maintain_heartbeats(self, job: rq.job.Job) -> None:
        """Redis away for long would end the worker here, and the work with it, though both do without it."""
        try:
            super().maintain_heartbeats(job)
        except (RedisError, OSError) as error:
            self.log.warning("Worker %s: no heartbeat to Redis (%s); the job goes on", self.name, error)

    def perform_job(self, job: rq.job.Job, queue: rq.Queue) -> bool:
        """RQ calls whatever function a message names. Ours calls kinds of job only: Redis is a doorbell, not a shell."""
        if not names_a_kind(str(job.func_name)):
            self.log.error("Worker %s: refused %s, which is no kind of job", self.name, job.func_name)
            job.delete()
            return False
        return bool(super().perform_job(job, queue))

    def handle_warm_shutdown_request(self) -> None:
        """RQ waits for the work to end, which may take days: ours hands it back to the queue within a second."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, signal.SIGTERM)

    def handle_work_horse_killed(self, job: rq.job.Job, *how: Any) -> None:
        """The reconciler takes over at its next round instead of when the lease runs out."""
        super().handle_work_horse_killed(job, *how)  # type: ignore[no-untyped-call]
        try:
            expire_leases(self.name)
        except (OperationalError, InterfaceError) as error:
            self.log.warning("Worker %s: Postgres is away (%s); the lease will run out", self.name, error)
        finally:
            connection.close()  # or the next horse would inherit, and share, this connection

    def setup_work_horse_signals(self) -> None:
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        watch_for_leave()
