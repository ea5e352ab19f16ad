"""Spiders run by a real Scrapyd, through the whole of ProgRock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dev.processes import BIN, Process, Stack, wait_for
from dev.redis import free_port
from tests.conftest import missing

from .progrock import ProgRock, progrock, proved, served

USER, PASSWORD = "ann", "a password of Scrapyd's"
PAGES = 300
MAX_SPIDERS = 2

CONFIG = """
[settings]
shop = shop.settings
[scrapyd]
http_port = {port}
username = {user}
password = {password}
poll_interval = 0.2
max_proc = {spiders}
"""
SETTINGS = """
SPIDER_MODULES = ["shop.pages"]
DOWNLOAD_DELAY = 0.2
RANDOMIZE_DOWNLOAD_DELAY = False
TELNETCONSOLE_ENABLED = False
"""
SPIDER = """
from scrapy import Spider

class Pages(Spider):
    name = "pages"
    start_urls = ["{site}/0.html"]

    def parse(self, page):
        yield from page.follow_all(css="a")
"""


class Scrapyd:
    """A Scrapyd with one project, and its own view of its jobs."""

    def __init__(self, folder: Path, site: str) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: Process | None = None
        shop = folder / "shop"
        shop.mkdir()
        config = CONFIG.format(
            port=self.port, user=USER, password=PASSWORD, spiders=MAX_SPIDERS
        )
        (folder / "scrapy.cfg").write_text(config)
        (shop / "__init__.py").write_text("")
        (shop / "settings.py").write_text(SETTINGS)
        (shop / "pages.py").write_text(SPIDER.format(site=site))

    def start(self, stack: Stack) -> None:
        """Start it; returns as soon as it answers."""
        self._process = stack.start([str(BIN / "scrapyd")], self.folder)
        wait_for(self._answers, self._process)

    def stop(self) -> None:
        assert self._process is not None
        self._process.end()

    def get(self, path: str) -> httpx.Response:
        return httpx.get(
            self.url + path, auth=(USER, PASSWORD), trust_env=False, timeout=10
        )

    def jobs(self, state: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/listjobs.json").json()[state]
        return found

    def last_log(self) -> str:
        """The log of the spider that has ended last."""
        last = max(self.jobs("finished"), key=lambda job: job["end_time"])
        return self.get(last["log_url"]).text

    def is_crawling(self) -> bool:
        """True if a spider runs, and has begun to do so."""
        logs = [job["log_url"] for job in self.jobs("running")]  # null without a log
        return any("Spider opened" in self.get(log).text for log in logs if log)

    def _answers(self) -> bool:
        try:
            return self.get("/daemonstatus.json").json()["status"] == "ok"
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Pages, of which each has a link to the next."""
    folder = tmp_path_factory.mktemp("site")
    for number in range(PAGES):
        link = f'<a href="/{number + 1}.html">next</a>'
        (folder / f"{number}.html").write_text(f"<html><body>{link}</body></html>")
    with served(folder) as address:
        yield address


@pytest.fixture(scope="module")
def scrapyd(site: str, tmp_path_factory: pytest.TempPathFactory) -> Scrapyd:
    if not (BIN / "scrapyd").exists():
        missing("scrapyd")
    return Scrapyd(tmp_path_factory.mktemp("scrapyd"), site)


@pytest.fixture(scope="module")
def rock(scrapyd: Scrapyd) -> Iterator[ProgRock]:
    with progrock("scrapyd", **environ_of(scrapyd)) as rock:
        scrapyd.start(rock.stack)
        yield rock


def environ_of(scrapyd: Scrapyd) -> dict[str, str]:
    return {
        "SCRAPYD_URL": scrapyd.url,
        "SCRAPYD_USER": USER,
        "SCRAPYD_PASSWORD": PASSWORD,
        "SCRAPYD_PROJECT": "shop",
        "SCRAPYD_SPIDER": "pages",
    }


def test_a_spider_runs_to_its_end_with_the_visitor_s_settings(
    rock: ProgRock, scrapyd: Scrapyd
) -> None:
    told = rock.told(rock.start("scrapyd", depth=2), lambda job: job["finished"])

    states = list(dict.fromkeys(job["status"] for job in told))
    assert states == ["queued", "running", "succeeded"]
    log = scrapyd.last_log()
    assert "'finish_reason': 'finished'" in log
    assert "'response_received_count': 3" in log


def test_the_recipe_is_proved(rock: ProgRock, scrapyd: Scrapyd) -> None:
    said = proved("scrapyd", "depth=2", **environ_of(scrapyd))

    assert "holds     cancel" in said
    assert PASSWORD not in said


def test_a_param_that_is_not_given_is_not_sent(
    rock: ProgRock, scrapyd: Scrapyd
) -> None:
    rock.end(rock.start("scrapyd", depth=9, pages=2))
    log = scrapyd.last_log()
    assert "'CLOSESPIDER_PAGECOUNT': '2'" in log
    assert "'finish_reason': 'closespider_pagecount'" in log

    rock.end(rock.start("scrapyd", depth=1))
    assert "CLOSESPIDER_PAGECOUNT" not in scrapyd.last_log()


def test_a_spider_that_is_stopped_has_not_succeeded(
    rock: ProgRock, scrapyd: Scrapyd
) -> None:
    job = rock.start("scrapyd", depth=100)
    wait_for(scrapyd.is_crawling)

    ended = rock.stop(job)

    assert (ended["status"], ended["error"]) == ("cancelled", None)
    assert scrapyd.jobs("running") == scrapyd.jobs("pending") == []
    assert "'finish_reason': 'shutdown'" in scrapyd.last_log()


def test_a_spider_that_is_stopped_before_it_runs_never_runs(
    rock: ProgRock, scrapyd: Scrapyd
) -> None:
    others = [rock.start("scrapyd", depth=100) for _ in range(MAX_SPIDERS)]
    wait_for(lambda: len(scrapyd.jobs("running")) == MAX_SPIDERS)
    job = rock.start("scrapyd", depth=100)
    wait_for(lambda: len(scrapyd.jobs("pending")) == 1)

    assert rock.stop(job)["status"] == "cancelled"

    assert scrapyd.jobs("pending") == []
    assert len(scrapyd.jobs("running")) == MAX_SPIDERS
    for other in others:
        rock.stop(other)


def test_what_scrapyd_forgets_at_a_restart_has_failed(
    rock: ProgRock, scrapyd: Scrapyd
) -> None:
    job = rock.start("scrapyd", depth=100)
    wait_for(scrapyd.is_crawling)

    scrapyd.stop()
    rock.until(job, lambda job: not job["reachable"])
    scrapyd.start(rock.stack)

    ended = rock.end(job)
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "gone"


def test_an_error_that_comes_as_a_success_is_a_refusal(
    rock: ProgRock, scrapyd: Scrapyd
) -> None:
    spider = scrapyd.folder / "shop" / "pages.py"
    text = spider.read_text()
    spider.write_text(text.replace('"pages"', '"sheets"'))
    scrapyd.stop()
    scrapyd.start(rock.stack)

    ended = rock.end(rock.start("scrapyd"))

    spider.write_text(text)
    assert ended["status"] == "failed"
    assert ended["error"]["code"] == "refused"
    assert ended["error"]["message"] == "spider 'pages' not found"
