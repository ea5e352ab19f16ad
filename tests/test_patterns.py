"""The page of patterns: each of its recipes reads the answers that stand below it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from actors.backends import Adoptable, Handle, Report
from actors.backends.http import HttpBackend
from actors.recipes.load import load_recipe
from dev.processes import ROOT

from .support.oven import Oven

PAGE = (ROOT / "docs" / "patterns.md").read_text()
PATTERN = re.compile(r"## (.*?)\n.*?```toml\n(.*?)```\n\n```\n(.*?)```", re.DOTALL)
PATTERNS = PATTERN.findall(PAGE)
TALK = re.compile(r"((?:> .*\n< .*\n)+)= (.*)\n")
EXCHANGE = re.compile(r"> (.*)\n< (\d+) ?(.*)\n")
ELSEWHERE = ("http://127.0.0.1:9000", "https://id.example.com")
ENVIRON = {"REPORTS_CLIENT_ID": "us", "REPORTS_CLIENT_SECRET": "s3cret"}


def test_each_pattern_has_a_recipe_and_answers() -> None:
    assert len(PATTERNS) == PAGE.count("\n## ") >= 10


@pytest.mark.parametrize(
    ("recipe", "talk"),
    [pattern[1:] for pattern in PATTERNS],
    ids=[pattern[0] for pattern in PATTERNS],
)
async def test_a_pattern_reads_the_answers_below_it(
    oven: Oven, tmp_path: Path, recipe: str, talk: str
) -> None:
    path = tmp_path / "pattern.toml"
    for address in ELSEWHERE:
        recipe = recipe.replace(address, oven.url)
    path.write_text(recipe)
    backend = HttpBackend("pattern", load_recipe(path, ENVIRON), 200, 2000)
    is_address = 'ref.header = "Location"' in recipe
    job = Handle("/exports/7" if is_address else "7")
    talks = TALK.findall(talk)

    assert "".join(f"{calls}= {said}\n" for calls, said in talks) == talk
    for calls, said in talks:
        exchanges = EXCHANGE.findall(calls)
        oven.asked.clear()
        oven.answer = answering(exchanges)
        is_list = said.startswith("offers")
        report = None if is_list else (await backend.reports([job]))[0]
        offered = await backend.adoptable() if is_list else []
        asked = [f"{each.method} {each.rel_url.raw_path_qs}" for each in oven.asked]
        assert asked == [request for request, _, _ in exchanges]
        assert (offers(offered) if is_list else in_words(report)) == said
        if isinstance(report, Report):
            job = job._replace(kept={**job.kept, **report.kept})
    await backend.close()


def answering(exchanges: list[tuple[str, str, str]]) -> Any:
    left = iter(exchanges)

    async def answer(_: web.Request) -> web.Response:
        _, status, body = next(left)
        return web.Response(status=int(status), text=body)

    return answer


def offers(jobs: list[Adoptable]) -> str:
    return "offers " + ", ".join(f"{job.ref} ({job.title})" for job in jobs)


def in_words(report: Any) -> str:
    if not isinstance(report, Report):
        return f"not reachable: {report}"
    words = str(report.status)
    if report.percentage is not None:
        words += f" {report.percentage:g} %"
    if report.can is not None:
        words += ", can be stopped" if report.can else ", cannot be stopped"
    return words
