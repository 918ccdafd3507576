"""axe-core finds nothing wrong on any page, in light and in dark: names, roles, labels, headings, contrast."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from tests import factories
from tests.browser.test_flows import NO_PLOTLY
from tests.pipeline.parquet import write_dataset
from tests.pipeline.test_pages import DETAILS, FORMS, LISTS, begin_pipeline

axe = pytest.importorskip("axe_playwright_python")

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
SCRIPT = (Path(axe.__file__).parent / "axe.min.js").read_text()
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
LEFT_OUT = {
    "scrollable-region-focusable": {"enabled": False},  # Chromium and Firefox let the keys scroll what can be scrolled
    "nested-interactive": {"enabled": False},  # the recipe form's steps: a switch in the summary that opens the step
}
IN_PROJECT = ["jobs:list", "access:people", "access:tokens", "access:audit", "pipeline:settings"]
ELSEWHERE = ["access:account", "access:projects", "jobs:workers", "pipeline:status"]


@pytest.fixture
def chain(project, tmp_path):
    made = factories.make_chain(project, uri=write_dataset(tmp_path))
    factories.make_promotion(made.version, "production")
    begin_pipeline(project, made)
    return made


def test_no_page_has_what_axe_finds_wrong(signed_in_page, project, chain, ada):
    page = signed_in_page(ada)
    # Plotly draws for a second a page, into boxes that have a name of their own.
    page.route("**/plotly.min.js", lambda route: route.fulfill(body=NO_PLOTLY, content_type="text/javascript"))
    found = [f"{url} {wrong}" for url in addresses(project, chain) for wrong in violations(page, url)]
    assert not found, "\n".join(found)


def addresses(project: Any, chain: Any) -> list[str]:
    inside = [reverse(name, args=[project.slug]) for name in [*LISTS, *FORMS, *IN_PROJECT]]
    rows = [name for name in DETAILS if name != "training:run-chart"]  # which answers JSON
    details = [reverse(name, args=[project.slug, *DETAILS[name](chain)]) for name in rows]
    return [*inside, *details, *map(reverse, ELSEWHERE), "/styleguide/", "/no-such-page"]


def violations(page: Any, url: str) -> list[str]:
    """`rule: element` of each that axe finds; in dark only colours can differ."""
    page.emulate_media(color_scheme="light")
    page.goto(url)
    page.evaluate(SCRIPT)
    wrong = page.evaluate("([tags, rules]) => axe.run({runOnly: tags, rules})", [RULES, LEFT_OUT])["violations"]
    page.emulate_media(color_scheme="dark")
    wrong += page.evaluate("axe.run({runOnly: {type: 'rule', values: ['color-contrast']}})")["violations"]
    return [f"{rule['id']}: {node['html'][:120]}" for rule in wrong for node in rule["nodes"]]
