"""A file of a job, read for somebody on another event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from . import ResultFile


class Reading:
    """One task opens, reads and closes the file.

    A context such as asyncio.timeout() may be left only by the task that entered it.
    Every method is called on the same loop.
    """

    def __init__(
        self, context: Callable[[], AbstractAsyncContextManager[ResultFile]]
    ) -> None:
        self._context = context
        self._asked: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> ResultFile:
        """Open the file; raises any error of its author."""
        self._task = asyncio.create_task(self._read())
        file: ResultFile | None = await self._next()
        if file is None:
            raise RuntimeError("The file was not opened.")
        return file

    async def chunk(self) -> bytes | None:
        """Return the next bytes, None at the end; raises any error of its author."""
        chunk: bytes | None = await self._next()
        return chunk

    async def close(self) -> None:
        """Close the file, also in the middle of it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _next(self) -> Any:
        assert self._task is not None  # it is opened first
        reply = asyncio.get_running_loop().create_future()
        self._asked.put_nowait(reply)
        await asyncio.wait({reply, self._task}, return_when=asyncio.FIRST_COMPLETED)
        return reply.result() if reply.done() else self._task.result()

    async def _read(self) -> None:
        async with self._context() as file:
            (await self._asked.get()).set_result(file)
            async for chunk in file.chunks():
                (await self._asked.get()).set_result(chunk)
