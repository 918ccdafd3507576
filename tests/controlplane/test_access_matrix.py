"""The cast on every page and endpoint, found by walking the URL resolver: a page is covered the day it is added.

A page that is meant to be open says so in one of the tables below, and nowhere else.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests import factories

pytestmark = pytest.mark.django_db

# Open to everyone, signed in or not.
PUBLIC = {"access:sign-in", "access:sign-in-once", "pipeline:health"}
# Writes that a viewer may do: each to what is theirs alone.
WRITES_OF_VIEWERS = {"access:create-token", "access:revoke-token"}
# What addresses outside projects may answer to someone with an account; 401 comes from those that take tokens.
OUTSIDE_PROJECTS = {200, 302, 401, 403, 404, 405}

NOBODY = {"int": "987654321", "uuid": "00000000-0000-4000-8000-000000000000", "slug": "nothing", "str": "zzzzzzzzzz"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@dataclass(frozen=True)
class Address:
    name: str  # namespace:name, or the route where it has none
    route: str

    @property
    def in_project(self) -> bool:
        return self.route.startswith("projects/<slug")

    @property
    def needs_object(self) -> bool:
        return self.route.count("<") > self.in_project

    def path(self, slug: str) -> str:
        """The address, in the project `slug`, of an object that nobody has."""

        def fill(match: re.Match[str]) -> str:
            converter, _, name = match[1].rpartition(":")
            return slug if name == "slug" else NOBODY.get(converter or "str", "nothing")

        return "/" + re.sub(r"<([^>]+)>", fill, self.route)


def addresses() -> list[Address]:
    """Everything the site answers, but Django's own admin, which has a test of its own below."""
    found = list(walk(get_resolver(settings.ROOT_URLCONF).url_patterns, "", ()))
    return [address for address in found if not address.route.startswith("admin/")]


def walk(patterns: list[URLPattern | URLResolver], before: str, spaces: tuple[str, ...]) -> Iterator[Address]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(
                pattern.url_patterns, route, (*spaces, pattern.namespace or "")[-1:] if pattern.namespace else spaces
            )
        else:
            yield Address(":".join([*spaces, pattern.name]) if pattern.name else route, route)


def in_project() -> list[Address]:
    return [address for address in addresses() if address.in_project]


def outside() -> list[Address]:
    return [address for address in addresses() if not address.in_project]


def offenders(client: Client, among: list[Address], methods: tuple[str, ...], allowed: set[int]) -> list[str]:
    """Each answer that is not among those allowed: "POST /projects/demo/x 302"."""
    found = []
    for address in among:
        for method in methods:
            response = client.generic(method, address.path("demo"))
            if response.status_code not in allowed:
                found.append(f"{address.name}: {method} {address.path('demo')} {response.status_code}")
    return found


def test_the_walk_finds_the_sites_pages():
    names = {address.name for address in addresses()}
    assert {"access:people", "access:tokens", "access:audit", "access:sign-in"} <= names
    assert len(in_project()) >= 9


def test_strangers_meet_404_at_every_address_of_a_project(mallory_client, project):
    assert offenders(mallory_client, in_project(), ("GET", "POST", "PUT", "DELETE"), {404}) == []


def test_the_anonymous_are_sent_to_sign_in_or_told_401_everywhere(anonymous, project):
    closed = [address for address in addresses() if address.name not in PUBLIC]
    assert offenders(anonymous, closed, ("GET", "POST"), {302, 401, 405}) == []
    for address in closed:
        response = anonymous.get(address.path("demo"))
        assert response.status_code != 302 or response.url.startswith("/sign-in/"), address.name


def test_viewers_write_nothing(victor_client):
    closed = [address for address in in_project() if address.name not in WRITES_OF_VIEWERS]
    assert offenders(victor_client, closed, ("POST", "PUT", "PATCH", "DELETE"), {403, 405}) == []


def test_posts_without_a_csrf_token_are_refused_everywhere(root, project):
    strict = factories.signed_in_client(root, enforce_csrf_checks=True)
    # 401: an endpoint for tokens, which does not look at the session at all.
    assert offenders(strict, addresses(), ("POST",), {401, 403}) == []


def test_what_is_not_there_is_404_for_members_too(ada_client):
    pages = [address for address in in_project() if address.needs_object]
    assert offenders(ada_client, pages, ("GET",), {404, 405, 403}) == []


def test_every_page_that_needs_no_object_opens_in_an_empty_project(root_client, project):
    pages = [address for address in in_project() if not address.needs_object]
    assert offenders(root_client, pages, ("GET",), {200, 302, 400, 405}) == []


def test_pages_outside_projects_do_not_break(ada_client):
    assert offenders(ada_client, outside(), ("GET",), OUTSIDE_PROJECTS) == []


def test_the_admin_site_is_for_staff(grace_client, anonymous):
    for client in (grace_client, anonymous):
        assert client.get("/admin/").status_code == 302
        assert client.get("/admin/access/user/").status_code in {302, 404}


# ---- what every page carries -----------------------------------------------------------------------------------------


def opened_pages(client: Client, slug: str) -> Iterator[tuple[Address, str, str]]:
    """(address, its Content-Security-Policy, its HTML) of each page that needs no object."""
    for address in addresses():
        if not address.needs_object:
            response = client.get(address.path(slug))
            if response.status_code == 200 and response.headers.get("Content-Type", "").startswith("text/html"):
                yield address, response.headers["Content-Security-Policy"], response.content.decode()


def test_no_page_has_an_inline_script_and_none_would_run(root_client, project):
    factories.run(project)
    for address, policy, html in opened_pages(root_client, "demo"):
        scripts = next(part for part in policy.split(";") if part.strip().startswith("script-src"))
        assert scripts.split() == ["script-src", "'self'"], address.name
        for tag in re.findall(r"<script\b[^>]*>", html):
            assert " src=" in tag or 'type="application/json"' in tag, (address.name, tag)
        assert not re.search(r"<[^>]+\son[a-z]+\s*=", re.sub(r"\"[^\"]*\"", '""', html)), address.name
        assert "javascript:" not in html, address.name


def test_hostile_names_are_text_on_every_page(root_client):
    project = factories.project(slug="demo", name=HOSTILE[:80])
    factories.user(HOSTILE, project)
    factories.run(project, name=HOSTILE[:60])
    seen = 0
    for address, _, html in opened_pages(root_client, "demo"):
        assert "<script>alert" not in html, address.name
        assert "<img src=x" not in html, address.name
        seen += "&lt;script&gt;alert" in html
    assert seen >= 3


def test_pages_and_apis_fetch_objects_through_the_door_alone():
    """`get_owned` is the only way from a URL's id to a row; a view that finds rows itself may forget whose."""
    root = Path(settings.BASE_DIR)
    apps = ["controlplane", "datasets_app", "training_app", "eval_app", "playground_app"]
    files = [path for app in apps for name in ("views*.py", "api*.py") for path in (root / app).rglob(name)]
    assert files
    found = []
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if re.search(r"\.objects\.(a?get)$|^(a?get_object_or_404)$", called) and not belongs_to_a_row(node):
                found.append(f"{path.relative_to(root)}:{node.lineno} {called}")
    assert found == []


def belongs_to_a_row(call: ast.AST) -> bool:
    """`get_object_or_404(SampleResult, evaluation=evaluation, pk=sample)`: part of a row that came by the door."""
    keywords = getattr(call, "keywords", [])
    return any(word.arg and isinstance(word.value, ast.Name) and word.arg == word.value.id for word in keywords)
