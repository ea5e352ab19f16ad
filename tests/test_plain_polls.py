"""Polls that are plain GETs: how they use connections, against little raw servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from actors import Action
from actors.backends import Handle, Report
from actors.backends.http import HttpBackend

from .support.oven import SECRET, Backend, Oven, refusal, report

BODY = b'{"state": "baking", "done": 7}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
STALE = ANSWER.replace(b"7", b"1")

Write = Callable[[bytes], None]
Answering = Callable[[int, int, Write], Awaitable[bool]]


@dataclass
class Raw:
    """A server that writes bytes, and counts connections and requests."""

    url: str = ""
    opened: int = 0
    open: int = 0
    most_open: int = 0
    heads: list[bytes] = field(default_factory=list)


@asynccontextmanager
async def raw(answer: Answering, host: str = "127.0.0.1") -> AsyncIterator[Raw]:
    """`answer(connection, request, write)`, both counted from 1; False closes it."""
    server = Raw()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.opened += 1
        server.open += 1
        server.most_open = max(server.most_open, server.open)
        connection, request = server.opened, 0
        try:
            while True:
                server.heads.append(await reader.readuntil(b"\r\n\r\n"))
                request += 1
                if not await answer(connection, request, writer.write):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            server.open -= 1
            writer.close()

    listening = await asyncio.start_server(serve, host, 0)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    async with listening:
        yield server


async def at_once(connection: int, request: int, write: Write) -> bool:
    write(ANSWER)
    return True


async def reports(backend: HttpBackend, number: int) -> list[object]:
    asked = (report(backend, str(each)) for each in range(number))
    return list(await asyncio.gather(*asked))


async def test_polls_one_after_another_share_a_connection(backend: Backend) -> None:
    async with raw(at_once) as server:
        ours = backend(url=server.url)
        for _ in range(5):
            assert isinstance(await report(ours), Report)

        assert (server.opened, len(server.heads)) == (1, 5)


async def test_polls_and_other_calls_share_their_connections(
    oven: Oven, backend: Backend
) -> None:
    peers = []
    oven.says({"state": "baking"})
    ours = backend()

    await report(ours)
    await ours.send(Action.CANCEL, Handle("7"))
    await report(ours)

    for request in oven.asked:
        assert request.transport
        peers.append(request.transport.get_extra_info("peername"))
    assert len(set(peers)) == 1


async def test_a_poll_has_the_headers_of_every_other_call(
    oven: Oven, backend: Backend
) -> None:
    oven.says({"state": "baking"})
    ours = backend(result={"request": "GET /loaves/{ref}/photo"})

    await report(ours)
    async with ours.result(Handle("7")):
        pass

    poll, other = (request.raw_headers for request in oven.asked)
    assert poll == other
    assert (b"Authorization", f"Bearer {SECRET}".encode()) in poll


async def test_no_more_polls_are_under_way_than_the_recipe_allows(
    backend: Backend,
) -> None:
    async def after_a_turn(connection: int, request: int, write: Write) -> bool:
        await asyncio.sleep(0.01)
        write(ANSWER)
        return True

    async with raw(after_a_turn) as server:
        ours = backend(url=server.url, concurrency=2)
        told = await reports(ours, 9)

        assert all(isinstance(each, Report) for each in told)
        assert server.most_open <= 2


async def test_a_kept_connection_that_was_just_closed_is_asked_again(
    backend: Backend,
) -> None:
    async def once_each(connection: int, request: int, write: Write) -> bool:
        if request == 1:
            write(ANSWER)
        return request == 1

    async with raw(once_each) as server:
        ours = backend(url=server.url)
        for _ in range(3):
            assert isinstance(await report(ours), Report)

        assert server.opened == 3


async def test_a_server_that_closes_every_connection_is_not_asked_for_ever(
    backend: Backend,
) -> None:
    async def never(connection: int, request: int, write: Write) -> bool:
        return False

    async with raw(never) as server:
        error = await refusal(backend(url=server.url))

        assert (error.code, error.permanent) == ("unreachable", False)
        assert len(server.heads) == 2


@pytest.mark.parametrize("is_late", [False, True])
async def test_what_nobody_asked_for_is_not_taken_for_an_answer(
    backend: Backend, is_late: bool
) -> None:
    is_heard, is_said = asyncio.Event(), asyncio.Event()

    async def one_too_many(connection: int, request: int, write: Write) -> bool:
        write(ANSWER)
        if connection == 1:
            if is_late:
                await is_heard.wait()
            write(STALE)
            is_said.set()
        return True

    async with raw(one_too_many) as server:
        ours = backend(url=server.url)
        told = [await report(ours)]
        is_heard.set()
        await is_said.wait()
        for _ in range(9):  # both ends are on this loop, which takes it in so
            await asyncio.sleep(0)
        told += [await report(ours), await report(ours)]

        assert [each.done for each in told if isinstance(each, Report)] == [7, 7, 7]
        assert server.opened == 2


@pytest.mark.parametrize("parts", [1, 2, 9])
async def test_an_answer_may_come_in_parts_and_after_early_hints(
    backend: Backend, parts: int
) -> None:
    text = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + ANSWER
    size = -(-len(text) // parts)

    async def in_parts(connection: int, request: int, write: Write) -> bool:
        for start in range(0, len(text), size):
            write(text[start : start + size])
            await asyncio.sleep(0.005)
        return True

    async with raw(in_parts) as server:
        ours = backend(url=server.url)
        for _ in range(2):
            assert isinstance(await report(ours), Report)

        assert server.opened == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "unreachable"),
        (ANSWER[:-1], "timeout"),
        (b"HTTP/1.1 200", "timeout"),
        (b"", "timeout"),
    ],
)
async def test_an_answer_that_is_none_is_a_miss_and_its_connection_is_closed(
    backend: Backend, answer: bytes, code: str
) -> None:
    async def badly_at_first(connection: int, request: int, write: Write) -> bool:
        write(answer if connection == 1 else ANSWER)
        return True

    async with raw(badly_at_first) as server:
        ours = backend(url=server.url, timeout_s=0.3)

        assert (await refusal(ours)).code == code
        assert isinstance(await report(ours), Report)
        assert server.opened == 2


async def test_a_body_may_end_with_its_connection(backend: Backend) -> None:
    async def to_the_end(connection: int, request: int, write: Write) -> bool:
        write(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)
        return False

    async with raw(to_the_end) as server:
        assert isinstance(await report(backend(url=server.url)), Report)


async def test_polls_that_take_too_long_hurt_no_other(backend: Backend) -> None:
    async def every_other(connection: int, request: int, write: Write) -> bool:
        if connection % 2:
            write(ANSWER)
        return True

    async with raw(every_other) as server:
        ours = backend(url=server.url, timeout_s=0.3)
        told = await reports(ours, 6)

        assert sum(isinstance(each, Report) for each in told) == 3
        assert all(isinstance(each, Report) for each in await reports(ours, 3))


async def test_a_poll_that_is_given_up_leaves_its_place_to_another(
    backend: Backend,
) -> None:
    async def not_at_first(connection: int, request: int, write: Write) -> bool:
        if connection > 1:
            write(ANSWER)
        return True

    async with raw(not_at_first) as server:
        ours = backend(url=server.url, concurrency=1)
        given_up = asyncio.create_task(report(ours))
        async with asyncio.timeout(5):
            while not server.heads:
                await asyncio.sleep(0.001)
        given_up.cancel()

        assert isinstance(await report(ours), Report)


async def test_a_service_may_have_an_address_of_ipv6(backend: Backend) -> None:
    async with raw(at_once, "::1") as server:
        assert isinstance(await report(backend(url=server.url)), Report)

        host = server.url.removeprefix("http://").encode()
        assert b"\r\nHost: " + host + b"\r\n" in server.heads[0]
