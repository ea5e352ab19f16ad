"""The page of services is made from its data, and fits the recipes that are shipped."""

from __future__ import annotations

from itertools import groupby

from actors.backends.offered import SERVICES
from dev.services import PAGE, VERDICTS, page, services
from tests.support.recorded import NAMES


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run python -m dev.services"


def test_each_service_has_one_row_in_one_group() -> None:
    rows = services()
    groups = [group for group, _ in groupby(rows, lambda row: row.group)]

    assert len({row.name for row in rows}) == len(rows)
    assert len(set(groups)) == len(groups)
    assert {row.verdict for row in rows} <= VERDICTS.keys()
    assert all(row.note.endswith(".") for row in rows)


def test_every_shipped_recipe_has_a_row_that_says_how_it_was_tested() -> None:
    rows = {row.recipe: row for row in services() if row.recipe}
    shipped = {path.stem for path in SERVICES.glob("*.toml")}
    recorded = {name for name, row in rows.items() if row.verdict == "recorded"}
    tried = {name for name, row in rows.items() if row.verdict == "tried"}

    assert rows.keys() == shipped
    assert recorded <= set(NAMES)
    assert tried == shipped - recorded


def test_only_a_shipped_recipe_is_called_so() -> None:
    for row in services():
        assert bool(row.recipe) == (row.verdict in ("tried", "recorded"))
