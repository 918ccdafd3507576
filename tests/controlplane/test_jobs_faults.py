"""Kill -9 of everything that takes part in a job, one after the other, while it counts.

Real processes on a Postgres and a Valkey of their own: two queue workers and a reconciler. Whatever dies, the job ends
succeeded exactly once, it said every number in order, and nothing is left running.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from django.core.management import call_command
from django.db import OperationalError, connections

from controlplane.access.models import AuditEntry, Project
from controlplane.jobs import processes, relay
from controlplane.jobs.actions import stop_job, submit_job
from controlplane.jobs.models import JobEvent, MetricPoint
from controlplane.jobs.queue import open_queue
from controlplane.jobs.workers import list_workers
from controlplane.pipeline.services.postgres import Postgres
from controlplane.pipeline.services.temporary import ROOT, started, temporary_folder
from controlplane.pipeline.services.valkey import Valkey
from controlplane.settings import database
from tests.controlplane.counting.jobs import count

pytestmark = pytest.mark.slow
N = 25
PATIENCE = 120  # seconds until a test gives up; on a quiet machine none takes more than 15
WORKER = ["rqworker", "cpu", "--serializer", "rq.serializers.JSONSerializer"]
WORKER += ["--worker-class", "controlplane.jobs.worker.Worker"]


@dataclass
class Yard:
    """Two servers and the processes of the engine room."""

    folder: Path
    servers: dict[str, Postgres | Valkey]
    running: dict[str, tuple[contextlib.ExitStack, subprocess.Popen]] = field(default_factory=dict)
    managed: dict[str, subprocess.Popen] = field(default_factory=dict)

    def start_server(self, name):
        stack = contextlib.ExitStack()
        self.running[name] = stack, stack.enter_context(started(self.servers[name]))

    def kill_server(self, name):
        stack, process = self.running.pop(name)
        process.kill()
        process.wait()
        stack.close()

    def manage(self, name, *arguments):
        log = (self.folder / f"{name}.log").open("ab")
        environment = {
            **os.environ,
            "DATABASE_URL": self.servers["postgres"].url,
            "REDIS_URL": self.servers["valkey"].url,
            "YARD_STATE": str(self.folder),
            "JOB_LEASE_SECONDS": "3",
            "DJANGO_SETTINGS_MODULE": "tests.controlplane.counting.settings",
        }
        self.managed[name] = subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def start(self):
        self.manage("one", *WORKER, "--name", f"one-{os.urandom(3).hex()}")
        self.manage("reconciler", "reconcile")

    def stop(self):
        for process in self.managed.values():
            process.terminate()
        for process in self.managed.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.managed.clear()

    def words(self):
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))


@pytest.fixture(scope="module")
def servers(django_db_blocker):
    """A yard's servers; this process's ORM and queues point there meanwhile."""
    with temporary_folder() as folder:
        yard = Yard(folder, {
            "postgres": Postgres(folder / "postgres", durable=True),
            "valkey": Valkey(folder / "valkey", durable=True),
        })  # fmt: skip
        for name in yard.servers:
            yard.start_server(name)
        with django_db_blocker.unblock(), elsewhere(yard):
            call_command("migrate", verbosity=0)
            yield yard
        for name in list(yard.running):
            yard.running.pop(name)[0].close()


@contextlib.contextmanager
def elsewhere(yard):
    """Django's default connection on another server; put back at the end."""
    connections["default"].close()
    before = connections.settings["default"].copy()
    target = database(yard.servers["postgres"].url)
    connections.settings["default"].update(target, CONN_MAX_AGE=0)
    del connections["default"]
    try:
        yield
    finally:
        connections["default"].close()
        connections.settings["default"].clear()
        connections.settings["default"].update(before)
        del connections["default"]


@pytest.fixture
def yard(servers, settings):
    settings.JOBS_DIR = servers.folder / "jobs"
    settings.RQ_QUEUES = {
        name: {**queue, "URL": servers.servers["valkey"].url} for name, queue in settings.RQ_QUEUES.items()
    }
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()


def order(title):
    project, _ = Project.objects.get_or_create(slug="yard", defaults={"name": "Yard"})
    return submit_job(kind=count, project=project, created_by=None, title=title)


def patiently(yard, what):
    """Ask until the answer is truthy; Postgres may be away meanwhile."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if answer := what():
                return answer
        except OperationalError:
            connections["default"].close()
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting\n{yard.words()}")


def counting(yard, at_least=5):
    """A job in the middle of its counting, its process known."""
    job = order(f"{N} 0.1 helped")
    kept = relay.job_dir(job) / "work" / "done"
    patiently(yard, lambda: kept.exists() and int(kept.read_text() or 0) >= at_least)

    def known():
        job.refresh_from_db()
        return job.pid

    patiently(yard, known)
    return job


def ended(yard, job, status="succeeded"):
    """Wait for the end, and look at everything a user relies on."""

    def is_final():
        job.refresh_from_db()
        return not job.is_active

    patiently(yard, is_final)
    assert job.status == status, f"{job.failure_message}\n{yard.words()}"
    patiently(yard, lambda: not left_running(job))
    return job


def left_running(job):
    mark = f"{job.id}/"
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(processes.MARK, "").startswith(mark) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def counted_once_and_in_order(job):
    """Every number in order; one killed between saying and keeping a number says it again, once for each kill."""
    events = list(JobEvent.objects.filter(job=job).order_by("id"))
    numbers = [int(e.payload["text"].split()[1]) for e in events if e.event == "message.logged"]
    assert list(dict.fromkeys(numbers)) == list(range(1, N + 1)) and numbers == sorted(numbers)
    assert len(numbers) - N < job.attempt
    seqs = [event.seq for event in events if event.seq is not None]
    assert seqs == sorted(set(seqs))
    names = [event.event for event in events]
    assert names.count("job.succeeded") == 1 and names[-1] == "job.succeeded"
    assert names.count("job.claimed") == job.attempt
    assert AuditEntry.objects.filter(action="counted", object_id=str(job.id)).count() == 1
    assert MetricPoint.objects.filter(job=job).latest_values()["count/value"] == N


def horse_of(job):
    return psutil.Process(job.pid).ppid()


def test_kill_of_the_stage(yard):
    job = counting(yard)
    os.kill(job.pid, signal.SIGKILL)
    counted_once_and_in_order(ended(yard, job))
    assert job.attempt == 2


def test_kill_of_the_work_horse(yard):
    job = counting(yard)
    os.kill(horse_of(job), signal.SIGKILL)
    counted_once_and_in_order(ended(yard, job))
    assert job.attempt == 2


def test_kill_of_the_queue_worker_while_another_is_there(yard):
    job = counting(yard)
    yard.manage("two", *WORKER, "--name", f"two-{os.urandom(3).hex()}")
    yard.managed["one"].kill()
    counted_once_and_in_order(ended(yard, job))
    assert job.attempt == 2


def test_kill_of_the_whole_family_at_once(yard):
    job = counting(yard)
    horse = horse_of(job)
    yard.manage("two", *WORKER, "--name", f"two-{os.urandom(3).hex()}")
    for pid in (yard.managed["one"].pid, horse):
        os.kill(pid, signal.SIGKILL)
    counted_once_and_in_order(ended(yard, job))


def test_kill_of_valkey(yard):
    job = counting(yard)
    yard.kill_server("valkey")
    time.sleep(1)
    yard.start_server("valkey")
    counted_once_and_in_order(ended(yard, job))
    assert job.attempt == 1


def test_valkey_emptied_with_one_job_running_and_one_waiting(yard):
    job = counting(yard)
    waiting = order("3")
    open_queue("cpu").connection.flushall()
    counted_once_and_in_order(ended(yard, job))
    ended(yard, waiting)
    assert job.attempt == waiting.attempt == 1


def test_kill_of_postgres(yard):
    job = counting(yard)
    yard.kill_server("postgres")
    time.sleep(1)
    yard.start_server("postgres")
    counted_once_and_in_order(ended(yard, job))
    assert job.attempt == 1


def test_stop_works_with_valkey_away(yard):
    job = counting(yard)
    yard.kill_server("valkey")
    try:
        stop_job(job=job, by=None)
        ended(yard, job, "cancelled")
    finally:
        yard.start_server("valkey")


def test_a_worker_that_is_told_to_leave_hands_its_job_back_at_no_cost(yard):
    job = counting(yard)
    limit = job.max_attempts
    yard.manage("two", *WORKER, "--name", f"two-{os.urandom(3).hex()}")
    yard.managed["one"].terminate()
    counted_once_and_in_order(ended(yard, job))
    assert (job.attempt, job.max_attempts) == (2, limit + 1)


def test_the_list_of_workers_tells_what_each_is_doing(yard):
    job = counting(yard)
    (worker,) = [each for each in list_workers() if each.state == "busy"]
    assert worker.current_job == job and worker.queue == "cpu" and worker.last_heartbeat is not None
    yard.kill_server("valkey")
    try:
        (worker,) = list_workers()
        assert (worker.state, worker.current_job) == ("unknown", job)
    finally:
        yard.start_server("valkey")
    ended(yard, job)
