"""A stream over a WebSocket, which the client also gives commands on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import msgspec
from redis.exceptions import RedisError

from actors import Action, Snapshot
from web.http.json_input import fitted
from web.http.problems import Problem, bug, log_refusal, no_such_job, unavailable
from web.owners.jobs import Jobs
from web.owners.visitors import Visitor
from web.server.direct_write import text_frame
from web.server.limits import (
    BYTES_PER_MESSAGE,
    FAREWELL_S,
    MAX_JOBS_PER_SOCKET,
    MESSAGE_BURST,
)
from web.server.token_bucket import TokenBucket

from .connection import Connection
from .frames import Message, arrays, frame, read, subject
from .hub import Hub
from .stream import Ended, Stream
from .subscriber import News

CLOSE_FLOOD = 1008
CLOSE_RESTART = 1012


class WebSocketStream(Stream):
    """The feed of the jobs that the client watches, and its commands."""

    __slots__ = ("_asked", "_batches", "_bucket", "_jobs", "_visitor")
    transport = "websocket"

    def __init__(
        self,
        hub: Hub,
        connection: Connection,
        jobs: Jobs,
        visitor: Visitor,
        batches: bool,
    ) -> None:
        super().__init__(hub, connection)
        self._jobs = jobs
        self._visitor = visitor
        self._batches = batches
        self._bucket = TokenBucket()
        self._asked: deque[Any] | None = None  # while there is something to do

    async def _serve(self) -> None:
        """Take each message at once, so that a flood is noticed while Redis is slow."""
        await self._send({"accept": True})
        while True:
            event = await self._connection.receive()
            if event["type"] != "websocket.receive":
                return
            message = event.get("bytes") or event.get("text")
            if self._jobs.settings.limits and not self._spend(message):
                raise Ended("flood", CLOSE_FLOOD)
            if self._asked is None:
                self._asked = deque()
                self._tasks.create_task(self._obey(self._asked))
            self._asked.append(message)

    def _encoded(self, news: Sequence[Snapshot]) -> bytes:
        if self._batches and len(news) > 1:
            return b"".join(map(text_frame, arrays(news)))
        return b"".join(map(frame, news))

    async def _send_news(self, news: News) -> None:
        if not news.snapshots and not news.gone:
            await self._send({"heartbeat": True})
        for text in self._texts(news.snapshots):
            await self._send_text(text)
        for job in news.gone:
            await self._send_error(no_such_job(), {"action": "watch", "job": job})

    def _texts(self, news: Sequence[Snapshot]) -> Iterable[bytes]:
        return arrays(news) if self._batches else (each.data for each in news)

    async def _say_goodbye(self, come_back_ms: int) -> NoReturn:
        await self._send({"reconnect_in_ms": come_back_ms})
        raise Ended("drain", CLOSE_RESTART)

    async def _close(self, ended: Ended) -> None:
        """Close and read on.

        Closing with unread input resets the connection, and the client would not see
        the close code.
        """
        if ended.code is None:
            return
        await self._connection.send(
            {"type": "websocket.close", "code": ended.code, "reason": None}
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._connection.read_on()

    def _spend(self, message: str | bytes | None) -> bool:
        data = message.encode() if isinstance(message, str) else message or b""
        cost = 1 + len(data) // BYTES_PER_MESSAGE
        return self._bucket.spend(cost) and len(self._asked or ()) < MESSAGE_BURST

    async def _obey(self, asked: deque[Any]) -> None:
        """Carry out the client's messages, one after the other."""
        while asked:
            await self._answer(asked[0])
            asked.popleft()
        self._asked = None

    async def _answer(self, message: Any) -> None:
        about = {"action": ""}
        try:
            said = read(message)
            about = subject(said)
            await self._do(fitted(said, Message), about)
        except Problem as problem:
            await self._send_error(problem, about)
        except RedisError as error:
            await self._send_error(unavailable(error), about)
        except Exception as error:
            await self._send_error(bug(error), about)

    async def _do(self, message: Message, about: dict[str, str]) -> None:
        match message.action:
            case "ping":
                await self._send({"pong": True})
            case "start":
                await self._start(message, about)
            case "watch":
                await self._watch(message.named_job(), message.after)
            case "unwatch":
                self._hub.leave(self._subscriber, message.named_job())
            case verb if verb in tuple(Action):
                await self._request(message.named_job(), Action(verb))
            case _:
                raise Problem(
                    400,
                    "unknown_action",
                    f"There is no action {message.action[:80]!r}.",
                )

    async def _start(self, message: Message, about: dict[str, str]) -> None:
        self._check_room()
        job = await self._jobs.start(
            self._visitor, message.backend, message.params, message.key
        )
        about["job"] = job.job  # it goes on, whatever fails now
        await self._watch(job.job)

    async def _watch(self, job: str, after: int = 0) -> None:
        self._check_room()
        await self._hub.join(self._subscriber, {job: after}, self._visitor.owner)

    async def _request(self, job_id: str, action: Action) -> None:
        job = await self._jobs.request(self._visitor, job_id, action)
        if job_id not in self._subscriber.follows:
            await self._send_text(msgspec.json.encode(job))

    def _check_room(self) -> None:
        if len(self._subscriber.follows) >= MAX_JOBS_PER_SOCKET:
            raise Problem(
                429,
                "too_many_watched",
                f"One socket may watch {MAX_JOBS_PER_SOCKET} jobs.",
            )

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(msgspec.json.encode(message))

    async def _send_error(self, problem: Problem, about: dict[str, str]) -> None:
        said = f"The message {about.get('action', '')[:80]!r}"
        log_refusal(said, about.get("job"), problem)
        error = {"code": problem.code, "message": problem.detail}
        await self._send({"error": error, **about})

    async def _send_text(self, text: bytes) -> None:
        await self._connection.send(
            {"type": "websocket.send", "bytes": None, "text": text.decode()}
        )
