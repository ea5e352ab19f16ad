"""`progrock recipe`: begin one, check it, try it on answers, list, show."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from actors.backends.offered import SERVICES
from actors.recipes.load import RecipeError, load_recipe
from actors.recipes.params import ParamsError
from actors.settings import SHIPPED_RECIPES

from .new import add_new
from .output import Output
from .prover import Prover
from .secrets import Mask
from .trying import tried

FAILED, WRONG_USE = 1, 2
EXAMPLES = """examples:
  progrock recipe new transcoder.toml
  progrock recipe check transcoder.toml -p source=https://example.com/a.mp4
  progrock recipe check backup.toml --only watch
  progrock recipe try transcoder.toml --answer running.json --answer done.json
"""


def add(commands: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    recipe = commands.add_parser(
        "recipe",
        help="begin, check, try and show recipes",
        description="Begin, check, try and show recipes.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    kinds = recipe.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_new(kinds)
    _add_check(kinds)
    _add_try(kinds)
    _add(kinds, "list", "list the shipped recipes", _list)
    show = _add(kinds, "show", "print a shipped recipe", _show)
    show.add_argument("name", help="the recipe's name, such as rclone")


def _add(
    kinds: Any, name: str, says: str, run: Callable[[Any], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(
        name, help=says, description=f"{says.capitalize()}."
    )
    parser.set_defaults(run=run)
    return parser


def _add_check(kinds: Any) -> None:
    check = _add(kinds, "check", "prove a recipe against its running service", _check)
    check.description = (
        "Start a job, watch it, pause and resume it and stop it, as far as the recipe "
        "offers that; then watch another one to its end and fetch its result. Prints "
        "what the recipe claims and what was seen. Ends with 0 only if all claims hold."
    )
    check.add_argument("file", type=Path, help="the recipe, a TOML file")
    check.add_argument(
        *("-p", "--param"),
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a param of the job; the value is JSON or a text. Can be repeated",
    )
    check.add_argument(
        "--only", choices=["watch"], help="watch one job to its end, and stop none"
    )
    check.add_argument(
        "--timeout", type=float, default=120, metavar="S", help="for each job (120)"
    )


def _add_try(kinds: Any) -> None:
    parser = _add(kinds, "try", "read saved answers of the status call", _try)
    parser.add_argument("file", type=Path, help="the recipe, a TOML file")
    parser.add_argument(
        "--answer",
        type=Path,
        action="append",
        required=True,
        help="a file with the JSON of an answer; with several calls an object of them "
        "by name. Can be repeated",
    )


def _check(chosen: Any) -> int:
    output = Output(sys.stdout, Mask.of(chosen.file))
    try:
        recipe = load_recipe(chosen.file)
        prover = Prover(chosen.file.stem, recipe, _params(chosen.param), output)
        findings = asyncio.run(
            prover.run(only_watch=chosen.only == "watch", timeout_s=chosen.timeout)
        )
    except (RecipeError, ParamsError, ValueError) as error:
        output.mistake(str(error))
        return WRONG_USE
    output.table(findings)
    return FAILED if any(each.holds is False for each in findings) else 0


def _try(chosen: Any) -> int:
    output = Output(sys.stdout, Mask.of(chosen.file))
    try:
        recipe = load_recipe(chosen.file)
        answers = [path.read_bytes() for path in chosen.answer]
    except (RecipeError, OSError) as error:
        output.mistake(str(error))
        return WRONG_USE
    results = [tried(recipe, answer) for answer in answers]
    for path, result in zip(chosen.answer, results, strict=True):
        output.line(f"{path}: {result.text}")
    return 0 if all(result.is_read for result in results) else FAILED


def _list(_: Any) -> int:
    output = Output(sys.stdout, Mask(()))
    for path in _shipped():
        title = tomllib.loads(path.read_text("utf-8"))["title"]
        output.line(f"{path.stem:18} {title}")
    return 0


def _show(chosen: Any) -> int:
    output = Output(sys.stdout, Mask(()))
    by_name = {path.stem: path for path in _shipped()}
    if chosen.name not in by_name:
        output.mistake(f"There is no shipped recipe {chosen.name}; see recipe list.")
        return WRONG_USE
    output.line(by_name[chosen.name].read_text("utf-8").rstrip())
    return 0


def _shipped() -> list[Path]:
    paths = [*SHIPPED_RECIPES.glob("*.toml"), *SERVICES.glob("*.toml")]
    return sorted(paths, key=lambda path: path.stem)


def _params(pairs: list[str]) -> dict[str, Any]:
    params = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"-p takes KEY=VALUE, not {pair!r}.")
        try:
            params[name] = json.loads(value)
        except ValueError:
            params[name] = value
    return params
