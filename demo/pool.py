"""A pool of processes that compute; if one dies, the pool starts new ones."""

import asyncio
import functools
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process, resource_tracker
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Pool:
    def __init__(self, processes: int) -> None:
        resource_tracker.ensure_running()  # a later start would undo `_ctrl_c_held`
        self._processes = processes
        self._executor = self._new_executor()

    async def run(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `function` in a process; raises BrokenProcessPool if the process dies."""
        with _ctrl_c_held():
            future = self._submit(functools.partial(function, *args, **kwargs))
        return await asyncio.wrap_future(future)

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _submit(self, function: Callable[[], T]) -> Future[T]:
        try:
            return self._executor.submit(function)
        except BrokenProcessPool:
            self._executor = self._new_executor()
            return self._executor.submit(function)

    def _new_executor(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            self._processes,
            mp_context=get_context("spawn"),  # a fork would keep our connections
            initializer=_end_with_parent,
        )


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Processes started in here never see Ctrl-C: their parent ends them in order."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would stay behind."""
    Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)
