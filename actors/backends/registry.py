"""Every backend that a recipe describes, over HTTP or by a class in Python."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actors.recipes.format import PythonRecipe, Recipe
from actors.recipes.load import RecipeError
from actors.settings import SettingError, Settings
from actors.store.tokens import TokenShelf

from . import Backend
from .http import HttpBackend
from .imported import imported
from .login import whose
from .offered import Offer, offered


class Backends(Mapping[str, Backend]):
    """Backends by name, in the order in which people see them.

    `default` is the name of the one for a start that names none.
    """

    def __init__(self, backends: Mapping[str, Backend], default: str = "") -> None:
        self._backends = backends
        self.default = default or next(iter(backends), "")

    @classmethod
    def read(cls, settings: Settings) -> Backends:
        """Read all recipes; raises SettingError, which names file and key."""
        backends = {
            name: _backend(settings, name, offer)
            for name, offer in offered(settings).items()
        }
        if settings.default_backend and settings.default_backend not in backends:
            raise SettingError(
                "PROGROCK_DEFAULT_BACKEND must be one of "
                f"{', '.join(backends)}, not {settings.default_backend!r}."
            )
        return cls(backends, settings.default_backend)

    def __getitem__(self, name: str) -> Backend:
        return self._backends[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._backends)

    def __len__(self) -> int:
        return len(self._backends)

    async def close(self) -> None:
        """Close every connection to a third party."""
        for backend in self._backends.values():
            await backend.close()


def _backend(settings: Settings, name: str, offer: Offer) -> Backend:
    pace = (settings.poll_interval_ms, settings.idle_interval_ms)
    recipe = offer.recipe
    if isinstance(recipe, PythonRecipe):
        try:
            return imported(name, offer.path, recipe, *pace)
        except RecipeError as error:
            raise SettingError(f"{offer.setting}: {error}") from error
    return HttpBackend(name, recipe, *pace, shelf=_shelf(settings, name, recipe))


def _shelf(settings: Settings, name: str, recipe: Recipe) -> TokenShelf | None:
    if recipe.login is None:
        return None
    return TokenShelf(
        settings.redis_url, settings.key_prefix, f"{name}:{whose(recipe)}"
    )
