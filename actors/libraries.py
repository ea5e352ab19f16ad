"""The names in libraries that we replace or reach into, checked when we do so.

A library may rename anything that is not its public interface. Then a process must stop
at its start and say which name is missing.
"""

from __future__ import annotations

from inspect import isfunction, unwrap
from types import ModuleType
from typing import Any

RELIED_ON: set[str] = set()  # one test holds the list of all


class LibraryChangedError(RuntimeError):
    """A library no longer has a name that we rely on."""


def replace(owner: Any, name: str, ours: Any) -> None:
    """Put `ours` in the place of a module's or a class's `name`."""
    rely_on(owner, name)
    setattr(owner, name, ours)


def rely_on(owner: Any, *names: str) -> None:
    """Note names of a module or a class; raises LibraryChangedError if one is gone."""
    where = _name_of(owner)
    for name in names:
        if not (hasattr(owner, name) or _is_in_the_code(owner, name)):
            raise LibraryChangedError(
                f"{where} has no {name!r} any more. ProgRock needs an older version of "
                f"{where.partition('.')[0]}, or a newer ProgRock."
            )
        RELIED_ON.add(f"{where}.{name}")


def _is_in_the_code(owner: Any, name: str) -> bool:
    """Attributes that only instances have are named in the code of the methods."""
    bases = getattr(owner, "__mro__", ())
    methods = [unwrap(each) for base in bases for each in vars(base).values()]
    return any(name in each.__code__.co_names for each in methods if isfunction(each))


def _name_of(owner: Any) -> str:
    if isinstance(owner, ModuleType):
        return owner.__name__
    return f"{owner.__module__}.{owner.__qualname__}"
