"""The settings, read from the environment once."""

import sys
from dataclasses import dataclass
from os import cpu_count, environ
from typing import Self


@dataclass(frozen=True, slots=True)
class Settings:
    host: str
    port: int
    access_log: bool
    processes: int

    @classmethod
    def from_environment(cls) -> Self:
        return cls(
            host=environ.get("DEMO_HOST", "127.0.0.1"),
            port=_whole_number("DEMO_PORT", 8001, lowest=0, highest=65535),
            access_log=_on_or_off("DEMO_ACCESS_LOG", "on"),
            processes=_whole_number(
                "DEMO_PROCESSES", _spare_cores(), lowest=1, highest=256
            ),
        )


def _spare_cores() -> int:
    return max(1, (cpu_count() or 1) - 1)


def _whole_number(name: str, default: int, *, lowest: int, highest: int) -> int:
    text = environ.get(name, str(default))
    if text.isdecimal() and lowest <= int(text) <= highest:
        return int(text)
    sys.exit(f"{name} must be a number from {lowest} to {highest}, not {text!r}.")


def _on_or_off(name: str, default: str) -> bool:
    text = environ.get(name, default)
    if text in ("on", "off"):
        return text == "on"
    sys.exit(f"{name} must be on or off, not {text!r}.")
