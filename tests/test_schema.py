"""The JSON Schema of recipes, which editors read: current, and true to the loader."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from actors.backends.offered import SERVICES
from actors.settings import SHIPPED_RECIPES
from dev import schema
from dev.processes import ROOT

VALIDATOR = Draft202012Validator(schema.schema())
SHIPPED = [*SHIPPED_RECIPES.glob("*.toml"), *SERVICES.glob("*.toml")]
PATTERNS = re.findall(
    r"```toml\n(.*?)```", (ROOT / "docs" / "patterns.md").read_text(), re.DOTALL
)


def test_the_file_is_current() -> None:
    assert schema.PATH.read_text() == schema.text(), "run python -m dev.schema"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_recipe_fits_and_names_the_schema(path: Any) -> None:
    text = path.read_text()
    named = re.match(r"#:schema (\S+)\n", text)

    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []
    assert named
    assert (path.parent / named[1]).resolve() == schema.PATH


@pytest.mark.parametrize("text", PATTERNS)
def test_a_pattern_fits(text: str) -> None:
    assert list(VALIDATOR.iter_errors(tomllib.loads(text))) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[status]", "[stauts]"),
        ('state = "state"', 'stat = "state"'),
        ('running = ["busy"]', 'runing = ["busy"]'),
        ('request = "POST /reports"', 'request = "reports"'),
        ('ref = "id"', "ref = 7"),
        ('title = "Nightly report"', ""),
    ],
)
def test_a_slip_does_not_fit(old: str, new: str) -> None:
    text = PATTERNS[0]
    assert old in text

    assert list(VALIDATOR.iter_errors(tomllib.loads(text.replace(old, new))))


IN_PYTHON = """
title = "Pan"
backend = "package.module:Pan"
timeout_s = 2
options = { shelf = 3, eggs = ["${EGG}"] }
"""


def test_a_recipe_that_names_a_class_fits() -> None:
    assert list(VALIDATOR.iter_errors(tomllib.loads(IN_PYTHON))) == []


@pytest.mark.parametrize(
    "text",
    [
        IN_PYTHON + 'url = "http://x"',
        IN_PYTHON.replace("timeout_s", "timeout"),
        IN_PYTHON.replace('title = "Pan"', ""),
        IN_PYTHON.replace("backend", "beckend"),
    ],
)
def test_a_slip_in_it_does_not_fit(text: str) -> None:
    assert list(VALIDATOR.iter_errors(tomllib.loads(text)))
