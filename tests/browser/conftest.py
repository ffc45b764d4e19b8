"""A real browser before a real server, and an operator who sits at it."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django.live_server_helper import LiveServer

from tests.programs import require_program

# As root in a container, without a graphics card, and without a word to any other host.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session", autouse=True)
def _database_calls_beside_playwright() -> Iterator[None]:
    # Playwright keeps an event loop in this thread, and Django would take every query of a test for one made in it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = require_program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def browser_errors() -> list[str]:
    """Errors that the browser reported on any page of the test. The test fails if there is one."""
    return []


@pytest.fixture
def page(browser: Browser, live_server: LiveServer, browser_errors: list[str]) -> Iterator[Page]:
    """A window that notes every error, refused resource and request to a foreign host."""
    context = browser.new_context(base_url=live_server.url, locale="en-US", viewport={"width": 1360, "height": 820})
    context.set_default_timeout(10_000)
    page = context.new_page()
    own_host = urlsplit(live_server.url).netloc

    def look_at(url: str) -> None:
        if urlsplit(url).netloc not in ("", own_host):
            browser_errors.append(f"foreign host: {url}")

    page.on("request", lambda request: look_at(request.url))
    page.on("pageerror", lambda error: browser_errors.append(f"script: {error}"))
    page.on("console", lambda line: browser_errors.append(line.text) if line.type in ("error", "warning") else None)
    yield page
    context.close()
    assert browser_errors == []


@pytest.fixture
def admin_page(page: Page, live_server: LiveServer, transactional_db: None) -> Page:
    """The window after olga has signed in, at the dashboard."""
    client = Client()
    client.force_login(User.objects.create_superuser("olga"), backend=settings.AUTHENTICATION_BACKENDS[0])
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
    page.goto("/admin/")
    return page
