"""Tokenizers side by side and a curve that opens to its rows, in a real browser.

The `page` fixture fails a test when a script throws, the policy blocks something, or anything off this machine is asked.
"""

from __future__ import annotations

import re

import pytest

from tests import stage_rows

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Plotly is 4.8 MB to parse; test_face.py has the real one drawn. This one hands its listeners back, to be called.
PLOTLY = "globalThis.Plotly = {react: async (box) => { box.on = (name, tell) => { box[name] = tell; }; }}"


@pytest.fixture
def quick_page(page):
    page.route("**/plotly.min.js", lambda route: route.fulfill(body=PLOTLY, content_type="text/javascript"))
    return page


@pytest.fixture
def version(project):
    return stage_rows.version(project)


def test_two_tokenizers_are_chosen_compared_and_tried_on_a_text(quick_page, signed_in_page, version, grace):
    stage_rows.tokenizer(version, "words")
    stage_rows.tokenizer(version, "digits", "digits")
    page = signed_in_page(grace)
    page.goto("/projects/demo/tokenizers/")
    page.get_by_label("Choose words").check()
    page.get_by_label("Choose digits").check()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.get_by_role("heading", name="Compare tokenizers")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("Python"))).to_be_visible()
    page.get_by_label("Text", exact=True).fill("x = 1234")
    column = page.locator("#snippet .card", has_text="digits")
    expect(column.locator(".tokens span")).to_have_text(["x", " =", " ", "1", "2", "3", "4"])
    expect(column.locator(".tokens span").last).to_have_attribute("title", re.compile(r"^\d+$"))


def test_a_click_on_the_loss_opens_the_steps_samples(quick_page, signed_in_page, version, grace):
    run = stage_rows.run(stage_rows.shards(version, stage_rows.tokenizer(version)))
    page = signed_in_page(grace)
    page.goto(f"/projects/demo/runs/{run.pk}/")
    page.locator("[data-chart=loss][data-drawn]").wait_for()
    page.locator("[data-chart=loss]").evaluate("box => box.plotly_click({points: [{x: 3, y: 2.5}]})")
    expect(page.get_by_role("heading", name="Step 3")).to_be_visible()
    page.get_by_role("link", name=re.compile("module_")).first.click()
    expect(page.locator("#seen")).to_contain_text("brave-heron-1")
