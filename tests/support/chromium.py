"""Chromium, as the tests look through it at a page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import missing

QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000


def path_of_chromium() -> str:
    """Where Chromium is; the test is left out without it."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        missing("Chromium")
    return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start it, and end it."""
    path = path_of_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        browser.close()


@contextmanager
def page_at(url: str) -> Iterator[Page]:
    """A page of a Chromium of its own, on which nothing may go wrong unnoticed."""
    with chromium() as browser:
        page = browser.new_page(base_url=url, viewport={"width": 1100, "height": 700})
        page.set_default_timeout(PATIENCE_MS)
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/")
        yield page
        assert complaints == []
