"""What people do, in a real browser against a real web server: sign in, compare, promote and roll back, complete code.

The `page` fixture fails a test when a script throws, the policy blocks something, or anything off this machine is asked.
"""

from __future__ import annotations

import re

import pytest

from controlplane.access.actions import make_sign_in_link
from playground_app import gate
from playground_app.models import Completion
from tests import factories
from tests.live import wait_for

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

# Plotly is 4.8 MB to parse; test_face.py has the real one drawn.
NO_PLOTLY = "globalThis.Plotly = {react: async (box) => { box.on = () => {}; }}"


@pytest.fixture
def site(web):
    """The browser's pages come from uvicorn, as in production: ghost text is streamed."""
    return web


@pytest.fixture
def quick_page(page):
    page.route("**/plotly.min.js", lambda route: route.fulfill(body=NO_PLOTLY, content_type="text/javascript"))
    return page


@pytest.fixture
def shards(project):
    version = factories.make_dataset_version(project)
    return factories.make_shard_set(version, factories.make_tokenizer(version))


def test_a_link_signs_a_person_in_once(quick_page, project, grace):
    link = make_sign_in_link(username="grace")
    quick_page.goto(link)
    quick_page.get_by_role("button").first.click()
    quick_page.wait_for_url("**/projects/demo/")
    quick_page.context.clear_cookies()
    quick_page.goto(link)
    quick_page.get_by_role("button").first.click()
    expect(quick_page.get_by_text("This link has been used")).to_be_visible()


def test_two_runs_are_chosen_in_the_list_and_compared(quick_page, signed_in_page, shards, grace):
    factories.make_training_run(shards, "brave-heron-1", batch_size=16)
    factories.make_training_run(shards, "calm-otter-2", batch_size=32)
    page = signed_in_page(grace)
    page.goto("/projects/demo/runs/")
    page.get_by_label("Choose brave-heron-1").check()
    expect(page.locator("a[data-compare]")).to_be_hidden()
    page.get_by_label("Choose calm-otter-2").check()
    page.get_by_role("link", name="Compare 2").click()
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    row = page.get_by_role("row", name="batch_size")
    expect(row).to_contain_text("16")
    expect(row).to_contain_text("32")


def test_a_bad_search_is_pointed_at_without_leaving_the_page(quick_page, signed_in_page, shards, grace):
    factories.make_training_run(shards, "brave-heron-1")
    page = signed_in_page(grace)
    page.goto("/projects/demo/runs/")
    page.get_by_label("Search runs").fill("colour = 3")
    page.keyboard.press("Enter")
    expect(page.locator(".caret-error")).to_contain_text("colour = 3")
    page.get_by_label("Search runs").fill("name = brave-heron-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="brave-heron-1")).to_be_visible()
    expect(page).to_have_url(re.compile("q=name"))


def test_a_version_is_promoted_with_a_reason_and_rolled_back(quick_page, signed_in_page, shards, ada):
    old, new = (
        factories.make_model_version(factories.make_training_run(shards, f"run-{number}"), number) for number in (1, 2)
    )
    for version in (old, new):
        factories.make_evaluation(version)
        factories.make_deployment(version)
    factories.make_promotion(old, "production")
    page = signed_in_page(ada)
    page.goto(f"/projects/demo/models/{new.pk}/")
    page.get_by_role("link", name="Promote").click()
    expect(page.get_by_text("pass@1 40.0% against 40.0%")).to_be_visible()
    page.get_by_label("To", exact=True).select_option("production")
    page.get_by_label("Reason").fill("Closes its brackets.")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("completer v2 is on production.")).to_be_visible()
    page.get_by_role("link", name="Promote").click()
    page.get_by_label("Reason for rolling production back").fill("It loops.")
    page.get_by_role("button", name="Roll back production").click()
    expect(page.get_by_text("production is back on completer v1.")).to_be_visible()
    assert gate.standing(new.model, "production") == old


# ---- the playground --------------------------------------------------------------------------------------------------


@pytest.fixture
def editor(served, quick_page, signed_in_page, grace):
    """The playground's page after its first completion; the engine answers the prompt's words, three a time."""
    page = signed_in_page(grace)
    page.goto("/projects/demo/playground/")
    settled(page)
    page.get_by_label("Max tokens").fill("3")
    page.locator(".ace_text-input").focus()
    return page


def settled(page):
    expect(page.locator("[data-playground]")).to_have_attribute("data-state", "done")


def text(page):
    return page.evaluate("ace.edit('editor').getValue()")


def write(page, what):
    """Replaces the editor's text and waits for the ghost text that follows."""
    page.keyboard.press("Control+a")
    page.keyboard.type(what)
    page.locator("[data-ghost]").wait_for()
    settled(page)


def test_tab_accepts_the_ghost_text_into_the_editor(editor):
    write(editor, "one two three four")
    assert text(editor) == "one two three four"
    expect(editor.locator(".ace_ghost_text")).to_have_text(re.compile("one two three"))
    expect(editor.locator("[data-first]")).to_have_text(re.compile(r"\d+ ms"))
    seen = editor.locator("[data-playground]").get_attribute("data-ghost")
    accepted = Completion.objects.latest("at")
    editor.keyboard.press("Tab")
    wait_for(lambda: accepted.feedback.count() == 2)
    assert text(editor) == "one two three four" + seen == "one two three fourone two three "
    assert sorted(accepted.feedback.values_list("kind", flat=True)) == ["accept", "view"]
    assert (accepted.origin, accepted.language, accepted.text) == ("playground", "python", seen)


def test_escape_dismisses_the_ghost_text_and_leaves_the_editor_as_it_was(editor):
    write(editor, "alpha beta")
    dismissed = Completion.objects.latest("at")
    editor.keyboard.press("Escape")
    expect(editor.locator(".ace_ghost_text")).to_have_count(0)
    assert text(editor) == "alpha beta"
    wait_for(lambda: dismissed.feedback.filter(kind="dismiss").exists())


def test_the_next_keystroke_cancels_down_to_the_engine(editor, served):
    served.triton.models["served-1"].pause_seconds = 0.2
    editor.get_by_label("Max tokens").fill("400")
    editor.locator(".ace_text-input").focus()
    editor.keyboard.type("x")
    editor.locator("[data-ghost]").wait_for()
    editor.keyboard.type("y")
    row = wait_for(lambda: Completion.objects.filter(finish_reason="cancelled").first())
    assert 0 < row.n_tokens < 400
    wait_for(lambda: served.triton.cancelled >= 1)
    editor.keyboard.press("Escape")


def test_text_after_the_cursor_is_sent_to_be_filled_in_between(editor, served):
    write(editor, "first second")
    editor.keyboard.press("Home")
    editor.keyboard.type("new ")
    settled(editor)
    wait_for(lambda: served.triton.requests[-1].get("suffix") == "first second")
    expect(editor.locator("[data-mode]")).to_have_text("Python, fill in the middle")


def test_an_engine_that_fails_is_told_beside_the_editor(editor, served):
    served.triton.models["served-1"].dead = True
    editor.keyboard.type("x")
    expect(editor.locator("[data-note]")).to_contain_text("not healthy")
