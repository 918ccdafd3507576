"""The pages of jobs and workers, as members use them and as others find them shut."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from controlplane.access.models import AuditEntry
from controlplane.jobs import relay
from controlplane.jobs.actions import submit_job
from controlplane.jobs.models import Job, MetricPoint
from controlplane.jobs.transitions import claim, end
from controlplane.jobs.workers import WorkerInfo
from tests import factories
from tests.controlplane.counting.jobs import count

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.JOBS_DIR = tmp_path
    settings.JOB_CONCURRENCY = {}


@pytest.fixture
def client(grace):
    return factories.signed_in_client(grace)


@pytest.fixture
def job(project, grace):
    return submit_job(kind=count, project=project, created_by=grace, title="10 <b>bold</b>")


@pytest.fixture
def running(job):
    claimed = claim("cpu", "worker-7", "host")
    relay.job_dir(claimed).mkdir()
    (relay.job_dir(claimed) / "output.log").write_bytes(b"first\n<script>alert(1)</script>\n")
    return claimed


def url(job, name="job"):
    return reverse(f"jobs:{name}", args=[job.project.slug, job.pk])


def text(response):
    assert response.status_code == 200, response
    return response.content.decode()


def test_the_list_shows_the_projects_jobs_and_escapes_what_people_wrote(client, job):
    page = text(client.get(reverse("jobs:list", args=[job.project.slug])))
    assert "10 &lt;b&gt;bold&lt;/b&gt;" in page and "queued" in page and "every 3s" in page


def test_the_list_is_narrowed_by_status_and_kind(client, job):
    address = reverse("jobs:list", args=[job.project.slug])
    assert "No such jobs" in text(client.get(address, {"status": "failed"}))
    assert "bold" in text(client.get(address, {"kind": "count", "status": "queued"}))


def test_a_long_list_has_pages_that_show_each_job_once(client, project):
    for number in range(60):
        factories.job(project, "count", title=f"[{number}]")
    address = reverse("jobs:list", args=[project.slug])
    first = client.get(address)
    second = client.get(address, {"after": first.context["page"].after})
    shown = [row.title for response in (first, second) for row in response.context["page"].rows]
    assert sorted(shown) == sorted(f"[{number}]" for number in range(60))
    assert second.context["page"].after is None


def test_a_damaged_cursor_is_a_bad_request(client, project):
    assert client.get(reverse("jobs:list", args=[project.slug]), {"after": "x,y"}).status_code == 400


def test_an_empty_list_says_how_jobs_come_about(client, project):
    assert "No jobs yet" in text(client.get(reverse("jobs:list", args=[project.slug])))


def test_the_page_of_a_running_job_polls_and_stops_polling_at_the_end(client, running):
    page = text(client.get(url(running)))
    assert "every 2s" in page and "worker-7" in page and "&lt;script&gt;" in page
    end(running, "crashed", message="It fell.")
    page = text(client.get(url(running)))
    assert "every 2s" not in page and "load delay" not in page and "It fell." in page


def test_the_live_part_is_a_part(client, running):
    part = text(client.get(url(running), {"part": "live"}, headers={"HX-Request": "true"}))
    assert "<html" not in part and 'id="live"' in part and "job.claimed" in part


def test_the_log_grows_from_its_cursor_instead_of_being_sent_again(client, running):
    after = client.get(url(running)).context["log"].after
    with (relay.job_dir(running) / "output.log").open("ab") as file:
        file.write(b"more\nhalf a li")
    part = text(client.get(url(running), {"after": after}))
    assert part.startswith("more\n") and "first" not in part and f"?after={after + 5}" in part
    assert client.get(url(running), {"after": "-1"}).status_code == 400


def test_the_whole_log_is_plain_text_and_missing_until_something_is_said(client, job, running):
    response = client.get(url(running, "log"))
    assert b"".join(response.streaming_content).startswith(b"first\n")
    assert response["Content-Type"].startswith("text/plain")
    (relay.job_dir(running) / "output.log").unlink()
    assert client.get(url(running, "log")).status_code == 404


def test_what_a_job_uses_is_drawn_and_can_be_asked_for_again(client, running):
    now = timezone.now()
    for name, value in (("system/cpu_percent", 150.0), ("system/rss_bytes", 2.0**30)):
        MetricPoint.objects.create(job=running, name=name, step=1764000000, value=value, at=now)
    assert "resources-percent" in text(client.get(url(running)))
    figure = client.get(url(running, "resources"), {"of": "resources-bytes"}).json()
    assert figure["data"][0]["y"] == [1.0]
    assert client.get(url(running, "resources"), {"of": "x"}).status_code == 404


def test_a_member_stops_retries_and_moves_up_a_job_and_each_is_audited(client, job, grace):
    client.post(url(job, "priority"), {"priority": "10"})
    assert client.post(url(job, "stop")).url == url(job)
    job.refresh_from_db()
    assert (job.status, job.priority) == ("cancelled", 10)
    client.post(url(job, "retry"))
    job.refresh_from_db()
    assert job.status == "queued"
    actions = AuditEntry.objects.filter(object_id=job.pk, actor=grace).order_by("id").values_list("action", flat=True)
    assert list(actions) == ["submit_job", "set_priority", "stop_job", "retry_job"]


def test_a_refusal_is_told_on_the_page_that_asked(client, job):
    response = client.post(url(job, "retry"), {"next": reverse("jobs:list", args=[job.project.slug])}, follow=True)
    assert "Only a job that ended without success" in text(response)


def test_a_form_never_leads_to_another_site(client, job):
    assert client.post(url(job, "stop"), {"next": "https://evil.example/"}).url == url(job)


def test_a_priority_is_a_number(client, job):
    response = client.post(url(job, "priority"), {"priority": "high"}, follow=True)
    assert "whole number" in text(response)


def test_a_viewer_sees_and_does_not_act(project, job):
    viewer = factories.signed_in_client(factories.user("vera", project, "VIEWER"))
    assert "Stop</button>" not in text(viewer.get(url(job)))
    assert viewer.post(url(job, "stop")).status_code == 403


@pytest.mark.parametrize("name", ["job", "log", "resources", "stop", "retry", "priority"])
def test_for_others_there_is_no_such_job(job, mallory, name):
    outsider = factories.signed_in_client(mallory)
    method = outsider.post if name in {"stop", "retry", "priority"} else outsider.get
    assert method(url(job, name)).status_code == 404
    assert Job.objects.get(pk=job.pk).status == "queued"


def test_a_job_of_another_project_is_not_found_through_ones_own(client, project, running):
    other = factories.project("elsewhere", "Elsewhere")
    Job.objects.filter(pk=running.pk).update(project=other)
    assert client.get(reverse("jobs:job", args=[project.slug, running.pk])).status_code == 404


def test_the_workers_page_names_only_jobs_that_the_person_may_see(client, running, mallory, monkeypatch):
    busy = WorkerInfo("worker-7", "cpu", 7, "busy", timezone.now(), running)
    idle = WorkerInfo("worker-8", "gpu", 8, "idle", timezone.now(), None)
    monkeypatch.setattr("controlplane.jobs.views.list_workers", lambda: [busy, idle])
    assert "bold" in text(client.get(reverse("jobs:workers")))
    page = text(factories.signed_in_client(mallory).get(reverse("jobs:workers")))
    assert "bold" not in page and "a job of another project" in page


def test_the_workers_page_says_that_the_queue_is_away(client, monkeypatch):
    def away(name):
        raise ConnectionRefusedError

    monkeypatch.setattr("controlplane.jobs.workers.open_queue", away)
    assert "The queue cannot be reached" in text(client.get(reverse("jobs:workers")))
