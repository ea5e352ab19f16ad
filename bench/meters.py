"""Meters: the CPU seconds of a process and all of its children."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil


@dataclass(slots=True)
class Usage:
    """CPU seconds by name, and the length of the measurement."""

    wall_s: float = 0
    cpu_s: dict[str, float] = field(default_factory=dict)

    def share(self, name: str) -> float:
        """Percent of one core."""
        return self.cpu_s[name] / self.wall_s * 100


@contextmanager
def meter(pids: Mapping[str, int], usage: Usage) -> Iterator[None]:
    """Note in `usage` the CPU time that the processes use inside this context."""
    before = {name: _cpu_s(pid) for name, pid in pids.items()}
    started = time.perf_counter()
    yield
    usage.wall_s = time.perf_counter() - started
    usage.cpu_s = {name: _cpu_s(pid) - before[name] for name, pid in pids.items()}


def _cpu_s(pid: int) -> float:
    root = psutil.Process(pid)
    return sum(_own_s(each) for each in [root, *root.children(recursive=True)])


def _own_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
