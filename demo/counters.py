"""`/counters`: thousands of counters at once, with faults on request."""

import asyncio
import secrets
from heapq import heappop, heappush
from time import monotonic

from aiohttp import web

from .answers import Refusal, accepted, answer, read_order
from .counter import Counter, Order
from .register import Register

MAX_IDS = 500
MAX_ENDED = 100_000
MAX_ENDED_S = 3600


class Counters:
    def __init__(self) -> None:
        self._register = Register[Counter](max_ended=MAX_ENDED, max_ended_s=MAX_ENDED_S)
        self._endings: list[tuple[float, str]] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/counters", self.start),
            web.get("/counters", self.show_many),
            web.get("/counters/{id}", self.show),
            web.delete("/counters/{id}", self.stop),
        ]

    async def start(self, request: web.Request) -> web.Response:
        order = await read_order(request, Order)
        key = request.headers.get("Idempotency-Key")
        counter = self._register.get_by_key(key) or self._add(order, key)
        return accepted(counter.status(monotonic()), f"/counters/{counter.id}")

    async def show(self, request: web.Request) -> web.Response:
        counter = self._find(request)
        await _suffer_faults(counter)
        return answer(counter.status(monotonic()))

    async def show_many(self, request: web.Request) -> web.Response:
        ids = _ids_asked_for(request)
        known = [counter for id in ids if (counter := self._register.get(id))]
        for counter in known:
            await _suffer_faults(counter)
        return answer(
            {
                "counters": [counter.status(monotonic()) for counter in known],
                "unknown": [id for id in ids if not self._register.get(id)],
            }
        )

    async def stop(self, request: web.Request) -> web.Response:
        counter, now = self._find(request), monotonic()
        if counter.ended(now):
            return answer(counter.status(now))
        counter.stop(now)
        self._expect_end(counter)
        return answer(counter.status(now), 202)

    def _find(self, request: web.Request) -> Counter:
        counter = self._register.get(request.match_info["id"])
        if counter is None:
            raise Refusal(404, "unknown_counter", "There is no such counter.")
        return counter

    def _add(self, order: Order, key: str | None) -> Counter:
        counter = Counter(secrets.token_hex(8), order, key, monotonic())
        self._register.add(counter)
        self._expect_end(counter)
        self._drop_old()
        return counter

    def _expect_end(self, counter: Counter) -> None:
        heappush(self._endings, (counter.ends_at, counter.id))

    def _drop_old(self) -> None:
        now = monotonic()
        while self._endings and self._endings[0][0] <= now:
            ended_at, id = heappop(self._endings)
            counter = self._register.get(id)
            # A stopped counter is in the heap twice; only its real end counts.
            if counter and counter.ends_at == ended_at:
                self._register.note_end(counter, ended_at)
        self._register.drop_old(now)


async def _suffer_faults(counter: Counter) -> None:
    counter.status_calls += 1
    if counter.drops_call():
        raise _dropped_call(counter.order.retry_after)
    if counter.hangs(monotonic()):
        await asyncio.get_running_loop().create_future()


def _dropped_call(retry_after_s: int | None) -> Refusal:
    if retry_after_s is None:
        return Refusal(500, "flaky", "This call failed, as was asked for.")
    headers = {"Retry-After": str(retry_after_s)}
    return Refusal(503, "busy", "Ask again later, as was asked for.", headers)


def _ids_asked_for(request: web.Request) -> list[str]:
    ids = [id for id in request.query.get("ids", "").split(",") if id]
    if 1 <= len(ids) <= MAX_IDS:
        return ids
    raise Refusal(422, "out_of_range", f"`ids` must name 1 to {MAX_IDS} counters.")
