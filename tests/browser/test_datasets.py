"""The data pages in a browser: a slider, a dropped row's way, two versions side by side, the editor's check."""

from __future__ import annotations

import re

import pytest

from tests import stage_rows

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
NO_PLOTLY = "globalThis.Plotly = {react: async (box) => { box.on = () => {}; }}"


@pytest.fixture
def versions(project):
    return stage_rows.dataset_versions(project)


@pytest.fixture
def tab(page, signed_in_page, grace, versions):
    page.route("**/plotly.min.js", lambda route: route.fulfill(body=NO_PLOTLY, content_type="text/javascript"))
    return signed_in_page(grace)


def at(version, rest=""):
    return f"/projects/demo/datasets/{version.pk}/{rest}"


def test_a_slider_moves_and_the_numbers_follow_and_go_to_the_editor(tab, versions):
    tab.goto(at(versions[0], "thresholds"))
    expect(tab.locator("#files-share")).to_have_text("95.0 %")
    slider = tab.get_by_label("The longest line that stays, slider")
    slider.fill("200")
    expect(tab.get_by_role("cell", name="longest line 318")).to_be_visible()
    expect(tab.locator("#files-share")).not_to_have_text("95.0 %")
    value = tab.get_by_label("The longest line that stays", exact=True).input_value()
    assert 80 <= float(value) < 318
    tab.get_by_role("button", name="Make a recipe of this").click()
    expect(tab.get_by_role("heading", name="New dataset version")).to_be_visible()
    expect(tab.locator("[name=lines-max_line]")).to_have_value(value)
    expect(tab.get_by_text("No version has this recipe yet.")).to_be_visible()


def test_a_dropped_row_is_opened_from_the_funnel_and_says_why(tab, versions):
    tab.goto(at(versions[1]))
    tab.locator("#funnel").get_by_role("link", name="long-line").click()
    expect(tab.get_by_role("heading", name="long-line")).to_be_visible()
    tab.get_by_role("cell", name="long.py").get_by_role("link").click()
    expect(tab.get_by_text("Measured: 318 characters; the recipe says 120.")).to_be_visible()
    expect(tab.locator(".journey .dropped")).to_contain_text("Lines")


def test_two_versions_are_compared_by_rows_and_recipe(tab, versions):
    tab.goto(at(versions[1]))
    tab.get_by_role("button", name="Compare").click()
    tab.get_by_role("link", name="v1", exact=True).click()
    expect(tab.locator("#n-gone")).to_have_text("1")
    expect(tab.locator(".diff ins")).to_have_text(re.compile("max_line: 120"))
    tab.get_by_role("link", name="long-line").click()
    expect(tab.get_by_role("cell", name="long.py")).to_be_visible()


def test_the_editor_and_the_thresholds_work_without_scripts(browser, site, tab, versions):
    plain = browser.new_context(base_url=site.url, java_script_enabled=False)
    plain.add_cookies(tab.context.cookies())
    page = plain.new_page()
    page.goto(at(versions[0], "thresholds"))
    page.get_by_label("The longest line that stays", exact=True).fill("120")
    page.get_by_role("button", name="Show what they keep").click()
    assert page.get_by_role("cell", name="longest line 318").is_visible()
    page.get_by_role("button", name="Make a recipe of this").click()
    page.get_by_role("button", name="Check").click()
    assert page.get_by_text(f"The recipe of {versions[1]}").is_visible()
    plain.close()
