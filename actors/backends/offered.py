"""Which recipes are offered: the shipped ones that are wanted, and the operator's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from actors.recipes.format import AnyRecipe
from actors.recipes.load import RecipeError, load
from actors.recipes.template import nearest
from actors.settings import SHIPPED_RECIPES, SettingError, Settings

SERVICES = SHIPPED_RECIPES / "services"


class Offer(NamedTuple):
    """A recipe, its file, and the setting that names the file."""

    setting: str
    path: Path
    recipe: AnyRecipe


def offered(settings: Settings) -> dict[str, Offer]:
    """Return recipes by name, in the order in which people see them.

    A recipe in a later folder replaces one of the same name, which is not read then.
    Raises SettingError, which names the setting, the file and the key.
    """
    files = {
        path.stem: ("PROGROCK_SHIPPED_RECIPES", path) for path in shipped(settings)
    }
    for folder in settings.recipes:
        for path in sorted(folder.glob("*.toml")):
            files[path.stem] = ("PROGROCK_RECIPES", path)
    recipes = {name: _read(*file) for name, file in files.items()}
    if not recipes:
        raise SettingError(
            "There is no recipe: name a folder of yours in PROGROCK_RECIPES, or a "
            "shipped one in PROGROCK_SHIPPED_RECIPES."
        )
    names = sorted(recipes, key=lambda name: (recipes[name].recipe.order, name))
    return {name: recipes[name] for name in names}


def shipped(settings: Settings) -> Iterator[Path]:
    """Yield the files of the shipped recipes that are wanted; raises SettingError."""
    demo = {path.stem: path for path in sorted(SHIPPED_RECIPES.glob("*.toml"))}
    known = demo | {path.stem: path for path in sorted(SERVICES.glob("*.toml"))}
    wanted = settings.shipped_recipes
    for name in demo if wanted is None else wanted:
        if name not in known:
            hint = nearest(name, list(known)) or f"; there are {', '.join(known)}."
            raise SettingError(
                f"PROGROCK_SHIPPED_RECIPES: no shipped recipe is called {name!r}{hint}"
            )
        yield known[name]


def _read(setting: str, path: Path) -> Offer:
    try:
        return Offer(setting, path, load(path))
    except RecipeError as error:
        raise SettingError(f"{setting}: {error}") from error
