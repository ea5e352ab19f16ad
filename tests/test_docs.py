"""The documents keep their promises."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import msgspec
import pytest
from quart import Quart

from actors.backends.offered import SERVICES
from actors.recipes.calls import Every, NamedCall
from actors.recipes.format import Recipe
from actors.recipes.load import load_recipe
from actors.recipes.tables import (
    Absent,
    Adopt,
    BulkCall,
    CancelCall,
    ListCall,
    Login,
    Result,
    Start,
    StatusCall,
    Steps,
)
from actors.settings import Settings
from actors.telemetry.exposition import JOBS, PROCESS
from actors.telemetry.tallies import FAMILIES
from dev.processes import ROOT

README = (ROOT / "README.md").read_text()
SETTINGS = (ROOT / "docs" / "settings.md").read_text()
INTERFACE = (ROOT / "docs" / "interface.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
RECIPES = (ROOT / "docs" / "recipes.md").read_text()
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
SPECIAL = {
    "port": "PORT",
    "redis_url": "REDIS_URL",
    "broker_url": "BROKER_URL",
    "secret_key": "SECRET_KEY",
    "development": "PROGROCK_ENV",
}


@pytest.mark.parametrize("setting", [field.name for field in fields(Settings)])
def test_every_setting_is_in_the_table(setting: str) -> None:
    variable = SPECIAL.get(setting, f"PROGROCK_{setting.upper()}")

    assert f"| `{variable}` |" in SETTINGS


def test_every_variable_that_is_read_is_in_the_docs() -> None:
    read = set()
    for room in ("actors", "web", "demo"):
        for path in (ROOT / room).rglob("*.py"):
            read |= set(re.findall(r'"((?:PROGROCK|DEMO)_[A-Z_]+)"', path.read_text()))

    assert {name for name in read if f"`{name}`" not in SETTINGS} == set()


def test_every_metric_is_in_the_docs() -> None:
    names = {family.name for family in FAMILIES} | {JOBS, PROCESS}

    assert {name for name in names if f"`{name}" not in OPERATING} == set()


async def test_every_route_is_in_the_docs(app: Quart) -> None:
    pages = {"/", "/start", "/adopt", "/jobs/<job>/cancel", "/static/<path:filename>"}
    routes = {rule.rule for rule in app.url_map.iter_rules()} - pages

    assert {route for route in routes if route not in INTERFACE} == set()


def test_every_class_that_the_readme_names_is_there() -> None:
    classes = set(re.findall(r"`([A-Z][a-z]\w*)(?:\.\w+)?`", README))
    sources = [path.read_text() for path in (ROOT / "actors").rglob("*.py")]
    sources += [path.read_text() for path in (ROOT / "web").rglob("*.py")]
    known = set(re.findall(r"(?m)^class (\w+)", "\n".join(sources)))

    assert classes - known - {"Procfile"} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text()
    named = re.findall(
        r"`((?:actors|web|docs|templates|static|demo|dev)/[\w./-]*)`", text
    )
    linked = re.findall(r"\]\(((?!http)[^)#]+)\)", text)

    assert [path for path in named if not (ROOT / path).exists()] == []
    assert [path for path in linked if not (page.parent / path).exists()] == []


@pytest.mark.parametrize(
    "table",
    [
        Recipe,
        Start,
        StatusCall,
        Steps,
        Absent,
        Adopt,
        BulkCall,
        CancelCall,
        ListCall,
        Login,
        Result,
    ],
)
def test_every_key_of_a_recipe_is_in_the_docs(table: type[msgspec.Struct]) -> None:
    """The first column of the tables has `status.done`, or `.total` beside it."""
    columns = [line.split("|")[1] for line in RECIPES.splitlines() if line[:3] == "| `"]
    named = set(re.findall(r"\w+", " ".join(columns)))
    older = {"progress"}  # today `percent`

    assert set(table.__struct_fields__) - named - older == set()


def test_every_key_of_a_call_is_in_the_docs() -> None:
    calls = RECIPES.partition("## Calls")[2].partition("### ")[0]

    for key in {*Every.__struct_fields__, *NamedCall.__struct_fields__}:
        assert f"| `{key}` |" in calls


def test_the_recipe_in_the_docs_is_one(tmp_path) -> None:  # type: ignore[no-untyped-def]
    recipe = re.search(r"```toml\n(.*?)```", RECIPES, re.DOTALL)
    assert recipe
    path = tmp_path / "transcoder.toml"
    path.write_text(recipe[1])

    assert load_recipe(path, {"TRANSCODER_TOKEN": "x"}).title == "Video transcoder"


def test_every_shipped_recipe_is_in_the_docs_with_its_variables() -> None:
    lines = {line.split("`")[1]: line for line in RECIPES.splitlines() if "| `" in line}
    for path in SERVICES.glob("*.toml"):
        needed = set(re.findall(r"\$\{(\w+)\}", path.read_text()))
        missing = {name for name in needed if f"`{name}`" not in lines[path.stem]}
        assert missing == set()
