"""The forms of a recipe, in Chromium: groups of params, and jobs of others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dev.processes import Stack, running
from dev.redis import embedded

from .support.chromium import PATIENCE_MS, chromium

HALL = """
title = "Hall"
url = "${DEMO_URL}"
adopt = { pattern = "[0-9a-f]{16}", title = "Number of the counter" }
[params]
required = ["options"]
[params.properties.options]
type = "object"
title = "How it counts"
description = "Both are kept with the job."
required = ["total"]
additionalProperties = false
[params.properties.options.properties]
total = { type = "integer", minimum = 1, default = 40 }
quality = { type = "string", enum = ["low", "high"] }
label = { type = ["string", "null"], pattern = "^[0-9]+$" }
[params.properties.options.properties.notify]
properties = { at_end = { type = "boolean", default = true } }
[params.properties.tags]
type = "array"
default = ["one", "two's"]
[start]
request = "POST /counters"
ref.body = "id"
repeat = "safe"
json = { total = 40, seconds = 60 }
[status]
request = "GET /counters/{ref}"
state = "state"
done = "count"
total = "total"
[status.states]
running = ["counting"]
succeeded = ["complete"]
failed = ["broken"]
cancelled = ["stopped"]
[cancel]
request = "DELETE /counters/{ref}"
"""
SENT = {
    "options": {
        "total": 40,
        "quality": "high",
        "label": "12",
        "notify": {"at_end": False},
    },
    "tags": ["one", "two's"],
}


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All of ProgRock, with one more recipe for the demo service."""
    folder: Path = tmp_path_factory.mktemp("recipes")
    (folder / "hall.toml").write_text(HALL)
    settings = {"PROGROCK_RECIPES": str(folder), "PROGROCK_LIMITS": "off"}
    with embedded() as server, running(server.url, **settings) as stack:
        yield stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(params=["with scripts", "without scripts"])
def page(
    browser: Browser, hall: Stack, request: pytest.FixtureRequest
) -> Iterator[Page]:
    """The start page with the recipe chosen; nothing may go wrong on it unnoticed."""
    context = browser.new_context(
        base_url=hall.url, java_script_enabled=request.param == "with scripts"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto("/")
    page.locator("label[for=backend-hall]").click()
    yield page
    context.close()
    assert complaints == []


def adopt_form(page: Page) -> Locator:
    return page.locator("form[action='/adopt']")


def adopt(page: Page, ref: str) -> None:
    if not adopt_form(page).is_visible():
        page.get_by_text("Watch a job that runs there already").click()
    adopt_form(page).get_by_label("Number of the counter").fill(ref)
    adopt_form(page).get_by_role("button", name="Watch it").click()


def test_a_job_of_others_is_watched_and_stopped_from_the_page(
    page: Page, hall: Stack
) -> None:
    order = {"total": 1000, "seconds": 60}
    counter = httpx.post(f"{hall.demo_url}/counters", json=order, trust_env=False)
    ref = counter.json()["id"]

    adopt(page, ref)

    expect(page).to_have_url(re.compile(r"/jobs/[\w-]{22}$"))
    expect(page.locator("[data-field=amount]")).to_have_text(
        re.compile(r"^\d+ / 1,000$"), timeout=PATIENCE_MS
    )
    expect(page.locator("[data-field=elapsed]")).to_have_text(
        re.compile(r"^watched for 0:\d\d$")
    )
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("[data-field=status]")).to_have_text(
        "cancelled", timeout=PATIENCE_MS
    )
    said = httpx.get(f"{hall.demo_url}/counters/{ref}", trust_env=False).json()
    assert said["state"] == "stopped"


def test_a_name_that_does_not_fit_is_said_at_its_form_and_can_be_mended(
    page: Page, hall: Stack
) -> None:
    adopt(page, "<nope>")

    refusal = adopt_form(page).get_by_role("alert")
    expect(refusal).to_be_visible()
    expect(refusal).to_have_text("The Number of the counter '<nope>' does not fit.")
    expect(adopt_form(page).get_by_label("Number of the counter")).to_have_value(
        "<nope>"
    )
    adopt(page, "0123456789abcdef")
    expect(page).to_have_url(re.compile(r"/jobs/[\w-]{22}$"))


def test_only_the_chosen_backends_form_to_adopt_is_seen(page: Page) -> None:
    summary = page.get_by_text("Watch a job that runs there already")
    expect(summary).to_be_visible()

    page.locator("label[for=backend-counter]").click()

    expect(summary).to_be_hidden()


def start(page: Page) -> dict[str, Any]:
    """Rock out; returns the params of the new job."""
    page.get_by_role("button", name="Rock out").click()
    card = page.locator("job-progress[job]:not([job=''])").first
    job = page.request.get(f"/jobs/{card.get_attribute('job')}").json()
    params: dict[str, Any] = job["params"]
    return params


def test_fields_of_groups_are_sent_as_objects_in_objects(page: Page) -> None:
    group = page.get_by_role("group", name="How it counts")
    expect(group.get_by_text("Both are kept with the job.")).to_be_visible()
    group.get_by_label("Quality").select_option("high")
    group.get_by_label("Label").fill("12")
    group.get_by_role("group", name="Notify").get_by_label("At end").uncheck()

    assert start(page) == SENT


def test_fields_that_were_not_touched_send_the_defaults(page: Page) -> None:
    assert start(page) == {
        "options": {"total": 40, "notify": {"at_end": True}},
        "tags": ["one", "two's"],
    }


def test_a_field_of_a_group_that_does_not_fit_is_named_with_its_group(
    page: Page,
) -> None:
    form = page.locator("form[data-backend=hall]")
    form.get_by_label("Label").fill("many")
    form.get_by_label("Total").fill("7")

    form.get_by_role("button", name="Rock out").click()

    expect(form.get_by_role("alert")).to_contain_text(
        "The parameter options.label does not fit"
    )
    expect(form.get_by_label("Label")).to_have_value("many")
    expect(form.get_by_label("Total")).to_have_value("7")
