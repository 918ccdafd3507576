"""The face stays small: CSS within its budget, scripts that parse, each one behaviour, and nothing inline."""

import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.handlers.wsgi import WSGIHandler
from django.template.loader import render_to_string
from django.test import RequestFactory

from controlplane.ui import nav
from controlplane.ui.charts import PALETTE

STATIC = Path(settings.BASE_DIR) / "controlplane/ui/static/ui"
CSS_BUDGET = 25_000  # bytes by hand, before compression
SCRIPTS = sorted(STATIC.glob("*.js"))


def test_the_css_keeps_to_its_budget():
    assert sum(path.stat().st_size for path in STATIC.glob("*.css")) <= CSS_BUDGET


def test_only_the_tokens_name_raw_colours():
    for path in (STATIC / "elements.css", STATIC / "parts.css"):
        raw = re.findall(r"#[0-9a-f]{3,8}\b", path.read_text())
        assert set(raw) <= {"#0000002e"}, path.name  # the one shadow


def test_the_charts_and_the_tokens_agree_on_the_palette():
    light = re.findall(r"--chart-\d: light-dark\((#\w+),", (STATIC / "tokens.css").read_text())
    assert tuple(light) == PALETTE


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_and_parses(script):
    assert len(script.read_text().splitlines()) < 150
    if node := shutil.which("node"):
        subprocess.run([node, "--check", script], check=True)


def page(template="base.html", **context):
    request = RequestFactory().get("/styleguide/")
    request.user = AnonymousUser()
    return render_to_string(template, context, request)


@pytest.mark.urls("tests.browser.face_urls")
def test_no_page_carries_a_script_or_a_handler_inline():
    for html in (page(), page("plain.html")):
        assert not re.findall(r"<script(?![^>]* src=)", html)
        assert not re.findall(r"\son\w+=", html)


def test_the_rail_lights_the_longest_address_above_the_page():
    urls = ["/projects/a/", "/projects/a/runs/", "/styleguide/"]
    assert nav.here_url("/projects/a/runs/7/", iter(urls)) == "/projects/a/runs/"
    assert nav.here_url("/projects/a/", iter(urls)) == "/projects/a/"
    assert nav.here_url("/elsewhere/", iter(urls)) == ""


def test_every_page_of_the_rail_exists():
    missing = [name for _, items in nav.SECTIONS for _, name in items if not nav.resolve(name, "code-small")]
    assert missing == []


def test_the_site_starts_without_a_warning_about_folders_that_only_production_has():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WSGIHandler()
