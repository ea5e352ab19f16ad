"""Asks a service for its jobs: so that one can be adopted, or a lost start found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, NamedTuple

from actors.limits import MAX_LISTED, MAX_TITLE_CHARACTERS
from actors.recipes.calls import Every, NamedCall
from actors.recipes.expression import Expression
from actors.recipes.format import Recipe
from actors.recipes.params import ParamsError
from actors.recipes.tables import ListCall
from actors.recipes.template import Values

from . import Adoptable, BackendError
from .answers import Reader
from .client import Client
from .facts import Facts
from .failures import no_ref, not_understood

ITEMS_A_TURN = 500


class Item(NamedTuple):
    """A job in the list of a service, and its name there."""

    ref: Any
    value: Any


class Lister:
    """Lists the jobs of one service, as its recipe says."""

    def __init__(
        self, recipe: Recipe, rule: ListCall, client: Client, reader: Reader
    ) -> None:
        self._rule = rule
        self._title = recipe.title
        self._client = client
        self._reader = reader
        self._facts = Facts([rule.items.text], rule.calls)
        self._has_addresses = "ref" in recipe.addresses

    async def adoptable(self, check_ref: Callable[[str], str]) -> list[Adoptable]:
        """Return the jobs whose names fit, each once; raises BackendError."""
        found: dict[str, Adoptable] = {}
        async for item in _at_ease(_once_each(await self._items())):
            try:
                ref = check_ref(self._named(item.ref))
            except (BackendError, ParamsError):
                continue
            title = self._rule.title.find(item.value) if self._rule.title else None
            found.setdefault(ref, Adoptable(ref, _text(title)))
            if len(found) == MAX_LISTED:
                break
        return list(found.values())

    async def marked(self, job_id: str) -> Item | None:
        """Return the job that has our id in its mark; raises BackendError."""
        for item in await self._items():
            mark = self._rule.mark and self._rule.mark.find(item.value)
            if isinstance(mark, str) and job_id in mark:
                return item
        return None

    async def _items(self) -> list[Item]:
        calls = self._rule.each
        told = await asyncio.gather(*(self._told(*each) for each in calls.items()))
        for each in told:
            if isinstance(each, BackendError):
                raise each
        by_call = dict(zip(calls, told, strict=True))
        items = self._rule.items.find(by_call if self._rule.calls else by_call[""])
        if items is None:  # as some write a list that is empty
            return []
        ref = self._rule.ref
        if not isinstance(items, list if ref else dict):
            raise not_understood(self._title)
        return [Item(*each) for each in _pairs(items, ref)]

    async def _told(self, name: str, call: Every) -> Any:
        """Return the answer to a call, or its error; None if the call may fail."""
        try:
            return await self._ask(name, call)
        except BackendError as error:
            return None if isinstance(call, NamedCall) and call.optional else error

    async def _ask(self, name: str, call: Every) -> Any:
        answer = await self._client.ask(call, Values())
        if not call.accepts(answer.status):
            raise self._reader.refusal(answer, call, permanent=False)
        said = self._facts.document(answer, name)
        if refusal := self._reader.refused(said, call, permanent=False):
            raise refusal
        return said

    def _named(self, ref: Any) -> str:
        """The name of a job as we keep it; raises BackendError."""
        if isinstance(ref, bool) or not isinstance(ref, str | int):
            raise no_ref(self._title)
        if not self._has_addresses:
            return str(ref)
        call = next(iter(self._rule.each.values()))
        return self._client.own_path(call, Values(), str(ref))


def lister(recipe: Recipe, client: Client, reader: Reader) -> Lister | None:
    """Return how to list the jobs of a service, if its recipe says so."""
    return Lister(recipe, recipe.list, client, reader) if recipe.list else None


def _once_each(items: Iterable[Item]) -> Iterator[Item]:
    """Leave out the items whose names came before."""
    before: set[str] = set()
    for item in items:
        name = repr(item.ref) if isinstance(item.ref, str | int) else ""
        if name not in before:
            before.add(name)
            yield item


async def _at_ease(items: Iterable[Item]) -> AsyncIterator[Item]:
    """Let others have their turn: very many names may not fit."""
    for number, item in enumerate(items, 1):
        yield item
        if number % ITEMS_A_TURN == 0:
            await asyncio.sleep(0)


def _pairs(items: Any, ref: Expression | None) -> Iterator[tuple[Any, Any]]:
    if ref is None:
        return iter(items.items())
    return ((ref.find(value), value) for value in items)


def _text(title: Any) -> str | None:
    if isinstance(title, bool) or not isinstance(title, str | int) or title == "":
        return None
    return str(title)[:MAX_TITLE_CHARACTERS]
