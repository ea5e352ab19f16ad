"""Every backend that a recipe describes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from actors.recipes.load import RecipeError, load_recipe
from actors.settings import SettingError, Settings

from . import Backend
from .http import HttpBackend


class Backends(Mapping[str, Backend]):
    """Backends by name; a recipe in a later folder replaces one of the same name."""

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self._backends = backends

    @classmethod
    def read(cls, settings: Settings) -> Backends:
        """Read all recipes; raises SettingError, which names file and key."""
        files = [path for folder in settings.recipes for path in _recipes_in(folder)]
        try:
            backends = {path.stem: _backend(path, settings) for path in files}
        except RecipeError as error:
            raise SettingError(f"PROGROCK_RECIPES: {error}") from error
        if settings.default_backend not in backends:
            raise SettingError(
                "PROGROCK_DEFAULT_BACKEND must be one of "
                f"{', '.join(backends)}, not {settings.default_backend!r}."
            )
        return cls(backends)

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


def _recipes_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"))


def _backend(path: Path, settings: Settings) -> HttpBackend:
    return HttpBackend(
        path.stem,
        load_recipe(path),
        settings.poll_interval_ms,
        settings.idle_interval_ms,
    )
