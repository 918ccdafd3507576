"""The runs table in a browser: what is chosen on several pages, saved views, columns; and what every header carries."""

from __future__ import annotations

import re

import pytest

from controlplane.access.actions import add_member
from controlplane.access.models import Role
from controlplane.jobs.models import Job
from tests import factories
from training_app.models import RunView, TrainingRun

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LIST = "/projects/demo/runs/"
NO_PLOTLY = "globalThis.Plotly = {react: async (box) => { box.on = () => {}; }}"


@pytest.fixture
def shards(project):
    version = factories.make_dataset_version(project)
    return factories.make_shard_set(version, factories.make_tokenizer(version))


@pytest.fixture
def runs(shards):
    """Two pages of them; the first page ends with run-3."""
    return [
        factories.make_training_run(shards, f"run-{number}", metrics={"loss/val": number / 10}) for number in range(53)
    ]


@pytest.fixture
def table(page, signed_in_page, grace, runs):
    page.route("**/plotly.min.js", lambda route: route.fulfill(body=NO_PLOTLY, content_type="text/javascript"))
    page = signed_in_page(grace)
    page.goto(LIST)
    return page


def shows_first(page, *names):
    for place, name in enumerate(names):
        expect(page.locator("tbody tr").nth(place).locator("td").nth(1)).to_have_text(name)


def test_runs_chosen_on_two_pages_are_compared_and_archived_together(table, runs):
    table.get_by_label("Choose run-52").check()
    table.get_by_role("link", name="Next →").click()
    expect(table.get_by_text("1 chosen, 1 on other pages")).to_be_visible()
    table.get_by_label("Choose run-1", exact=True).check()
    table.get_by_role("link", name="Compare 2").click()
    expect(table.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    table.go_back()
    expect(table.get_by_text("2 chosen, 1 on other pages")).to_be_visible()
    table.get_by_role("button", name="Archive").click()
    expect(table.get_by_text("2 runs archived.")).to_be_visible()
    assert set(TrainingRun.objects.exclude(archived_at=None).values_list("name", flat=True)) == {"run-52", "run-1"}
    expect(table.get_by_text("choose runs to compare or archive them")).to_be_visible()


def test_a_saved_view_survives_a_reload_and_tells_what_was_changed(table):
    table.get_by_role("link", name="loss/val").click()
    shows_first(table, "run-0")
    table.get_by_role("link", name="loss/val").click()
    shows_first(table, "run-52")
    table.get_by_label("Search runs").fill("metrics.`loss/val` < 3")
    table.keyboard.press("Enter")
    shows_first(table, "run-29", "run-28")
    table.get_by_role("button", name="Columns").click()
    table.get_by_label("batch_size").check()
    table.get_by_role("button", name="Show these").click()
    table.get_by_role("button", name="Save as view").click()
    table.get_by_role("textbox", name="Name").fill("Best losses")
    table.get_by_role("button", name="Save", exact=True).click()
    expect(table.get_by_role("link", name="Best losses")).to_have_attribute("aria-current", "page")
    table.goto(f"{LIST}?view={RunView.objects.get().pk}")
    shows_first(table, "run-29", "run-28")
    expect(table.get_by_role("columnheader", name="batch_size")).to_be_visible()
    expect(table.get_by_role("button", name="Save changes")).to_have_count(0)
    table.get_by_role("link", name="loss/val").click()
    shows_first(table, "run-0", "run-1")
    expect(table.get_by_role("button", name="Save changes")).to_be_visible()


def test_the_list_follows_what_runs_and_keeps_what_is_chosen(table, runs):
    Job.objects.filter(pk=runs[50].job_id).update(
        status="running", finished_at=None, lease_until=runs[50].job.finished_at
    )
    table.reload()
    row = table.get_by_role("row", name="run-50")
    expect(row).to_contain_text("running")
    table.get_by_label("Choose run-51").check()
    TrainingRun.objects.filter(pk=runs[50].pk).update(metrics={"loss/val": 0.125})
    expect(row).to_contain_text("0.125")
    expect(table.get_by_label("Choose run-51")).to_be_checked()


def test_p_switches_to_another_project_by_name(table, grace):
    second = factories.project(slug="second", name="Second yard")
    add_member(project=second, user=grace, role=Role.VIEWER, by=None)
    table.keyboard.press("p")
    expect(table.locator("#palette li")).to_have_count(2)
    table.keyboard.type("sec")
    expect(table.locator("#palette li")).to_have_count(1)
    expect(table.locator("#palette li")).to_have_text(re.compile("Second yard.*viewer"))
    table.keyboard.press("Enter")
    table.wait_for_url("**/projects/second/")


def test_without_scripts_the_switcher_is_a_page_and_boxes_still_compare(browser, site, table):
    plain = browser.new_context(base_url=site.url, java_script_enabled=False)
    plain.add_cookies(table.context.cookies())
    page = plain.new_page()
    page.goto(LIST)
    page.get_by_label("Choose run-52").check()
    page.get_by_label("Choose run-51").check()
    page.get_by_role("button", name="Compare").click()
    assert "Compare 2 runs" in page.title()
    page.get_by_role("link", name="Switch project").click()
    assert page.get_by_role("link", name="First yard").first.is_visible()
    plain.close()


def test_a_changed_password_keeps_this_browser_and_ends_the_other(table, browser, site, grace):
    other = browser.new_context(base_url=site.url)
    elsewhere = other.new_page()
    elsewhere.goto("/sign-in/")
    elsewhere.get_by_label("Username").fill("grace")
    elsewhere.get_by_label("Password").fill(factories.PASSWORD)
    elsewhere.get_by_role("button", name="Sign in").click()
    elsewhere.wait_for_url("**/projects/demo/")
    table.get_by_role("link", name="grace").click()
    table.get_by_label("Old password").fill(factories.PASSWORD)
    table.get_by_label("New password", exact=True).fill("a-better-horse-battery")
    table.get_by_label("New password confirmation").fill("a-better-horse-battery")
    table.get_by_role("button", name="Change the password").click()
    expect(table.get_by_text("Your password is changed.")).to_be_visible()
    elsewhere.goto(LIST)
    elsewhere.wait_for_url("**/sign-in/?next=**")
    other.close()
