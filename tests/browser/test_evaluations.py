"""Evaluations in a browser: a suite goes up, is admitted and run, two models are compared, failures are walked by key.

In the story from upload to comparison the stages are real, in the worker's own environment: programs run in the sandbox.
The models are two endpoints that answer from a table; nothing is trained here.
"""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.conf import settings as site_settings
from django.utils import timezone

from controlplane.jobs.models import Job, JobEvent
from controlplane.jobs.queue import open_queue
from controlplane.jobs.runner import run_job
from eval_app import actions, jobs
from eval_app.models import Evaluation, SampleResult, Suite
from tests import factories
from tests.browser.conftest import missing
from tests.worker.evaluation.openai_server import Server, serving

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


def test_a_broken_suite_says_the_line(project, grace, signed_in_page, settings, tmp_path):
    settings.STORAGE_URL = str(tmp_path / "storage")
    page = signed_in_page(grace)
    page.goto("/projects/demo/suites/")
    card = upload(page, "broken", "{oops\n")
    expect(card.get_by_text("Line 1 is not JSON")).to_be_visible()
    assert not Suite.objects.filter(name="broken").exists()


def test_a_contaminated_problem_is_read_beside_its_training_row(chain, grace, signed_in_page):
    check = factories.make_contamination_check(chain.evaluation.suite, chain.version.run.shard_set.dataset_version)
    (task_id, *_) = check.summary["problems"]
    page = signed_in_page(grace)
    page.goto(f"/projects/demo/suites/{check.suite_id}/")
    page.locator("#contamination").get_by_role("link", name=str(check.dataset_version)).click()
    page.get_by_role("link", name=task_id).first.click()
    expect(page.get_by_role("heading", name=task_id)).to_be_visible()
    renamed = page.locator("section", has=page.get_by_role("link", name="shop/renamed.py"))
    expect(renamed.get_by_role("row", name="acc = 0")).to_contain_text("found = 0")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


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


# ---- from a file to a comparison, with real stages ---------------------------------------------------------------------

PROBLEMS = [
    {
        "task_id": "u/double",
        "language": "python",
        "prompt": "def double(n):\n    return",
        "reference": " n * 2",
        "buggy": " n + 2",
        "tests": "assert double(3) == 6\n",
    },
    {
        "task_id": "u/greet",
        "language": "bash",
        "prompt": "greet() {\n  echo ",
        "reference": '"hello $1"\n}',
        "tests": '[[ $(greet ada) == "hello ada" ]]\n',
    },
    {
        "task_id": "u/blind",
        "language": "python",
        "prompt": "def anything(n):\n    return",
        "reference": " n",
        "tests": "assert anything\n",
    },
]
ANSWERS = {
    "first": {row["prompt"]: row["reference"] for row in PROBLEMS},
    "second": {PROBLEMS[0]["prompt"]: " n + 2", PROBLEMS[1]["prompt"]: PROBLEMS[1]["reference"]},
}


@pytest.fixture
def baselines(project, grace):
    """Two models behind OpenAI's API, called by their names in ANSWERS."""
    with ExitStack() as running:
        yield [
            actions.add_baseline(project=project, by=grace, name=name, base_url=server.url, served_name=name)
            for name in ANSWERS
            for server in [running.enter_context(serving(Server(answering(ANSWERS[name]))))]
        ]


def answering(texts):
    return lambda request: texts.get(request["prompt"], "")


@pytest.fixture
def work(settings, tmp_path):
    """Calling it with a kind sees the next job of that kind's queue through, as a queue worker does."""
    if not site_settings.WORKER_PYTHON.exists():
        missing("No worker environment: ./yard up makes it.")
    settings.STORAGE_URL, settings.JOBS_DIR = str(tmp_path / "storage"), tmp_path / "jobs"
    for name in ("cpu", "gpu"):
        open_queue(name).empty()
    return lambda kind: run_job(kind, "")


def upload(page, name, text):
    card = page.locator("section", has=page.get_by_role("heading", name="Upload a suite"))
    card.get_by_label("Name").fill(name)
    file = {"name": "ours.jsonl", "mimeType": "application/json", "buffer": text.encode()}
    card.get_by_label("File").set_input_files(file)
    card.get_by_role("button", name="Upload").click()
    return card


def test_from_an_uploaded_file_to_a_failed_sample_and_a_comparison(baselines, grace, signed_in_page, work):
    page = signed_in_page(grace)
    page.goto("/projects/demo/suites/")
    upload(page, "uploaded", "".join(json.dumps(row) + "\n" for row in PROBLEMS))
    expect(page.get_by_role("heading", name="Admit it")).to_be_visible()
    page.get_by_role("button", name="Admit").click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    work(jobs.admit_suite)
    expect(page.get_by_text("2 of 3 problems count")).to_be_visible()  # without a reload
    expect(page.get_by_role("row", name="u/blind")).to_contain_text("an empty completion passes")
    expect(page.get_by_role("row", name="Bash bash")).to_contain_text("all count")

    suite = Suite.objects.get(name="uploaded")
    for baseline in baselines:
        page.goto(f"{LIST}new?suite={suite.pk}&baseline={baseline.pk}")
        page.get_by_role("button", name="Evaluate").click()
        expect(page.get_by_text("waiting for a worker")).to_be_visible()
        work(jobs.evaluate_model)
        expect(page.get_by_text("1 left out")).to_be_visible()
    page.get_by_role("link", name="u/double").first.click()
    expect(page.get_by_role("heading", name="From the reference to the completion")).to_be_visible()
    expect(page.locator(".diff ins")).to_have_text("n + 2")

    page.goto(LIST)
    for name in ("second", "first"):
        page.get_by_label(f"Choose uploaded of {name}").check()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.get_by_text("exact McNemar")).to_be_visible()
    expect(page.get_by_role("row", name="python")).to_contain_text(re.compile(r"100\.0.%"))
    lost = page.locator("section", has=page.get_by_role("heading", name=re.compile("Newly (solved|failed)")))
    expect(lost.get_by_role("link", name="u/double")).to_be_visible()
