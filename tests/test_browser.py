"""The page, as somebody sees it in Chromium."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    expect,
)

from dev.processes import ROOT, Stack

from .support import proxies
from .support.chromium import PATIENCE_MS, chromium

CASES = json.loads((ROOT / "tests/static/display_cases.json").read_text())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser, stack: Stack) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=stack.url)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page on which nothing may go wrong unnoticed."""
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


def start(page: Page, backend: str, **params: object) -> None:
    page.goto("/")
    page.locator(f"label[for=backend-{backend}]").click()
    form = page.locator(f"form[data-backend={backend}]")
    for name, value in params.items():
        form.locator(f"[name={name}]").fill(str(value))
    form.get_by_role("button", name="Rock out").click()


def field(page: Page, name: str) -> Locator:
    return page.locator(f"#jobs job-progress [data-field={name}]").first


def bar_values(page: Page, at_least: int) -> list[float]:
    """Watch the first bar until it has shown so many values, or the job has ended."""
    return page.evaluate(
        """async (atLeast) => {
          const values = []
          while (values.length < atLeast) {
            await new Promise(requestAnimationFrame)
            const job = document.querySelector("#jobs job-progress")
            const bar = job?.querySelector("progress")
            if (bar?.hasAttribute("value") && bar.value !== values.at(-1)) {
              values.push(bar.value)
            }
            if (job?.dataset.finished === "true") break
          }
          return values
        }""",
        at_least,
    )


def test_the_button_starts_a_job_whose_bar_moves_over_websocket(page: Page) -> None:
    start(page, "counter", seconds=3)

    expect(field(page, "transport")).to_have_text("WebSocket")
    values = bar_values(page, at_least=5)
    assert values == sorted(values)
    assert len(values) >= 5
    expect(field(page, "status")).to_have_text("succeeded", timeout=PATIENCE_MS)
    expect(field(page, "percent")).to_have_text("100%")


def test_where_websockets_are_blocked_the_events_carry_it(page: Page) -> None:
    page.route_web_socket(re.compile(r"/prog/"), lambda socket: socket.close(code=1006))
    start(page, "counter", seconds=4)

    expect(field(page, "transport")).to_have_text(
        "Server-Sent Events", timeout=PATIENCE_MS
    )
    values = bar_values(page, at_least=4)
    assert len(values) >= 4
    expect(field(page, "status")).to_have_text("succeeded", timeout=PATIENCE_MS)


def test_where_a_proxy_blocks_websockets_the_events_carry_it(
    browser: Browser, stack: Stack, tmp_path: Path
) -> None:
    blocked = {proxies.UPGRADE: ""}
    with proxies.nginx(tmp_path, [stack.port], blocked) as url:
        context = browser.new_context(base_url=url)
        page = context.new_page()
        start(page, "counter", seconds=4)

        expect(field(page, "transport")).to_have_text(
            "Server-Sent Events", timeout=PATIENCE_MS
        )
        expect(field(page, "status")).to_have_text("succeeded", timeout=PATIENCE_MS)
        context.close()


def test_a_render_ends_with_its_picture_on_the_page(page: Page) -> None:
    start(page, "render", width=96, height=64, iterations=200)

    picture = page.locator("#jobs job-progress [data-field=result] img").first
    expect(picture).to_be_visible(timeout=PATIENCE_MS)
    assert (
        picture.evaluate(
            "async image => { await image.decode(); return image.naturalWidth }"
        )
        == 96
    )
    source = picture.get_attribute("src") or ""
    assert re.fullmatch(r"/jobs/[\w-]+/result", source)


def test_stop_stops_the_job(page: Page) -> None:
    start(page, "counter", seconds=60)
    expect(field(page, "status")).to_have_text("running")

    page.get_by_role("button", name="Stop").first.click()

    expect(field(page, "status")).to_have_text("cancelled", timeout=3000)
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)


def test_a_reload_in_mid_job_shows_it_where_it_is(page: Page) -> None:
    start(page, "counter", seconds=6)
    before = bar_values(page, at_least=4)[-1]

    page.reload()

    after = bar_values(page, at_least=2)
    assert after[0] >= before
    expect(field(page, "status")).to_have_text("succeeded", timeout=PATIENCE_MS)


def test_two_tabs_show_one_job_and_two_browsers_do_not(
    browser: Browser, context: BrowserContext, page: Page, stack: Stack
) -> None:
    start(page, "counter", seconds=20)
    job = page.locator("#jobs job-progress").first.get_attribute("job")
    stranger = browser.new_context(base_url=stack.url)
    try:
        second = context.new_page()
        second.goto("/")
        expect(second.locator(f"job-progress[job='{job}']")).to_be_visible()
        elsewhere = stranger.new_page()
        elsewhere.goto("/")
        expect(elsewhere.locator(f"job-progress[job='{job}']")).to_have_count(0)
        answer = elsewhere.goto(f"/jobs/{job}")
        assert answer is not None
        assert answer.status == 404
    finally:
        stranger.close()
    page.get_by_role("button", name="Stop").first.click()
    expect(second.locator(f"job-progress[job='{job}']")).to_have_attribute(
        "data-status", "cancelled"
    )


def test_without_javascript_a_job_is_started_seen_and_stopped(
    browser: Browser, stack: Stack
) -> None:
    context = browser.new_context(base_url=stack.url, java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto("/")
        page.locator("label[for=backend-counter]").click()
        form = page.locator("form[data-backend=counter]")
        form.locator("[name=seconds]").fill("60")
        form.get_by_role("button", name="Rock out").click()

        expect(page).to_have_url(re.compile(r"/jobs/[\w-]{22}$"))
        expect(page.locator("[data-field=status]")).to_have_text(
            "running", timeout=PATIENCE_MS
        )
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("[data-field=status]")).to_have_text(
            "cancelled", timeout=PATIENCE_MS
        )
    finally:
        context.close()


def test_a_refused_order_says_why_beside_the_form(page: Page) -> None:
    page.goto("/")
    page.locator("label[for=backend-counter]").click()
    form = page.locator("form[data-backend=counter]")
    form.evaluate("form => form.noValidate = true")
    form.locator("[name=total]").fill("5000000")

    form.get_by_role("button", name="Rock out").click()

    expect(form.locator("[data-field=refusal]")).to_contain_text("total")
    expect(page.locator("#jobs job-progress")).to_have_count(0)


def test_the_page_asks_nobody_else_for_anything(page: Page, stack: Stack) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    start(page, "counter", seconds=0.5)

    expect(field(page, "status")).to_have_text("succeeded", timeout=PATIENCE_MS)
    foreign = [url for url in asked if not url.startswith((stack.url, "data:"))]
    assert foreign == []


@pytest.fixture
def cards(page: Page) -> Page:
    """The start page, with all that tests of single cards need."""
    page.add_init_script(path=ROOT / "tests/static/cards_in_browser.js")
    page.goto("/")
    return page


def test_a_card_without_a_job_is_not_watched(cards: Page) -> None:
    asked = cards.evaluate("""() => {
      const feed = new NotingFeed()
      document.body.append(cardOf(feed, ""), cardOf(feed, "anna"))
      return feed.asked
    }""")

    assert asked == [["watch", "anna"]]


def test_a_job_is_watched_until_its_last_card_leaves(cards: Page) -> None:
    asked = cards.evaluate("""() => {
      const feed = new NotingFeed()
      const [one, other] = [cardOf(feed, "anna"), cardOf(feed, "anna")]
      document.body.append(one, other)
      one.remove()
      feed.asked.push("one has left")
      other.remove()
      return feed.asked
    }""")

    watched = [["watch", "anna"], ["watch", "anna"]]
    assert asked == [*watched, "one has left", ["unwatch", "anna"]]


def test_a_card_that_is_given_another_feed_listens_to_that_one(cards: Page) -> None:
    before, after, first, second = cards.evaluate(
        """async (job) => {
          const [before, after] = [new NotingFeed(), new NotingFeed()]
          const card = cardOf(before, "anna")
          document.body.append(card)
          card.feed = after
          await before.tell({ ...job, message: "of the first" })
          const first = textOf(card, "message")
          await after.tell({ ...job, message: "of the second" })
          return [before.asked, after.asked, first, textOf(card, "message")]
        }""",
        CASES["base"],
    )

    assert before == [["watch", "anna"], ["unwatch", "anna"]]
    assert after == [["watch", "anna"]]
    assert (first, second) == ("", "of the second")


def test_the_snapshot_is_written_only_while_it_can_be_seen(cards: Page) -> None:
    cards.evaluate(
        """(job) => {
          const feed = new NotingFeed()
          const card = cardOf(feed, "anna")
          card.insertAdjacentHTML("beforeend", `<details>
            <summary>Snapshot</summary><pre data-field="snapshot">{}</pre>
          </details>`)
          document.querySelector("main").prepend(card)
          globalThis.tell = async (message, revision) => {
            await feed.tell({ ...job, message, revision })
            return textOf(card, "snapshot")
          }
        }""",
        CASES["base"],
    )
    summary = cards.get_by_text("Snapshot", exact=True)

    assert cards.evaluate("tell('unseen', 4)") == "{}"
    summary.click()
    assert '"message": "unseen"' in cards.locator("pre").inner_text()
    assert '"message": "seen"' in cards.evaluate("tell('seen', 5)")
    summary.click()
    assert '"message": "seen"' in cards.evaluate("tell('unseen again', 6)")
    cards.locator("details", has=cards.locator("pre")).evaluate(
        "details => { details.open = true }"
    )
    expect(cards.locator("pre")).to_contain_text('"message": "unseen again"')


def test_a_card_shows_a_job_as_the_pages_do(cards: Page) -> None:
    cards.clock.set_fixed_time(CASES["now"])
    shown = cards.evaluate(
        """(jobs) => jobs.map((job) => {
          const card = cardOf(new NotingFeed(), job.job)
          card.show(job)
          return readingOf(card)
        })""",
        [{**CASES["base"], **case["job"]} for case in CASES["cases"]],
    )

    for case, reading in zip(CASES["cases"], shown, strict=True):
        wanted = {key: case["shows"][key] for key in case["shows"].keys() & reading}
        assert {key: reading[key] for key in wanted} == wanted, case["name"]


def test_steps_are_written_in_their_places(cards: Page) -> None:
    kept, texts, is_open, widths = cards.evaluate(
        """(job) => {
          const card = cardOf(new NotingFeed(), "anna")
          document.querySelector("#jobs").append(card)
          const step = (title, status) => ({ title, status, progress: null })
          const shown = (revision, ...steps) => {
            card.show({ ...job, revision, steps })
            return [...card.querySelectorAll(".steps li")]
          }
          const long = step("two ".repeat(50), null)
          const before = shown(4, step("<i>one</i>", "running"), long)
          const width = document.documentElement.scrollWidth
          const after = shown(5, step("<i>one</i>", "succeeded"))
          const texts = after.map((item) => item.textContent.trim())
          const many = Array.from({ length: 60 }, (_, n) => step(`${n}`, "queued"))
          const isOpen = card.querySelector(".steps").open
          return [before[0] === after[0], [...texts, shown(6, ...many).length], isOpen,
            [width, innerWidth]]
        }""",
        CASES["base"],
    )

    assert (kept, is_open) == (True, True)
    assert texts == ["<i>one</i> succeeded", 50]
    assert widths[0] <= widths[1]


def test_the_buttons_ask_for_a_pause_and_for_going_on(cards: Page) -> None:
    cards.evaluate(
        """(job) => {
          globalThis.feed = new NotingFeed()
          const card = cardOf(feed, "anna")
          document.querySelector("#jobs").append(card)
          const can = ["pause", "resume"]
          globalThis.tell = (news) => feed.tell({ ...job, can, ...news })
        }""",
        CASES["base"],
    )
    cards.evaluate("tell({ revision: 4 })")
    cards.get_by_role("button", name="Pause").click()
    cards.evaluate("tell({ revision: 5, status: 'paused' })")
    expect(cards.get_by_role("button", name="Pause")).to_have_count(0)
    cards.get_by_role("button", name="Resume").click()

    asked = cards.evaluate("feed.asked")
    assert asked == [["watch", "anna"], ["pause", "anna"], ["resume", "anna"]]
