"""The house stays easy to walk through: small files, short functions, no circles."""

from __future__ import annotations

import ast
import re
import statistics
import sys
import tomllib
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from dev.processes import ROOT

MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 30
MEDIAN_FUNCTION_LINES = 4
ROOMS = ("actors", "command", "web")


def sources(*rooms: str) -> list[Path]:
    return sorted(path for room in rooms for path in (ROOT / room).rglob("*.py"))


def name_of(path: Path) -> str:
    """The module in a file, `web.streams.hub`; a package's own is its name."""
    *folders, last = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(folders if last == "__init__" else [*folders, last])


MODULES = {name_of(path): path for path in sources(*ROOMS)}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also for types alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = source_of(node, path)
            for alias in node.names:
                inner = f"{source}.{alias.name}"
                yield inner if inner in MODULES else source


def source_of(node: ast.ImportFrom, path: Path) -> str:
    if not node.level:
        return node.module or ""
    folders = path.relative_to(ROOT).parent.parts
    base = folders[: len(folders) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def functions() -> dict[str, int]:
    """Every function, and how many lines its body has without the docstring."""
    return {
        f"{name}:{node.lineno} {node.name}": lines_of(node)
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first, *others = function.body
    starts = others[0] if ast.get_docstring(function) and others else first
    return (function.end_lineno or 0) - starts.lineno + 1


@pytest.mark.parametrize(
    "kind", ["actors/**/*.py", "command/*.py", "web/**/*.py", "static/*.js"]
)
def test_no_file_is_long(kind: str) -> None:
    lines = {path: path.read_text().count("\n") for path in ROOT.glob(kind)}

    assert lines
    assert {path: n for path, n in lines.items() if n > MAX_FILE_LINES} == {}


def test_functions_are_short() -> None:
    lines = functions()

    assert {name: n for name, n in lines.items() if n > MAX_FUNCTION_LINES} == {}
    assert statistics.median(lines.values()) <= MEDIAN_FUNCTION_LINES


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {
        name: set(imports(path)) & MODULES.keys() - {name}
        for name, path in MODULES.items()
    }

    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_what_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = {
        normal(re.split(r"[^\w.-]", line)[0])
        for line in (
            *project["dependencies"],
            *(each for name in ("demo", "otel", "sentry") for each in extras[name]),
        )
    }
    providers = packages_distributions()
    ours = {"actors", "web", "demo"}
    foreign = (
        {
            module.partition(".")[0]
            for path in sources(*ours)
            for module in imports(path)
        }
        - ours
        - sys.stdlib_module_names
    )

    assert {
        name for name in foreign if not {normal(p) for p in providers[name]} & declared
    } == set()


def normal(name: str) -> str:
    return name.lower().replace("_", "-")
