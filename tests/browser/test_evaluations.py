"""Evaluations in a browser: a suite goes up, two scores are compared, failures are walked by key, a running one ticks."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from controlplane.jobs.models import Job, JobEvent
from eval_app.models import Evaluation, SampleResult, Suite
from tests import factories

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LIST = "/projects/demo/evaluations/"


@pytest.fixture
def chain(project):
    return factories.make_chain(project)


@pytest.fixture
def pair(chain):
    """Two versions on four problems: the second solves one more and loses one."""
    return [judged(chain.version, {0, 1}), judged(factories.make_model_version(chain.run, number=2), {1, 2, 3})]


def judged(version, solved):
    made = factories.make_evaluation(version, pass_at_1=len(solved) / 4)
    made.samples.all().delete()
    made.summary |= {"n_problems": 4, "problems": [problem(i, i in solved) for i in range(4)]}
    made.save(update_fields=["summary"])
    SampleResult.objects.bulk_create(sample(made, i, "passed" if i in solved else "failed") for i in range(4))
    return made


def problem(number, passed):
    return {"task_id": f"t/{number}", "n": 1, "c": int(passed), "n_truncated": 0}


def sample(evaluation, number, outcome):
    texts = {"prompt": "x = (", "completion": f"{number})", "output": "no", "seconds": 0.1, "sample": 0}
    return SampleResult(evaluation=evaluation, task_id=f"t/{number}", outcome=outcome, **texts)


def test_two_evaluations_are_chosen_compared_and_opened_from_the_matrix(pair, grace, signed_in_page):
    page = signed_in_page(grace)
    page.goto(LIST)
    for version in ("one v2", "one v1"):
        page.get_by_label(f"Choose starter-python of {version}").first.check()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.get_by_role("heading", name="Compare 2 evaluations")).to_be_visible()
    expect(page.get_by_text("exact McNemar")).to_be_visible()
    expect(page.get_by_role("link", name="t/0")).to_be_visible()
    plot = page.locator("[data-chart=matrix] .nsewdrag")
    box = plot.bounding_box()
    plot.click(position={"x": box["width"] * 0.9, "y": box["height"] * 0.25})
    expect(page).to_have_url(re.compile(r"/problem\?task=t%2F"))
    expect(page.get_by_role("heading", name="What models wrote")).to_be_visible()


def test_failed_samples_are_walked_with_j_and_k(pair, grace, signed_in_page):
    page = signed_in_page(grace)
    page.goto(f"{LIST}{pair[0].pk}/?outcome=failed")
    page.get_by_role("link", name="t/2").click()
    expect(page.get_by_role("heading", name="t/2")).to_be_visible()
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="t/3")).to_be_visible()
    page.keyboard.press("k")
    expect(page.get_by_role("heading", name="t/2")).to_be_visible()


def test_a_suite_is_uploaded_and_a_broken_one_says_the_line(project, grace, signed_in_page, settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    row = {"task_id": "u/0", "prompt": "x = (", "canonical_solution": "1)", "test": "assert x", "entry_point": "x"}
    page = signed_in_page(grace)
    page.goto("/projects/demo/suites/")
    card = page.locator("section", has=page.get_by_role("heading", name="Upload a suite"))
    for text in ("{oops\n", json.dumps(row) + "\n"):
        card.get_by_label("Name").fill("uploaded")
        file = {"name": "ours.jsonl", "mimeType": "application/json", "buffer": text.encode()}
        card.get_by_label("File").set_input_files(file)
        card.get_by_role("button", name="Upload").click()
        if text.startswith("{oops"):
            expect(card.get_by_text("Line 1 is not JSON")).to_be_visible()
    expect(page.get_by_role("heading", name="uploaded")).to_be_visible()
    assert Suite.objects.get(name="uploaded").location.endswith("/problems.jsonl")


def test_a_running_evaluation_ticks_and_shows_its_score_without_a_reload(chain, grace, signed_in_page):
    evaluation = chain.evaluation
    finished = {"status": "succeeded", "finished_at": timezone.now()}
    lease = timezone.now() + timedelta(hours=1)
    Job.objects.filter(pk=evaluation.job_id).update(status="running", finished_at=None, lease_until=lease)
    sha256 = evaluation.sha256
    Evaluation.objects.filter(pk=evaluation.pk).update(sha256=None)
    page = signed_in_page(grace)
    page.goto(f"{LIST}{evaluation.pk}/")
    expect(page.locator("#status")).to_have_text("running")
    JobEvent.objects.create(
        job=evaluation.job, attempt=1, at=timezone.now(), event="sample.judged", payload={"outcome": "failed"}
    )
    expect(page.get_by_text("1 judged so far")).to_be_visible()
    Evaluation.objects.filter(pk=evaluation.pk).update(sha256=sha256)
    Job.objects.filter(pk=evaluation.job_id).update(**finished)
    expect(page.get_by_text("pass@1")).to_be_visible()
    expect(page.locator("#status")).to_have_text("succeeded")


def test_a_matrix_of_twenty_versions_fits_a_phone(chain, grace, signed_in_page):
    rows = [judged(factories.make_model_version(chain.run, number=n), {n % 4}) for n in range(2, 22)]
    page = signed_in_page(grace)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{LIST}compare?ids={','.join(row.pk for row in rows)}")
    expect(page.locator("[data-chart=matrix] .main-svg").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
