"""Slow, dead and hostile readers cost little, delay nobody and go in the end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, suppress

import pytest
import redis

from dev.processes import wait_for
from web.server.limits import SILENT_READER_S

from .support import jobs, readers
from .support.readers import Watcher
from .support.site import BEAT_S, Site, Web, site

KIB = 1024
FIN = 0x80
PATIENCE_S = 15
MAX_KEPT = 256 * KIB  # for one stream, of which its unsent past is 64 KiB


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as here:
        yield here


@pytest.fixture
async def web(here: Site) -> Web:
    return await here.serve()


def port_of(reader: socket.socket) -> int:
    port: int = reader.getsockname()[1]
    return port


def assert_on_the_beat(watcher: Watcher) -> None:
    """Nearly no update was later than the one after it was due."""
    late = [gap for gap in watcher.gaps_s if gap > 2 * BEAT_S]
    assert len(late) <= 1 + len(watcher.gaps_s) // 100, late


async def test_readers_who_take_nothing_are_dropped_and_delay_nobody(
    here: Site, web: Web
) -> None:
    job = await jobs.add(here.store)
    watchers = [Watcher(), Watcher()]
    with ExitStack() as opened:
        async with asyncio.TaskGroup() as tasks:
            async with here.moving(job):
                tasks.create_task(watchers[0].watch(web, job.job))
                tasks.create_task(watchers[1].follow(web, job.job))
                await asyncio.to_thread(wait_for, lambda: all(w.told for w in watchers))
                before = web.memory()

                silent = await asyncio.to_thread(_silent, web, job.job, opened)
                sips = [
                    opened.enter_context(readers.events(web, job.job))
                    for _ in range(20)
                ]
                sleeper = opened.enter_context(readers.events(web, job.job))
                sipping = [
                    tasks.create_task(readers.read_slowly(reader, 1, 1))
                    for reader in sips
                ]
                await asyncio.sleep(SILENT_READER_S / 2)  # in which nobody is dropped
                assert silent <= web.peers()
                waking = tasks.create_task(readers.read_slowly(sleeper, 8 * KIB, 0.1))
                await asyncio.to_thread(
                    wait_for,
                    lambda: not silent & web.peers(),
                    timeout_s=SILENT_READER_S / 2 + PATIENCE_S,
                )
                assert web.memory() - before < 220 * MAX_KEPT
                assert "Traceback" not in web.process.log()
            for sip in sipping:
                sip.cancel()

    for watcher in watchers:
        assert watcher.saw_the_end
        assert_on_the_beat(watcher)
    assert b"event: end" in waking.result()


def _silent(web: Web, job: str, opened: ExitStack) -> set[int]:
    """Open streams of both kinds that read nothing; returns their ports."""
    return {
        port_of(opened.enter_context(kind(web, job)))
        for kind in (readers.events, readers.watching)
        for _ in range(100)
    }


async def test_a_flood_is_closed_with_1008(web: Web) -> None:
    before = web.memory()
    with readers.shaken(web) as flood:
        sending = asyncio.create_task(
            asyncio.to_thread(_send_until_refused, flood, _pings())
        )
        code = await asyncio.to_thread(readers.close_code, flood)
        await sending

    assert code == 1008
    assert web.memory() - before < 16 * KIB * KIB
    await asyncio.to_thread(wait_for, lambda: not web.peers(), timeout_s=5)


@pytest.mark.parametrize(
    "said",
    [
        readers.frame(b"", readers.PING),
        readers.frame(b"", readers.PONG),
        readers.frame(b"", readers.FRAGMENT),
    ],
    ids=["ping", "pong", "fragment"],
)
async def test_a_flood_of_what_is_no_message_is_closed_with_1008(
    web: Web, said: bytes
) -> None:
    opening = readers.frame(b"", readers.TEXT & ~FIN)
    with readers.shaken(web) as flood:
        if said[0] == readers.FRAGMENT:
            flood.sendall(opening)
        sending = asyncio.create_task(
            asyncio.to_thread(_send_until_refused, flood, [said * 1000] * 1000)
        )
        code = await asyncio.to_thread(readers.close_code, flood)
        await sending

    assert code == 1008
    await asyncio.to_thread(wait_for, lambda: not web.peers(), timeout_s=5)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (readers.frame(b"\xff"), 1007),
        (readers.frame(b"", 0x80 | 0x3), 1002),
        (readers.frame(b"", readers.TEXT | 0x40), 1002),
        (readers.frame(b"", readers.FRAGMENT), 1002),
        (b"\x81\x00", 1002),
        (readers.frame("€" * (22 * KIB)), 1009),
    ],
    ids=["no UTF-8", "no opcode", "no extension", "no start", "no mask", "too large"],
)
async def test_what_may_not_be_sent_is_closed_with_its_code(
    web: Web, said: bytes, code: int
) -> None:
    with readers.shaken(web) as careless:
        careless.sendall(said)

        assert await asyncio.to_thread(readers.last_words, careless) == (code, b"")


async def test_whoever_cannot_shake_hands_is_told_and_let_go(web: Web) -> None:
    with readers.clumsy(web) as clumsy:
        answer = await asyncio.to_thread(readers.answer, clumsy)

    assert answer.startswith(b"HTTP/1.1 400")


async def test_what_is_said_before_the_handshake_is_answered_waits_for_it(
    here: Site, web: Web
) -> None:
    job = await jobs.end(here.store, await jobs.add(here.store))
    with readers.hasty(web, job.job) as hasty:
        said = b""
        while b'"finished":true' not in said:
            said += await asyncio.to_thread(hasty.recv, 4096)

    assert said.startswith(b"HTTP/1.1 101")


async def test_a_flood_is_noticed_while_redis_is_slow(here: Site, web: Web) -> None:
    watch = readers.frame(json.dumps({"action": "watch", "job": "x" * 22}))
    with redis.Redis.from_url(here.redis.url) as client, readers.shaken(web) as flood:
        client.execute_command("CLIENT", "PAUSE", "4000", "ALL")
        started = time.monotonic()
        sending = asyncio.create_task(
            asyncio.to_thread(_send_until_refused, flood, [watch] * 1000)
        )
        code = await asyncio.to_thread(readers.close_code, flood)
        await sending

    assert code == 1008
    assert time.monotonic() - started < 2


async def test_a_message_of_100_mb_is_closed_with_1009_and_not_kept(web: Web) -> None:
    before = web.memory()
    peak = 0

    def chunks() -> Iterator[bytes]:
        nonlocal peak
        yield readers.frame_head(100 * KIB * KIB)
        for _ in range(1600):
            yield b"x" * 64 * KIB
            peak = max(peak, web.memory())

    with readers.shaken(web) as hostile:
        sending = asyncio.create_task(
            asyncio.to_thread(_send_until_refused, hostile, chunks())
        )
        code = await asyncio.to_thread(readers.close_code, hostile)
        await sending

    assert code == 1009
    assert peak - before < 8 * KIB * KIB


async def test_nothing_follows_the_close_of_a_socket(here: Site, web: Web) -> None:
    """Although the job goes on, and the client is given a second to read why."""
    job = await jobs.add(here.store)
    async with here.moving(job):
        with readers.watching(web, job.job) as hostile:
            hostile.sendall(readers.frame("x" * (64 * KIB + 1)))
            assert await asyncio.to_thread(readers.last_words, hostile) == (1009, b"")


def _send_until_refused(reader: socket.socket, frames: Iterable[bytes]) -> None:
    """Send all that the server takes."""
    with suppress(OSError):
        for each in frames:
            reader.sendall(each)


def _pings() -> Iterator[bytes]:
    ping = readers.frame('{"action": "ping"}')
    for _ in range(200):
        yield ping * 1000


async def test_a_thousand_streams_of_one_visitor_delay_nobody(
    here: Site, web: Web
) -> None:
    job = await jobs.add(here.store)
    watcher = Watcher()
    with ExitStack() as opened:
        async with asyncio.TaskGroup() as tasks, here.moving(job):
            tasks.create_task(watcher.watch(web, job.job))
            await asyncio.to_thread(wait_for, lambda: bool(watcher.told))
            before = web.memory()
            for _ in range(5):
                await asyncio.to_thread(_silent, web, job.job, opened)
            taken = web.memory() - before

    assert watcher.saw_the_end
    assert_on_the_beat(watcher)
    assert taken < 1000 * MAX_KEPT
