"""Adding a source: choose a kind, look at it, map its columns beside what was seen, add it."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from django.db import connection

from controlplane.jobs.queue import open_queue
from datasets_app import jobs
from datasets_app.models import DatasetVersion, Source, SourcePreview
from tests import factories
from tests.live import wait_for

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

COLUMNS = [["src", "string"], ["where", "string"]]


@pytest.fixture
def site(web):
    return web


def end(preview, **table):
    row = {"path": "a.py", "size_bytes": 6, "problem": None, "detail": None, "excerpt": "x = 1"}
    told = {"rows": [] if table["problem"] else [row], "table": {"columns": COLUMNS, "schema": "", **table}}
    receipt = factories.manifest("ingest_dataset", "dataset", summary={**told, "is_whole": True})
    factories.succeed(preview.job, replace(receipt, outputs={}))


def test_columns_are_mapped_beside_what_a_worker_saw_and_go_with_the_form(signed_in_page, project, grace):
    page = signed_in_page(grace)
    page.goto("/projects/demo/sources/add")
    page.get_by_role("link", name="Parquet").click()
    page.get_by_label("Name").fill("stack")
    page.get_by_label("Location").fill("/srv/stack.parquet")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    end(SourcePreview.objects.get(), mapping={}, problem="The source stack has no column content")

    page.get_by_label("Content").select_option("src")  # it came in by polling
    page.get_by_label("Path").select_option("where")
    page.get_by_role("button", name="Look again").click()
    second = wait_for(lambda: SourcePreview.objects.exclude(options={}).first())
    end(second, mapping={"content": "src", "path": "where"}, problem="")

    expect(page.get_by_text("x = 1")).to_be_visible()
    page.get_by_role("button", name="Add source").click()
    expect(page.get_by_role("heading", name="stack")).to_be_visible()
    assert Source.objects.get().options == {"columns": {"content": "src", "path": "where"}}


def ingest(version):
    """The queue's work on a version: the real stage, in the worker's environment."""

    def see_through():
        try:
            jobs.ingest_dataset(str(version.job_id))
        finally:
            connection.close()

    thread = threading.Thread(target=see_through, daemon=True)
    thread.start()
    return thread


def test_a_folder_is_imported_and_its_funnel_fills_without_a_reload(signed_in_page, project, grace, settings, tmp_path):
    settings.JOBS_DIR, settings.STORAGE_URL = tmp_path / "jobs", str(tmp_path / "storage")
    settings.STATE_DIR = tmp_path / "state"
    open_queue("cpu").empty()
    code = tmp_path / "code"
    code.mkdir()
    for n in range(12):
        body = "".join(f"    value_{n}_{line} = {n} + {line}\n" for line in range(9))
        (code / f"module_{n}.py").write_text(f"def compute_{n}(width, height):\n{body}    return value_{n}_0\n")
    (code / "logo.png").write_text("not read")
    page = signed_in_page(grace)
    page.goto("/projects/demo/sources/add?kind=folder")
    page.get_by_label("Name").fill("my-code")
    page.get_by_label("Location").fill(str(code))
    page.get_by_label("License").fill("MIT")
    page.get_by_role("button", name="Add source").click()
    page.get_by_role("link", name="New dataset version").first.click()
    page.locator("#id_name").fill("code")
    page.get_by_label("my-code").first.check()
    page.get_by_role("button", name="Ingest", exact=True).click()
    expect(page.get_by_text("waiting for a worker")).to_be_visible()
    page.evaluate("window.untouched = true")

    thread = ingest(DatasetVersion.objects.get())
    funnel = page.locator("#funnel")
    expect(funnel.get_by_text("unknown-language")).to_be_visible(timeout=180_000)
    thread.join(10)
    expect(page.locator(".head")).to_contain_text("succeeded")
    assert page.evaluate("window.untouched")
    assert page.locator("#job").count() == 0
