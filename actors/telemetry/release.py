"""Which ProgRock this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def release() -> str:
    """The version; `checkout` if ProgRock runs without having been installed."""
    try:
        return version("progrock")
    except PackageNotFoundError:
        return "checkout"
