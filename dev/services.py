"""`python -m dev.services`: makes docs/services.md of docs/services.toml."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Annotated

import msgspec

from dev.processes import ROOT

DATA, PAGE = ROOT / "docs" / "services.toml", ROOT / "docs" / "services.md"
VERDICTS = {
    "tried": "**shipped**, tried with the real server",
    "recorded": "**shipped**, recorded answers only",
    "fits": "fits; only read",
    "partly": "partly; only read",
    "not_yet": "not yet; only read",
    "class": "needs a `Backend` class; only read",
}
INTRODUCTION = """# Services

How far a [recipe](recipes.md) gets with services that run long jobs. This page is made
from `docs/services.toml` by `python -m dev.services`.

- *tried*: the shipped recipe is tested against the real server.
- *recorded*: the shipped recipe is tested only against answers as the documentation shows them.
- *only read*: nothing was run. Documentation or source was read, some of it long ago, and this is what it lets expect. *Fits*: a recipe starts it, watches it to the right end, and stops it if the service can. *Partly*: the same, but something is lost or must be done by hand. *Not yet*: it needs something that recipes lack today.
- A *`Backend` class* is Python, for streams and signed requests: see [Backends in Python](backends.md).
"""  # noqa: E501  # Markdown's lines are sentences


class Service(msgspec.Struct, forbid_unknown_fields=True):
    """One service: the verdict is a key of VERDICTS, the recipe a shipped one."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    group: str
    verdict: str
    note: str
    recipe: str = ""


def services() -> list[Service]:
    """Read the data; raises msgspec.ValidationError."""
    rows = tomllib.loads(DATA.read_text())["service"]
    return msgspec.convert(rows, list[Service])


def page() -> str:
    """Return the whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    rows = services()
    yield INTRODUCTION
    yield "| service | recipe | verdict | to know |"
    yield "|---|---|---|---|"
    for group, members in groupby(rows, lambda row: row.group):
        yield f"| **{group}** | | | |"
        for row in members:
            recipe = f"`{row.recipe}`" if row.recipe else ""
            yield f"| {row.name} | {recipe} | {VERDICTS[row.verdict]} | {row.note} |"
    counts = Counter(row.verdict for row in rows)
    yield ""
    yield f"{len(rows)} services:"
    yield ""
    for verdict, text in VERDICTS.items():
        yield f"- {counts[verdict]} {text}"


if __name__ == "__main__":
    PAGE.write_text(page())
