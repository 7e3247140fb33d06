"""The real app in a process of its own, and a real Chromium that visits it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright

from tests.browser.server import PATIENCE, serving

FLAGS = (
    "--no-sandbox",  # containers run as root
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The system's Chromium, or the test is skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium on this machine; packages-dev.txt names the Debian package")


@pytest.fixture(scope="session")
def app_url(chromium_path, tmp_path_factory) -> Iterator[str]:
    """Address of app.py, started as a user starts it."""
    with serving(["app.py"], tmp_path_factory.mktemp("app")) as url:
        yield url


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def launch(playwright, chromium_path) -> Iterator[Callable[..., Browser]]:
    """Start a Chromium with further flags; all of them are closed at the end."""
    browsers: list[Browser] = []

    def start(*flags: str) -> Browser:
        browsers.append(
            playwright.chromium.launch(executable_path=chromium_path, args=[*FLAGS, *flags], timeout=PATIENCE)
        )
        return browsers[-1]

    yield start
    for browser in browsers:
        browser.close()


@pytest.fixture(scope="session")
def browser(launch) -> Browser:
    return launch()


@pytest.fixture(scope="session")
def visit(request) -> Callable[..., Page]:
    """Open the app, or another address of it, in a browser and wait until it can be used."""

    def open_page(browser: Browser, width: int = 1280, height: int = 900, url: str | None = None, **context) -> Page:
        page = browser.new_context(viewport={"width": width, "height": height}, **context).new_page()
        page.set_default_timeout(PATIENCE)
        page.requested = []
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(url or request.getfixturevalue("app_url"))
        page.locator("#generate").wait_for()
        return page

    return open_page


@pytest.fixture(scope="session")
def recording(request, example_clip) -> Path:
    """A short real recording; an example clip where there are no real ones."""
    try:
        folder = request.getfixturevalue("speech_folder")
    except pytest.skip.Exception:
        return example_clip
    return min(folder.glob("*.flac"), key=lambda path: path.stat().st_size)
