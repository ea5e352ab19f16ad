"""`progrock recipe new`: a guided beginning of a recipe."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from actors.recipes.load import RecipeError

from .asking import Asker, NoAnswerError
from .begun import begun
from .draft import CHECK, Draft, check_loads
from .drafting import Drafting
from .openapi import Document, OpenApiError
from .operations import choose
from .output import Output
from .questions import QUESTIONS
from .secrets import Mask

WRONG_USE = 2
SCHEMA = "recipe.schema.json"
_OURS = Path(__file__).parents[1] / "docs" / SCHEMA


def add_new(kinds: Any) -> None:
    """Add the subcommand to argparse's subparsers."""
    parser = kinds.add_parser(
        "new",
        help="begin a recipe by answering questions",
        description=(
            "Asks for all that a first recipe needs, checks each answer at once, and "
            "writes the file. Each question has a flag; without a terminal the answers "
            "may also come as lines of the standard input."
        ),
    )
    parser.add_argument("file", type=Path, nargs="?", help="the recipe to write")
    parser.add_argument("--force", action="store_true", help="replace the file")
    parser.add_argument("--schema", metavar="ADDRESS", help="of recipe.schema.json")
    parser.add_argument(
        "--openapi",
        type=Path,
        metavar="FILE",
        help="draft it from an OpenAPI 3 document in JSON; --start and --status then "
        "choose among its operations",
    )
    answers = parser.add_argument_group("answers")
    for question in QUESTIONS:
        says = question.says.replace("{path}", "/jobs/{ref}").replace("%", "%%")
        answers.add_argument(f"--{question.name}", metavar="TEXT", help=says)
    parser.set_defaults(run=_new)


def _new(chosen: Any) -> int:
    output = Output(sys.stdout, Mask(()))
    try:
        _check_is_free(chosen.file, chosen.force)
        make = _drafted if chosen.openapi else _asked
        path, draft = make(chosen, output)
        write(path, draft, chosen.force, chosen.schema)
    except (
        *(NoAnswerError, OpenApiError, RecipeError),
        *(FileExistsError, OSError),
    ) as error:
        output.mistake(_reason(error))
        return WRONG_USE
    output.line(f"Written: {path}")
    output.line("Prove it against the running service:")
    output.line(next_command(path, draft.params))
    return 0


def _asked(chosen: Any, output: Output) -> tuple[Path, Draft]:
    name = chosen.file.stem if chosen.file else "job"
    answers = Asker(name, _flags(chosen), sys.stdin, output).answers()
    path = chosen.file or Path(f"{_slug(answers['title'])}.toml")
    return path, begun(path.stem, answers)


def _drafted(chosen: Any, output: Output) -> tuple[Path, Draft]:
    flags = _flags(chosen)
    if others := flags.keys() - {"start", "status"}:
        raise NoAnswerError(f"--openapi takes no --{min(others)}: edit the file then.")
    document = Document.read(chosen.openapi)
    life = choose(document, flags.get("start"), flags.get("status"))
    path = chosen.file or Path(f"{_slug(document.title)}.toml")
    draft = Drafting(path.stem, document, life).draft()
    for line in life.lines:
        output.line(line)
    if doubts := draft.doubts:
        output.line(f"{doubts} places are not sure: look for `# {CHECK}` in the file.")
    return path, draft


def next_command(path: Path, params: list[str]) -> str:
    """Return the command that proves a recipe."""
    return " ".join([f"  progrock recipe check {path}", *(f"-p {p}=…" for p in params)])


def write(path: Path, draft: Draft, force: bool, schema: str | None) -> None:
    """Write a recipe that can be loaded.

    Raises RecipeError if it cannot, FileExistsError if the file is there already.
    """
    text = draft.text(f":schema {schema or _schema(path)}")
    check_loads(text)
    _check_is_free(path, force)
    with path.open("w" if force else "x", encoding="utf-8") as file:
        file.write(text)


def _check_is_free(path: Path | None, force: bool) -> None:
    if path and path.exists() and not force:
        raise FileExistsError(f"{path} is there already; --force replaces it.")


def _flags(chosen: Any) -> dict[str, str]:
    names = (question.name for question in QUESTIONS)
    given = {name: getattr(chosen, name) for name in names}
    return {name: text for name, text in given.items() if text is not None}


def _schema(path: Path) -> str:
    return os.path.relpath(_OURS, path.absolute().parent) if _OURS.exists() else SCHEMA


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-") or "job"


def _reason(error: Exception) -> str:
    """The draft's own folder means nothing to people."""
    if isinstance(error, RecipeError):
        return f"The recipe was not written: {str(error).partition('draft.toml: ')[2]}"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}."
    return str(error)
