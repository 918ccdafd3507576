"""What the face's scripts do, seen in a browser."""

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

expect = pytest.importorskip("playwright.sync_api").expect

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.browser.face_urls")]


# Plotly is 4.8 MB to parse; only the test of the charts waits for the real one.
NO_PLOTLY = "globalThis.Plotly = {react: async (box) => { box.on = () => {}; }}"


@pytest.fixture
def plotted(signed_in_page):
    page = signed_in_page(get_user_model().objects.create_user("ada"))
    page.goto(reverse("ui:styleguide"))
    return page


@pytest.fixture
def guide(signed_in_page):
    page = signed_in_page(get_user_model().objects.create_user("ada"))
    page.route("**/plotly.min.js", lambda route: route.fulfill(body=NO_PLOTLY, content_type="text/javascript"))
    page.goto(reverse("ui:styleguide"))
    return page


def paper(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_the_palette_finds_objects_and_pages_and_goes_there(guide):
    guide.evaluate("document.getElementById('palette').dataset.searchUrl = '/search'")
    guide.keyboard.press("Control+k")
    guide.locator("#palette input").fill("small")
    row = guide.locator("#palette li").first
    row.get_by_text("<b>small-py</b>").wait_for()
    guide.locator("#palette input").fill("brave")
    guide.locator("#palette li", has_text="brave-heron-12").wait_for()
    guide.keyboard.press("Enter")
    guide.wait_for_url("**/styleguide/?from=palette")


def test_escape_closes_the_palette_and_a_failing_search_says_so(guide):
    guide.evaluate("document.getElementById('palette').dataset.searchUrl = '/nowhere'")
    guide.keyboard.press("Control+k")
    guide.locator("#palette input").fill("style")
    guide.get_by_text("Only pages are listed: the search answered 404.").wait_for()
    assert guide.locator("#palette li").all_inner_texts() == ["Style guide\npage"]
    guide.keyboard.press("Escape")
    guide.locator("#palette").wait_for(state="hidden")


def test_slash_goes_to_the_search_of_the_page_and_question_mark_lists_the_keys(guide):
    guide.keyboard.press("/")
    assert guide.evaluate("document.activeElement.matches('[data-search]')")
    guide.evaluate("document.activeElement.blur()")
    guide.keyboard.press("?")
    guide.locator("#shortcuts").wait_for()


def test_the_theme_follows_the_system_until_one_is_chosen_and_stays(guide):
    guide.emulate_media(color_scheme="dark")
    assert paper(guide) == "rgb(19, 20, 22)"
    guide.locator("[data-theme-toggle]").click()
    assert paper(guide) == "rgb(252, 251, 249)"
    guide.reload()
    assert paper(guide) == "rgb(252, 251, 249)"


def test_charts_are_drawn_in_the_colours_of_the_theme(plotted):
    plotted.locator("[data-chart][data-drawn]").nth(4).wait_for()
    curve = plotted.locator("[data-chart=chart-loss] .scatterlayer path.js-line").first
    expect(curve).to_have_css("stroke", "rgb(42, 95, 201)")
    plotted.emulate_media(color_scheme="dark")
    expect(curve).to_have_css("stroke", "rgb(122, 165, 255)")
    assert plotted.locator("[data-chart=chart-loss]").get_by_text("spike at step 360: 3 documents").is_visible()


def test_a_chart_without_a_figure_reads_it_and_one_that_cannot_says_so(guide):
    add = """url => { const box = Object.assign(document.createElement("div"), { className: "chart" });
      box.dataset.chart = url; box.dataset.chartUrl = url; document.querySelector("main").append(box);
      document.dispatchEvent(new Event("htmx:load")); }"""
    guide.evaluate(add, "/figure")
    guide.locator('[data-chart="/figure"][data-drawn][aria-label="nats by step: loss"]').wait_for(state="attached")
    guide.evaluate(add, "/nowhere")
    guide.get_by_text("Not current: the yard answered 404.").wait_for()


def test_one_of_many_rows_is_found_by_typing_and_chosen_by_keys_or_mouse(guide):
    field = guide.get_by_label("Shards").first
    rows = guide.get_by_role("option").filter(visible=True)
    field.click()
    expect(rows).to_have_count(3)
    field.press_sequentially("RUST")
    expect(rows).to_have_count(1)
    guide.keyboard.press("Enter")  # chooses, and does not send the form
    expect(field).to_have_value("rust-code v1 with mixed-16k · b9x3vn6kfq")
    expect(rows).to_have_count(0)
    field.fill("python")
    rows.nth(1).click()
    expect(field).to_have_value("python-code v2 with python-code-4k · h4t8wz2rdc")
    guide.keyboard.press("ArrowDown")
    guide.keyboard.press("Escape")
    expect(rows).to_have_count(0)
    expect(field).to_be_focused()
    field.fill("nothing of that name")
    guide.get_by_text("Nothing is called that.").wait_for()
    guide.keyboard.press("Tab")
    expect(field).to_have_attribute("aria-expanded", "false")


def test_chosen_rows_make_a_compare_link(guide):
    link = guide.locator("a[data-compare]")
    assert link.is_hidden()
    guide.locator("[data-select-all]").check()
    assert link.inner_text() == "Compare 2"
    assert link.get_attribute("href").endswith("?compare=12,11")


def test_what_is_destructive_asks_for_the_name(guide):
    guide.get_by_role("button", name="Archive").click()
    guide.get_by_text("Archives the run and its 3 checkpoints.").wait_for()
    go = guide.locator("#confirm [value=confirm]")
    guide.locator("#confirm-name").fill("brave")
    assert go.is_disabled()
    guide.locator("#confirm-name").fill("brave-heron-12")
    go.click()
    guide.wait_for_url("**/styleguide/?confirm=brave-heron-12")


def test_copying_says_that_it_was_done(guide):
    guide.context.grant_permissions(["clipboard-read", "clipboard-write"])
    guide.locator("[data-copy^='9c41e0b7']").click()
    guide.locator("[data-copy^='9c41e0b7'].done").wait_for()
    assert guide.evaluate("navigator.clipboard.readText()").startswith("9c41e0b7aa52c0de")


def test_a_refused_form_is_swapped_in_and_another_error_is_told(guide):
    place = "document.getElementById('messages').insertAdjacentHTML('beforeend', '<div id=spot></div>')"
    guide.evaluate(place)
    guide.evaluate("htmx.ajax('GET', '/refuse', '#spot')")
    guide.get_by_text("refused: the name is taken").wait_for()
    guide.evaluate("htmx.ajax('GET', '/nowhere', '#spot')")
    guide.get_by_text("The yard answered with an error (404).").wait_for()


def test_a_phone_folds_the_rail_and_never_scrolls_sideways(guide):
    guide.set_viewport_size({"width": 390, "height": 800})
    assert guide.locator("#rail").is_hidden()
    guide.locator(".menu").click()
    guide.locator("#rail").wait_for()
    guide.keyboard.press("Escape")
    guide.locator("#rail").wait_for(state="hidden")
    assert guide.evaluate("document.documentElement.scrollWidth") == 390
