"""A run watched live: its events arrive while the page is open, through the real runner and relay.

The stage is scripted (tests/browser/scripted_training.py); its process, the events file, the relay, the page's own
polling and Plotly are what they are in production.
"""

from __future__ import annotations

import re
import sys
import threading

import pytest
from django.db import connection
from django.utils import timezone

from controlplane.jobs import relay
from controlplane.jobs.models import Job, MetricPoint
from controlplane.jobs.queue import open_queue
from tests import factories
from tests.browser.scripted_training import BEFORE
from tests.live import wait_for
from training_app import actions, jobs
from training_app.recipes import recipe_for

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
STEPS_DRAWN = "document.querySelector('[data-chart=loss]').data?.[0]?.x ?? []"


@pytest.fixture
def site(web):
    return web


@pytest.fixture
def run(project, settings, tmp_path):
    """A run with most of its curve behind it, whose stage waits for what a test allows."""
    settings.WORKER_COMMAND = [sys.executable, "-m", "tests.browser.scripted_training"]
    settings.JOBS_DIR = tmp_path / "jobs"
    for name in ("cpu", "gpu"):
        open_queue(name).empty()
    version = factories.make_dataset_version(project)
    shards = factories.make_shard_set(version, factories.make_tokenizer(version))
    recipe = recipe_for("first-model", max_steps=8_000)
    made = actions.train_model(
        project=project, by=None, shard_set=shards, recipe=recipe, model_name="completer", name="brave-heron-1"
    )
    MetricPoint.objects.bulk_create(
        MetricPoint(job=made.job, name="loss/train", step=step, value=2 + 6 * 0.999**step, at=timezone.now())
        for step in range(1, BEFORE + 1)
    )
    return made


@pytest.fixture
def work(run):
    """Calling it starts the queue's work on the run; after the test the stage is gone, whatever happened."""

    def see_through():
        try:
            jobs.train_model(str(run.job_id))
        finally:
            connection.close()

    thread = threading.Thread(target=see_through, daemon=True)
    yield thread.start
    if thread.is_alive():
        (relay.job_dir(run.job) / "stop").touch()
        thread.join(30)


def allow(run, step):
    """Let the stage train up to `step`."""
    folder = relay.job_dir(run.job)
    wait_for(folder.exists)
    (folder / "allowed").write_text(str(step))


def drawn(page):
    """The steps of the training loss that the chart shows."""
    return page.evaluate(STEPS_DRAWN)


def n_between(page, first, last):
    return sum(first < step < last for step in drawn(page))


def drag_over_the_middle(page):
    """What a hand does to zoom: from two fifths of the plot to three fifths."""
    plot = page.locator("[data-chart=loss] .nsewdrag").bounding_box()
    y = plot["y"] + plot["height"] / 2
    page.mouse.move(plot["x"] + plot["width"] * 0.4, y)
    page.mouse.down()
    page.mouse.move(plot["x"] + plot["width"] * 0.6, y, steps=4)
    page.mouse.up()


def test_a_run_is_watched_live_zoomed_into_and_stopped(run, work, signed_in_page, grace):
    page = signed_in_page(grace)
    page.goto(f"/projects/demo/runs/{run.pk}/")
    now = page.locator("#now")
    expect(now).to_contain_text("queued")
    page.evaluate("window.stillTheSamePage = true")

    work()
    allow(run, BEFORE + 40)
    expect(now).to_contain_text("running")
    expect(now).to_contain_text("step 6,040 of 8,000")
    expect(now).to_contain_text("5,400")
    wait_for(lambda: drawn(page)[-1:] == [BEFORE + 40])

    allow(run, BEFORE + 90)
    expect(now).to_contain_text("step 6,090 of 8,000")
    wait_for(lambda: drawn(page)[-1:] == [BEFORE + 90])

    coarse = n_between(page, 2600, 3500)
    with page.expect_response(re.compile(r"/chart/loss\?x0=2\d\d\d.*&x1=3\d\d\d")):
        drag_over_the_middle(page)
    wait_for(lambda: drawn(page)[0] > 2000)
    assert n_between(page, 2600, 3500) > 2 * coarse
    assert page.evaluate("window.stillTheSamePage")

    page.get_by_role("button", name="Stop and save").click()
    expect(now).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert Job.objects.get(pk=run.job_id).status == "cancelled"


def test_a_page_that_is_only_looked_at_follows_the_run_to_its_end(run, work, signed_in_page, grace):
    Job.objects.filter(pk=run.job_id).update(max_attempts=1)
    page = signed_in_page(grace)
    work()
    allow(run, BEFORE + 5)
    page.goto(f"/projects/demo/runs/{run.pk}/")
    page.evaluate("window.stillTheSamePage = true")
    expect(page.locator("#now")).to_contain_text("step 6,005 of 8,000")
    (relay.job_dir(run.job) / "stop").touch()
    expect(page.locator("#now")).to_contain_text("crashed")  # nobody asked it to stop, and it left no receipt
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.locator("[data-chart=loss]")).not_to_have_attribute("data-live", "")
    assert page.evaluate("window.stillTheSamePage")
