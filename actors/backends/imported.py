"""Makes the backend that a recipe names by the import path of a class."""

from __future__ import annotations

import importlib
import inspect
import logging
import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from actors.recipes.format import PythonRecipe, params_schema
from actors.recipes.load import RecipeError, without_values

from .guarded import Guarded
from .python import PythonBackend, Setup, is_own

_AWAITED = (
    *("start", "report", "reports", "cancel", "pause", "resume", "close"),
    "adoptable",
)

logger = logging.getLogger(__name__)


def imported(
    name: str,
    path: Path,
    recipe: PythonRecipe,
    poll_interval_ms: int,
    idle_interval_ms: int,
    environ: Mapping[str, str] = os.environ,
) -> Guarded:
    """Import the class and make it; raises RecipeError with one line.

    The line names the file, the key, and what was expected; the log has the cause.
    """
    text = path.read_text("utf-8")
    mask = partial(without_values, text=text, environ=environ)
    poll_ms = recipe.poll_interval_ms or poll_interval_ms
    setup = Setup(
        name=name,
        title=recipe.title,
        description=recipe.description,
        unit=recipe.unit,
        timeout_s=recipe.timeout_s,
        poll_interval_ms=poll_ms,
        idle_interval_ms=max(recipe.idle_interval_ms or idle_interval_ms, poll_ms),
        give_up_after_s=recipe.give_up_after_s,
        deadline_s=recipe.deadline_s,
        most_active=recipe.most_active,
        calls_per_minute=recipe.calls_per_minute,
        params=params_schema(recipe),
        options=recipe.options,
    )
    try:
        return Guarded(_made(_class(recipe.backend, mask), setup, mask), mask)
    except ValueError as error:
        raise RecipeError(f"{path}: {mask(str(error))}") from error


def _class(backend: str, mask: Callable[[str], str]) -> type[PythonBackend]:
    module_name, _, class_name = backend.partition(":")
    kind = getattr(_module(module_name, mask), class_name, None)
    if kind is None:
        raise _mistake(f"the module {module_name} has no class {class_name}")
    if not (isinstance(kind, type) and issubclass(kind, PythonBackend)):
        raise _mistake(f"{class_name} must be a subclass of actors.PythonBackend")
    for slip in _slips(kind):
        raise _mistake(f"the class {class_name} {slip}")
    return kind


def _module(name: str, mask: Callable[[str], str]) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise _mistake(f"there is no module {name} on Python's path") from error
        _log(error, mask)
        line = f"the module {name} needs {missing}, which is not installed"
        raise _mistake(line) from error
    except (Exception, SystemExit) as error:
        _log(error, mask)
        kind = type(error).__name__
        raise _mistake(f"the module {name} cannot be imported ({kind})") from error


def _slips(kind: type[PythonBackend]) -> Iterator[str]:
    if not is_own(kind, "start"):
        yield "must have a method start"
    if not (is_own(kind, "report") or is_own(kind, "reports")):
        yield "must have a method report, or reports"
    if is_own(kind, "pause") != is_own(kind, "resume"):
        yield "must have both of pause and resume, or none"
    for name in _AWAITED:
        if not inspect.iscoroutinefunction(getattr(kind, name)):
            yield f"must have {name} as an async def"


def _made(
    kind: type[PythonBackend], setup: Setup, mask: Callable[[str], str]
) -> PythonBackend:
    try:
        made = kind(setup)
        _ = made.can, made.timeout_s, made.unit  # the base's constructor has run
        return made
    except msgspec.ValidationError as error:
        line = " ".join(str(error).split())
        place = "" if " - at `$" in line else " - at `$`"
        raise ValueError((line + place).replace("`$", "`$.options")) from error
    except (Exception, SystemExit) as error:
        _log(error, mask)
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, ValueError):
            said = str(error)
        line = " ".join(said.split())[:300]
        raise ValueError(
            f"{kind.__name__} could not be made: {line} - at `$.options`"
        ) from error


def _mistake(line: str) -> ValueError:
    return ValueError(f"{line} - at `$.backend`")


def _log(error: BaseException, mask: Callable[[str], str]) -> None:
    lines = "".join(traceback.format_exception(error))
    logger.error("A backend could not be made.\n%s", mask(lines))
