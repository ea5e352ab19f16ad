"""One open socket: what its client asks for, and what it is told."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec
from redis.exceptions import RedisError

from actors.store.values import Snapshot
from web.http.json_input import MOST_BYTES, fitted, parsed
from web.http.problems import Problem, bug, no_such_job, unavailable
from web.owners.jobs import Desk
from web.owners.visitors import Visitor
from web.server.direct_write import Wire, text_frame
from web.server.token_bucket import BURST, Allowance
from web.server.websocket import FAREWELL_S
from web.streams.handover import Line, Over
from web.streams.hub import COME_BACK_MS
from web.streams.subscriber import Subscriber

MOST_WATCHED = 5000
COST_BYTES = 1024  # a long message costs as much as several
MOST_BATCH_BYTES = MOST_BYTES - 1  # each has a separator, two brackets need one more

CLOSE_FLOOD = 1008
CLOSE_RESTART = 1012


class Message(msgspec.Struct):
    """What a client sends."""

    action: str
    backend: str | None = None
    params: dict[str, Any] = {}
    job: str | None = None
    key: str | None = None
    after: int = 0


class Conversation:
    """What is said on one socket, both ways."""

    __slots__ = (
        *("_desk", "_visitor", "_line", "_wire", "_batches", "_allowance", "_asked"),
        *("_subscriber", "_tasks"),
    )

    def __init__(
        self, desk: Desk, visitor: Visitor, line: Line, wire: Wire | None, batches: bool
    ) -> None:
        self._desk = desk
        self._visitor = visitor
        self._line = line
        self._wire = wire
        self._batches = batches
        self._allowance = Allowance()
        self._asked: deque[Any] | None = None  # while there is something to be done
        self._subscriber: Subscriber
        self._tasks = asyncio.TaskGroup()

    async def run(self) -> None:
        """Talk until either side ends it."""
        try:
            async with (
                self._tasks,
                self._desk.feed.subscribe(self) as self._subscriber,
            ):
                await self._send({"accept": True})
                await self._listen()
        except* Over as over:
            [first] = over.exceptions[:1]
            assert isinstance(first, Over)
            await self._close(first.code)

    def tell_at_once(self, news: Sequence[Snapshot]) -> bool:
        if self._wire is None:
            return False
        if self._batches and len(news) > 1:
            return self._wire.write(b"".join(map(text_frame, _arrays(news))))
        return self._wire.write(b"".join(map(_frame, news)))

    def tell_soon(self) -> None:
        self._tasks.create_task(self._tell())

    async def _tell(self) -> None:
        """Send what is new, or a heartbeat where nothing is."""
        while self._subscriber.look_again():
            if self._desk.feed.ending:
                await self._send({"reconnect_in_ms": random.randint(*COME_BACK_MS)})
                raise Over(CLOSE_RESTART)
            await self._tell_news()

    async def _listen(self) -> None:
        """Take what comes at once, so that a flood is noticed while Redis is slow."""
        while True:
            event = await self._line.receive()
            if event["type"] != "websocket.receive":
                raise Over
            frame = event.get("bytes") or event.get("text")
            if self._desk.settings.limits and not self._may_ask(frame):
                raise Over(CLOSE_FLOOD)
            if self._asked is None:
                self._asked = deque()
                self._tasks.create_task(self._obey(self._asked))
            self._asked.append(frame)

    async def _obey(self, asked: deque[Any]) -> None:
        """Do what the client has asked for, one thing after the other."""
        while asked:
            await self._answer(asked[0])
            asked.popleft()
        self._asked = None

    def _may_ask(self, frame: str | bytes | None) -> bool:
        data = frame.encode() if isinstance(frame, str) else frame or b""
        cost = 1 + len(data) // COST_BYTES
        return self._allowance.spend(cost) and len(self._asked or ()) < BURST

    async def _tell_news(self) -> None:
        news, gone = self._desk.feed.take(self._subscriber)
        if not news and not gone:
            await self._send({"heartbeat": True})
        for text in _arrays(news) if self._batches else (each.data for each in news):
            await self._send_text(text)
        for job in gone:
            await self._send_error(no_such_job(), {"action": "watch", "job": job})

    async def _answer(self, frame: Any) -> None:
        about = {"action": ""}
        try:
            said = _read(frame)
            about = _about(said)
            await self._do(fitted(said, Message), about)
        except Problem as problem:
            await self._send_error(problem, about)
        except RedisError:
            await self._send_error(unavailable(), about)
        except Exception as error:
            await self._send_error(bug(error), about)

    async def _do(self, message: Message, about: dict[str, str]) -> None:
        match message.action:
            case "ping":
                await self._send({"pong": True})
            case "start":
                self._check_room()
                job = await self._desk.start(
                    self._visitor, message.backend, message.params
                )
                about["job"] = job.job  # it goes on, whatever comes now
                await self._desk.feed.join(self._subscriber, {job.job: 0})
            case "watch":
                self._check_room()
                job_id = await self._own_job(message)
                await self._desk.feed.join(self._subscriber, {job_id: message.after})
            case "unwatch":
                self._desk.feed.leave(self._subscriber, _named(message))
            case "cancel":
                job = await self._desk.cancel(self._visitor, _named(message))
                if job.job not in self._subscriber.follows:
                    await self._send_text(msgspec.json.encode(job))
            case _:
                raise Problem(
                    400,
                    "unknown_action",
                    f"There is no action {message.action[:80]!r}.",
                )

    def _check_room(self) -> None:
        if len(self._subscriber.follows) >= MOST_WATCHED:
            raise Problem(
                429, "too_many_watched", f"One socket may watch {MOST_WATCHED} jobs."
            )

    async def _own_job(self, message: Message) -> str:
        job = _named(message)
        await self._desk.check_owner(self._visitor, [job])
        return job

    async def _send(self, frame: dict[str, Any]) -> None:
        await self._send_text(msgspec.json.encode(frame))

    async def _send_error(self, problem: Problem, about: dict[str, str]) -> None:
        error = {"code": problem.code, "message": problem.detail}
        await self._send({"error": error, **about})

    async def _send_text(self, text: bytes) -> None:
        await self._line.send(
            {"type": "websocket.send", "bytes": None, "text": text.decode()}
        )

    async def _close(self, code: int | None) -> None:
        """Close and read on: what is left unread would destroy the reason."""
        if code is None:
            return
        await self._line.send({"type": "websocket.close", "code": code, "reason": None})
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._line.read_on()


@lru_cache(maxsize=128)  # many streams are told the same
def _frame(snapshot: Snapshot) -> bytes:
    return text_frame(snapshot.data)


def _arrays(news: Iterable[Snapshot]) -> Iterator[bytes]:
    """As few frames as may be; what is alone in one is no array."""
    batch: list[bytes] = []
    size = 0
    for snapshot in news:
        size += len(snapshot.data) + 1
        if batch and size > MOST_BATCH_BYTES:
            yield _array(batch)
            batch, size = [], len(snapshot.data) + 1
        batch.append(snapshot.data)
    if batch:
        yield _array(batch)


def _array(batch: Sequence[bytes]) -> bytes:
    return b"[%s]" % b",".join(batch) if len(batch) > 1 else batch[0]


def _read(frame: Any) -> Any:
    if not isinstance(frame, str):  # an empty binary one comes as None
        raise Problem(400, "not_text", "Send text frames, not binary ones.")
    return parsed(frame)


def _about(said: Any) -> dict[str, str]:
    """What an error frame repeats, so that the client knows what it is about."""
    about = {"action": ""}
    for name in ("action", "job", "key"):
        if isinstance(said, dict) and isinstance(said.get(name), str):
            about[name] = said[name]
    return about


def _named(message: Message) -> str:
    if message.job is None:
        raise Problem(422, "no_job", "Say which job: the message has no `job`.")
    return message.job
