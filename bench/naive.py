"""The feed's baseline: a simple first version of the handler, on the same Quart.

`python -m bench.naive` serves it with the same Hypercorn. It has one subscription to
Redis and a queue for each stream; it has no snapshots and no owners, and repairs
nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator

import uvloop
from hypercorn.asyncio import serve
from hypercorn.config import Config
from quart import Quart, Response, websocket
from redis.asyncio import Redis

CHANNEL = "naive"

app = Quart(__name__)
queues: set[asyncio.Queue[bytes]] = set()


@app.while_serving
async def listen() -> AsyncGenerator[None, None]:
    async def pass_on() -> None:
        async with Redis.from_url(os.environ["REDIS_URL"]).pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    for queue in queues:
                        queue.put_nowait(message["data"])

    task = asyncio.create_task(pass_on())
    yield
    task.cancel()


@app.websocket("/socket")
async def socket() -> None:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    queues.add(queue)
    try:
        await websocket.send('{"accept":true}')
        while True:
            await websocket.send((await queue.get()).decode())
    finally:
        queues.discard(queue)


@app.get("/events")
async def events() -> Response:
    async def stream() -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        queues.add(queue)
        try:
            yield b": welcome\n\n"
            while True:
                yield b"data: %s\n\n" % await queue.get()
        finally:
            queues.discard(queue)

    response = Response(stream(), content_type="text/event-stream")
    response.timeout = None
    return response


@app.get("/health/ready")
async def ready() -> str:
    return "ready"


async def main() -> None:
    config = Config()
    config.bind = [f"127.0.0.1:{os.environ['PORT']}"]
    config.backlog = 2048
    await serve(app, config)


if __name__ == "__main__":
    uvloop.run(main())
