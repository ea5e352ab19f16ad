"""The feed and its commands over WebSocket."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import msgspec
from quart import Blueprint, websocket
from redis.exceptions import RedisError

from actors.store import Snapshot

from .access import Visitor
from .desk import Desk, desk
from .feed import Subscriber
from .problems import Problem, no_such_job, unavailable
from .reading import fitted, parsed
from .wire import Wire, text_frame, wire_of

COME_BACK_MS = (1000, 3000)  # not before this process has let its address go
MOST_WATCHED = 5000
# A client may send so many messages at once, and so many a second in the long run.
BURST = 300
PER_SECOND = 100

COST_BYTES = 1024  # a long message costs as much as several
FAREWELL_S = 1  # in which a client may read why it is closed

CLOSE_FLOOD = 1008
CLOSE_RESTART = 1012

socket = Blueprint("socket", __name__)


class Message(msgspec.Struct):
    """What a client sends."""

    action: str
    backend: str | None = None
    params: dict[str, Any] = {}
    job: str | None = None
    key: str | None = None
    after: int = 0


class Leave(Exception):  # noqa: N818  # not an error: the stream is over
    """Ends a socket with a close code."""

    def __init__(self, code: int) -> None:
        self.code = code


@socket.websocket("/prog/")
async def prog() -> None:
    access = desk().access
    access.check_origin(websocket)
    visitor = access.visitor(websocket)
    if desk().feed.draining:
        raise unavailable()
    cookie = visitor.new_cookie
    await websocket.accept(headers={"Set-Cookie": cookie} if cookie else None)
    await websocket.send('{"accept":true}')
    batches = websocket.args.get("batch") == "1"
    wire = wire_of(websocket.scope)
    at_once = partial(_send_at_once, wire, batches) if wire else None
    async with desk().feed.subscribe(at_once) as subscriber:
        conversation = Conversation(desk(), visitor, subscriber, batches)
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (conversation.tell, conversation.listen, conversation.obey):
                    tasks.create_task(work())
        except* Leave as leaving:
            leave = leaving.exceptions[0]
            assert isinstance(leave, Leave)
            await _close(leave.code)


class Conversation:
    """One open socket: what its client asks for, and what it is told."""

    def __init__(
        self, desk: Desk, visitor: Visitor, subscriber: Subscriber, batches: bool
    ) -> None:
        self._desk = desk
        self._visitor = visitor
        self._subscriber = subscriber
        self._batches = batches
        self._allowance = Allowance()
        self._asked: asyncio.Queue[str | bytes] = asyncio.Queue(BURST)

    async def tell(self) -> None:
        """Send what is new as it comes, and a heartbeat when nothing does."""
        while True:
            await self._subscriber.wait()
            if self._desk.feed.ending:
                pause_ms = random.randint(*COME_BACK_MS)
                await _send({"reconnect_in_ms": pause_ms})
                raise Leave(CLOSE_RESTART)
            await self._tell_news()

    async def listen(self) -> None:
        """Take what comes at once, so that a flood is noticed while Redis is slow."""
        while True:
            frame = await websocket.receive()
            if self._desk.settings.limits and not self._may_ask(frame):
                raise Leave(CLOSE_FLOOD)
            await self._asked.put(frame)

    async def obey(self) -> None:
        """Do what the client asks, one thing after the other."""
        while True:
            await self._answer(await self._asked.get())

    def _may_ask(self, frame: str | bytes) -> bool:
        cost = 1 + len(frame or b"") // COST_BYTES  # an empty one may come as None
        return self._allowance.spend(cost) and not self._asked.full()

    async def _tell_news(self) -> None:
        news, gone = self._desk.feed.take(self._subscriber)
        if not news and not gone:
            await _send({"heartbeat": True})
        if self._batches and len(news) > 1:
            await websocket.send(_array(news).decode())
        else:
            for snapshot in news:
                await websocket.send(snapshot.data.decode())
        for job in gone:
            await _send_error(no_such_job(), {"job": job})

    async def _answer(self, frame: str | bytes) -> None:
        about: dict[str, str] = {}
        try:
            said = _read(frame)
            about = _about(said)
            await self._do(fitted(said, Message))
        except Problem as problem:
            await _send_error(problem, about)
        except RedisError:
            await _send_error(unavailable(), about)

    async def _do(self, message: Message) -> None:
        match message.action:
            case "ping":
                await _send({"pong": True})
            case "start":
                self._check_room()
                job = await self._desk.start(
                    self._visitor, message.backend, message.params
                )
                await self._desk.feed.join(self._subscriber, {job.job: 0})
            case "watch":
                self._check_room()
                job_id = await self._own_job(message)
                await self._desk.feed.join(self._subscriber, {job_id: message.after})
            case "unwatch":
                self._desk.feed.leave(self._subscriber, _named(message))
            case "cancel":
                job_id = await self._own_job(message)
                job = await self._desk.cancel(self._visitor, job_id)
                if job_id not in self._subscriber.follows:
                    await websocket.send(msgspec.json.encode(job).decode())
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


class Allowance:
    """How much a client may still send: a bucket that fills up again."""

    def __init__(self) -> None:
        self._left = float(BURST)
        self._at = time.monotonic()

    def spend(self, cost: int) -> bool:
        """Take some; False where so many are not left."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * PER_SECOND) - cost
        self._at = now
        return self._left >= 0


def _send_at_once(wire: Wire, batches: bool, news: Sequence[Snapshot]) -> bool:
    if batches and len(news) > 1:
        return wire.write(text_frame(_array(news)))
    return wire.write(b"".join(map(_frame, news)))


@lru_cache(maxsize=128)  # many streams are told the same
def _frame(snapshot: Snapshot) -> bytes:
    return text_frame(snapshot.data)


def _array(news: Sequence[Snapshot]) -> bytes:
    return b"[%s]" % b",".join(snapshot.data for snapshot in news)


def _read(frame: str | bytes) -> Any:
    if not isinstance(frame, str):  # an empty binary one comes as None
        raise Problem(400, "not_text", "Send text frames, not binary ones.")
    return parsed(frame)


def _about(said: Any) -> dict[str, str]:
    """What an error frame repeats, so that the client knows what it is about."""
    if not isinstance(said, dict):
        return {}
    parts = {name: said.get(name) for name in ("action", "job", "key")}
    return {name: part for name, part in parts.items() if isinstance(part, str)}


def _named(message: Message) -> str:
    if message.job is None:
        raise Problem(422, "no_job", "Say which job: the message has no `job`.")
    return message.job


async def _close(code: int) -> None:
    """Close and read on: what is left unread would destroy the reason on its way."""
    reading = asyncio.create_task(_read_on())
    try:
        await websocket.close(code)
        await asyncio.sleep(FAREWELL_S)
    finally:
        reading.cancel()


async def _read_on() -> None:
    while True:
        await websocket.receive()


async def _send(frame: dict[str, Any]) -> None:
    await websocket.send(msgspec.json.encode(frame).decode())


async def _send_error(problem: Problem, about: dict[str, str]) -> None:
    error = {"code": problem.code, "message": problem.detail}
    await _send({"error": error, **about})
