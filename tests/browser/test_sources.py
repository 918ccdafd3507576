"""Adding a source: choose a kind, look at it, map its columns beside what was seen, add it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from datasets_app.models import Source, SourcePreview
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
