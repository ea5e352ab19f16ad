"""The page of ProgRock, as a visitor uses it with one shipped recipe."""

from __future__ import annotations

from playwright.sync_api import Locator, Page


def start(page: Page, backend: str, **params: str) -> None:
    """Choose a backend, fill its form in, and send it."""
    page.locator(f"label[for=backend-{backend}]").click()
    form = page.locator(f"form[data-backend={backend}]")
    for name, value in params.items():
        form.locator(f"[name={name}]").fill(value)
    form.get_by_role("button", name="Rock out").click()


def card_of(page: Page) -> Locator:
    """The card of the newest job."""
    return page.locator("#jobs job-progress").first
