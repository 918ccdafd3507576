"""A job from its order to its end, with real stage processes, Postgres and Redis; the runner runs in this process."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.access.models import AuditEntry, Project
from controlplane.access.refusals import Refused
from controlplane.jobs import processes, relay, runner, transitions
from controlplane.jobs.actions import retry_job, set_priority, stop_job, submit_job
from controlplane.jobs.models import Job, JobEvent, MetricPoint, Status
from controlplane.jobs.queue import open_queue, waiting_rings
from controlplane.jobs.reconciler import Reconciler
from controlplane.jobs.worker import names_a_kind
from tests.controlplane.counting.jobs import count

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def yard(settings, tmp_path):
    settings.WORKER_COMMAND = [sys.executable, "-m", "tests.controlplane.counting.stage"]
    settings.JOBS_DIR = tmp_path / "jobs"
    settings.JOB_CONCURRENCY = {}
    for name in ("cpu", "gpu"):
        open_queue(name).empty()


@pytest.fixture
def project():
    return Project.objects.create(slug="yard", name="Yard")


def order(project, title, **more):
    return submit_job(kind=count, project=project, created_by=None, title=title, **more)


def see_through(job):
    count(str(job.id))
    job.refresh_from_db()
    return job


def events_of(job):
    return list(JobEvent.objects.filter(job=job).order_by("id").values_list("event", flat=True))


def test_a_job_that_counts_ends_succeeded_with_its_events_metrics_and_result(project):
    job = see_through(order(project, "5"))
    assert (job.status, job.attempt, job.progress_done, job.progress_total) == ("succeeded", 1, 5, 5)
    assert events_of(job) == ["job.queued", "job.claimed", *["message.logged"] * 5, "job.succeeded"]
    assert MetricPoint.objects.filter(job=job).latest_values()["count/value"] == 5
    assert AuditEntry.objects.filter(action="counted", object_id=job.id).count() == 1


def test_a_stage_never_sees_a_credential_of_ours(project, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "hush")
    job = see_through(order(project, "1"))
    seen = json.loads((relay.job_dir(job) / "environment.json").read_text())
    assert not {"DATABASE_URL", "REDIS_URL", "SECRET_KEY"} & seen.keys()
    assert seen["YARD_ATTEMPT"] == "1" and seen["OMP_WAIT_POLICY"] == "PASSIVE"


def test_a_stage_that_says_no_fails_with_its_code_and_is_not_tried_again(project):
    job = see_through(order(project, "5 0 refuses"))
    assert (job.status, job.failure_code, job.attempt) == ("failed", "data:user:no-rows", 1)


def test_a_kind_that_refuses_the_order_fails_the_job_with_the_code(project):
    job = see_through(order(project, "refused"))
    assert (job.status, job.failure_code) == ("failed", "data:user:bad-recipe")


def test_an_order_that_cannot_be_prepared_crashes_with_the_reason(project):
    job = see_through(order(project, "unpreparable"))
    assert job.status == "crashed" and "no such order" in job.failure_message


def test_a_worker_environment_that_is_missing_is_told_at_once(project, settings):
    settings.WORKER_COMMAND = ["/nowhere/python", "-m", "worker"]
    job = see_through(order(project, "1"))
    assert (job.status, job.attempt) == ("crashed", 1) and "/nowhere/python" in job.failure_message


def test_a_job_whose_app_is_gone_ends_and_says_so(project):
    job = order(project, "1")
    Job.objects.update(entry="gone_app.jobs.gone")
    assert see_through(job).status == "crashed" and "gone_app" in job.failure_message
    assert events_of(job)[-1] == "job.end_refused"


def test_a_stage_that_falls_is_tried_again_until_its_attempts_are_spent(project):
    job = order(project, "5 0 falls")
    for _ in range(count.max_attempts):
        assert see_through(job).status in {"queued", "crashed"}
    assert (job.status, job.attempt) == ("crashed", 4)
    assert "SIGABRT" in job.failure_message and "I fall" in job.failure_message
    assert AuditEntry.objects.filter(action="not_counted").count() == 1


def test_a_stage_that_leaves_without_a_receipt_has_crashed(project):
    job = order(project, "1 0 forgets")
    Job.objects.update(max_attempts=1)
    assert see_through(job).status == "crashed"


def test_a_result_that_nobody_can_take_shows_as_a_crash_and_leaves_no_half_result(project):
    job = see_through(order(project, "1 0 unwelcome"))
    assert job.status == "crashed" and "nobody wanted this result" in job.failure_message
    assert "job.succeeded" not in events_of(job)


def test_a_helper_in_a_session_of_its_own_does_not_outlive_the_job(project):
    job = see_through(order(project, "2 0 helped"))
    assert job.status == "succeeded"
    job.attempt = 1
    assert processes.family(job) == []


# ---- stop, retry, priority -------------------------------------------------------------------------------------------


def stop_soon(job):
    """Press Stop once the stage counts; in a thread, as a page would be in another process."""

    def press():
        from django.db import connection

        while not (relay.job_dir(job) / "work" / "done").exists():
            time.sleep(0.02)
        stop_job(job=Job.objects.get(pk=job.pk), by=None)
        connection.close()

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_stop_lets_the_stage_save_and_leave(project, settings):
    settings.JOB_LEASE_SECONDS = 1
    job = order(project, "1000 0.05")
    thread = stop_soon(job)
    see_through(job)
    thread.join()
    assert job.status == "cancelled" and "stage.stopped" in events_of(job)


def test_a_stage_that_is_deaf_to_stop_is_killed_after_the_grace(project, settings):
    settings.JOB_LEASE_SECONDS, settings.JOB_STOP_GRACE_SECONDS = 1, 0
    job = order(project, "1000 0.05 deaf")
    thread = stop_soon(job)
    see_through(job)
    thread.join()
    assert job.status == "cancelled" and "stage.stopped" not in events_of(job)


def test_a_queued_job_is_cancelled_at_once_and_its_ring_finds_nothing(project):
    job = order(project, "1")
    stop_job(job=job, by=None)
    assert see_through(job).status == "cancelled" and job.attempt == 0


def test_retry_continues_from_what_the_last_attempt_kept(project, settings):
    settings.JOB_LEASE_SECONDS = 1
    job = order(project, "60 0.05")
    thread = stop_soon(job)
    see_through(job)
    thread.join()
    retry_job(job=job, by=None)
    assert see_through(job).status == "succeeded" and job.attempt == 2
    said = JobEvent.objects.filter(job=job, event="message.logged").order_by("id")
    assert [event.payload["text"] for event in said] == [f"number {n}" for n in range(1, 61)]


def test_what_succeeded_can_be_neither_stopped_nor_tried_again(project):
    job = see_through(order(project, "1"))
    for action in (stop_job, retry_job):
        with pytest.raises(Refused):
            action(job=job, by=None)


def test_a_worker_takes_the_job_of_highest_priority_whichever_was_rung_for(project):
    low, high = order(project, "1"), order(project, "2")
    set_priority(job=high, by=None, priority=5)
    see_through(low)
    high.refresh_from_db()
    assert (low.status, high.status) == ("queued", "succeeded")


def test_a_kind_runs_no_more_often_at_once_than_it_may(project, settings):
    settings.JOB_CONCURRENCY = {"count": 1}
    order(project, "1"), order(project, "2")
    assert transitions.claim("cpu", "one", "here") is not None
    assert transitions.claim("cpu", "two", "here") is None
    assert Reconciler().ring_for_waiting() == 0


# ---- leases and fences -----------------------------------------------------------------------------------------------


def silent(project, title="1", **fields):
    """A job whose worker went silent a while ago."""
    order(project, title)
    job = transitions.claim("cpu", "gone", os.uname().nodename)
    Job.objects.filter(pk=job.pk).update(**{"lease_until": timezone.now() - timedelta(seconds=1), **fields})
    job.refresh_from_db()
    return job


@pytest.fixture
def old_postgres(monkeypatch):
    monkeypatch.setattr("controlplane.jobs.reconciler._postgres_uptime", lambda: timedelta(hours=1))


def test_a_silent_attempt_is_queued_again_with_what_it_had_said(project, old_postgres):
    job = silent(project)
    folder = relay.job_dir(job)
    folder.mkdir(parents=True)
    said = {"v": 1, "seq": 1, "attempt": 1, "at": 1.0, "event": "message.logged", "text": "last words"}
    (folder / "events.jsonl").write_text(json.dumps(said) + "\n")
    assert Reconciler().end_silent_attempts() == 1
    job.refresh_from_db()
    assert job.status == "queued" and events_of(job)[-2:] == ["message.logged", "job.requeued"]


def test_a_lease_that_holds_is_left_alone(project, old_postgres):
    job = silent(project, lease_until=timezone.now() + timedelta(seconds=30))
    assert Reconciler().end_silent_attempts() == 0
    job.refresh_from_db()
    assert job.status == "running"


def test_nobody_is_judged_while_postgres_has_just_come_back(project, monkeypatch):
    silent(project)
    monkeypatch.setattr("controlplane.jobs.reconciler._postgres_uptime", lambda: timedelta(seconds=1))
    assert Reconciler().end_silent_attempts() == 0


def test_a_stop_that_nobody_was_left_to_hear_cancels_the_job(project, old_postgres):
    job = silent(project, cancel_requested_at=timezone.now())
    Reconciler().end_silent_attempts()
    job.refresh_from_db()
    assert job.status == "cancelled"


def test_a_late_write_of_an_old_attempt_changes_nothing(project, old_postgres):
    job = silent(project)
    Reconciler().end_silent_attempts()
    assert transitions.claim("cpu", "next", "here").attempt == 2
    assert not transitions.extend_lease(job)
    assert not transitions.end(job, Status.CRASHED, message="late")
    assert not transitions.set_process(job, 1, 1.0)
    job.refresh_from_db()
    assert (job.status, job.attempt) == ("running", 2)


# ---- the doorbell ----------------------------------------------------------------------------------------------------


def test_a_rollback_rings_no_bell(project):
    from django.db import transaction

    with pytest.raises(RuntimeError), transaction.atomic():
        order(project, "1")
        raise RuntimeError
    assert waiting_rings("cpu") == set()


def test_an_order_is_taken_with_redis_away_and_rung_for_later(project, settings, monkeypatch):
    def away(name):
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr("controlplane.jobs.queue.open_queue", away)
        job = order(project, "1")
    assert job.status == "queued" and waiting_rings("cpu") == set()
    assert Reconciler().ring_for_waiting() == 1
    assert Reconciler().ring_for_waiting() == 0
    assert waiting_rings("cpu") == {str(job.id)}


def test_the_end_of_one_job_rings_for_the_next(project):
    first, second = order(project, "1"), order(project, "2")
    open_queue("cpu").empty()
    see_through(first)
    assert waiting_rings("cpu") == {str(second.id)}


def test_the_runner_waits_out_a_postgres_that_is_away(monkeypatch):
    from django.db import OperationalError

    answers = iter([OperationalError("gone"), OperationalError("gone"), "back"])

    def write():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(runner.time, "sleep", lambda seconds: None)
    assert runner.patiently(write) == "back"


def test_a_worker_calls_kinds_of_job_and_nothing_else_that_redis_names():
    assert names_a_kind("training_app.jobs.train_model")
    for path in ("os.system", "training_app.jobs.receive", "training_app.actions.train_model", "subprocess.jobs.run"):
        assert not names_a_kind(path)
