"""A real Chromium for what only a browser can show. Missing, it fails the tests in CI and skips them on a laptop."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.test import Client

# Playwright's sync API keeps an event loop in the test's thread, and Django refuses the ORM where one runs.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
ARGUMENTS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
WAIT_MS = 20_000  # for what should come in a blink: the machine may be busy, and no test measures time


def missing(reason: str) -> None:
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{reason} CI runs the browser tests.")
    pytest.skip(reason)


def chromium_path() -> str:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        missing("No Chromium: install `chromium`, or set CHROMIUM to its path.")
    return str(path)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """One Chromium a file. Not one a run: its event loop would go on in this thread, and no asyncio test could start."""
    try:
        from playwright.sync_api import expect, sync_playwright
    except ModuleNotFoundError:
        missing("No playwright: pip install -r requirements-dev.txt.")
    expect.set_options(timeout=WAIT_MS)
    # Chromium's own sandbox refuses to run as root, which containers are.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path(), args=arguments)
        yield running
        running.close()


@pytest.fixture
def site(live_server):
    """Where pages come from; a test of what streams puts tests.live's `web` here."""
    return live_server


@pytest.fixture
def page(browser, site) -> Iterator:
    """A fresh page in a fresh profile.

    A test fails if a script throws, the policy blocks something, or anything off this machine is asked for.
    """
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(WAIT_MS)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(f"script error: {error}"))
    tab.on("console", lambda note: wrong.append(note.text) if "Content Security Policy" in note.text else None)
    tab.on("request", lambda request: wrong.append(f"asked {request.url}") if is_foreign(request.url) else None)
    yield tab
    tab.unroute_all(behavior="ignoreErrors")  # a request under way as the test ends is no fault of its route
    context.close()
    assert not wrong, wrong


def is_foreign(url: str) -> bool:
    return not url.startswith(("http://localhost", "http://127.0.0.1", "data:", "blob:", "ws://localhost"))


@pytest.fixture
def signed_in_page(page, site) -> Callable:
    """`signed_in_page(user)` is a page with that user's session, made without the sign-in form."""

    def sign_in(user):
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        name = settings.SESSION_COOKIE_NAME
        page.context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": site.url}])
        return page

    return sign_in
