"""The numbers that operators see, from real processes, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator

import httpx
import pytest
import websockets
from quart import Quart

from actors import Status
from actors.store import Store
from dev.processes import WEB, Stack, answers, running, wait_for, worker
from dev.redis import embedded, free_port

from .conftest import Serving
from .support import jobs
from .support.scraping import Scrape, scrape
from .support.site import site

ADMIN = "a token for the operators"
TOKENS = {**jobs.TOKENS, ADMIN: "admin"}
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def measured(port: int) -> Iterator[Stack]:
    """A web process, and a worker of two processes, with the ports of their metrics."""
    environ = {"PROGROCK_METRICS": str(port), "PROGROCK_LIMITS": "off"}
    with embedded() as server, running(server.url, 2, **environ) as stack:
        yield stack


def ports(stack: Stack) -> dict[int, str]:
    """The port at which each process shows its numbers, and its kind."""
    lines = [*stack.web.log().splitlines(), *stack.worker.log().splitlines()]
    said = [line for line in lines if "metrics of this process" in line]
    found = [int(line.rstrip(".").rpartition(" ")[2]) for line in said]
    return {each: kind(scrape(f"http://127.0.0.1:{each}/metrics")) for each in found}


def kind(seen: Scrape) -> str:
    kinds = ("web", "worker")
    return next(k for k in kinds if seen.value("progrock_process", kind=k))


def of_all(stack: Stack, which: str) -> list[Scrape]:
    """A scrape of each process of a kind."""
    found = ports(stack)
    mine = [port for port in found if found[port] == which]
    return [scrape(f"http://127.0.0.1:{each}/metrics") for each in mine]


def total(scrapes: list[Scrape], name: str, **labels: str) -> float:
    return sum(each.value(name, **labels) for each in scrapes)


def test_each_process_has_a_port_of_its_own(measured: Stack, port: int) -> None:
    found = ports(measured)

    assert sorted(found.values()) == ["web", "worker", "worker"]
    assert port in found


async def test_a_job_is_counted_on_its_way(measured: Stack) -> None:
    async with websockets.connect(measured.socket_url) as client:
        order = {"action": "start", "backend": "counter", "params": {"seconds": 2}}
        await client.send(json.dumps(order))
        frames = 0
        async for text in client:
            said = json.loads(text)
            frames += "job" in said
            if said.get("finished"):
                break
        [during] = await asyncio.to_thread(of_all, measured, "web")
    workers = await asyncio.to_thread(of_all, measured, "worker")

    polls = total(workers, "progrock_polls_total", backend="counter", outcome="ok")
    assert polls >= 8
    name = "progrock_poll_lateness_seconds_count"
    assert total(workers, name, backend="counter") == polls
    for call in ("start", "poll"):
        name = "progrock_backend_call_seconds_count"
        assert total(workers, name, backend="counter", call=call) >= 1
    ended = {"backend": "counter", "status": "succeeded"}
    assert total(workers, "progrock_jobs_ended_total", **ended) == 1
    assert total(workers, "progrock_backend_up", backend="counter") >= 1
    assert total(workers, "progrock_beats_total", outcome="ok") >= 8
    assert total(workers, "progrock_script_seconds_count", script="advance") >= 8
    assert total(workers, "progrock_loop_lag_seconds_count") > 10
    assert during.value("progrock_jobs_created_total", backend="counter") == 1
    assert during.value("progrock_streams", transport="websocket") == 1
    assert during.value("progrock_streams_opened_total", transport="websocket") == 1
    assert during.value("progrock_frames_sent_total", transport="websocket") == frames
    assert during.value("progrock_feed_up") == 1
    assert during.value("progrock_resyncs_total") >= 1
    assert during.value("progrock_frame_age_seconds_count") >= 1
    assert during.share_below("progrock_frame_age_seconds", "1") > 0.8
    assert during.value("process_resident_memory_bytes") > 10_000_000


async def test_the_end_of_a_stopped_job_is_counted_with_the_time_it_took(
    measured: Stack,
) -> None:
    async with httpx.AsyncClient(base_url=measured.url, trust_env=False) as client:
        order = {"backend": "counter", "params": {"seconds": 60}}
        job = (await client.post("/jobs", json=order)).json()["job"]
        async with client.stream("GET", f"/events?job={job}") as events:
            async for line in events.aiter_lines():
                if '"status":"running"' in line:
                    await client.delete(f"/jobs/{job}")
    workers = await asyncio.to_thread(of_all, measured, "worker")
    [web] = await asyncio.to_thread(of_all, measured, "web")

    cancelled = {"backend": "counter", "status": "cancelled"}
    assert total(workers, "progrock_jobs_ended_total", **cancelled) == 1
    assert total(workers, "progrock_cancel_seconds_count", backend="counter") == 1
    assert total(workers, "progrock_cancel_seconds_sum", backend="counter") < 10
    finished = {"transport": "sse", "reason": "finished"}
    assert web.value("progrock_streams_closed_total", **finished) == 1
    assert web.value("progrock_streams", transport="sse") == 0


def test_a_process_without_a_free_port_goes_on_without_metrics(
    redis_url: str,
) -> None:
    last = 65535
    with (
        socket.create_server(("0.0.0.0", last)),
        Stack(redis_url, PROGROCK_METRICS=str(last)) as stack,
    ):
        web = stack.start(WEB)
        wait_for(lambda: answers(f"{stack.url}/health/ready"), web)

        assert "PROGROCK_METRICS: there are no metrics" in web.log()


async def test_jobs_are_counted_by_backend_and_status(
    serving: Serving, store: Store
) -> None:
    running_job = await jobs.run(store, await jobs.add(store), 40)
    await jobs.add(store)
    await jobs.add(store, backend="render", params={"text": '"status":"paused"'})
    await jobs.end(store, await jobs.add(store))

    async with serving(api_tokens=TOKENS, metrics="token") as app:
        seen = await scraped(app)
        assert running_job.status is Status.RUNNING

    def count(**labels: str) -> float:
        return seen.value("progrock_jobs", **labels)

    assert count(backend="counter", status="running") == 1
    assert count(backend="counter", status="queued") == 1
    assert count(backend="render", status="queued") == 1
    assert count() == 3


async def scraped(app: Quart) -> Scrape:
    answer = await app.test_client().get("/metrics", headers=HEADERS)
    assert answer.status_code == 200
    return Scrape(await answer.get_data(as_text=True))


@pytest.mark.parametrize(
    ("metrics", "headers", "status"),
    [
        ("token", HEADERS, 200),
        ("token", jobs.ALICE, 403),
        ("token", {}, 401),
        (None, HEADERS, 404),
    ],
    ids=["admin", "another token", "nobody", "off"],
)
async def test_metrics_on_the_main_port_are_for_the_admins_token(
    serving: Serving, metrics: str | None, headers: dict[str, str], status: int
) -> None:
    async with serving(api_tokens=TOKENS, metrics=metrics) as app:
        answer = await app.test_client().get("/metrics", headers=headers)

    assert answer.status_code == status


async def test_openmetrics_is_spoken_to_those_that_ask_for_it(serving: Serving) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    async with serving(api_tokens=TOKENS, metrics="token") as app:
        answer = await app.test_client().get("/metrics", headers={**HEADERS, **accept})
        text = await answer.get_data(as_text=True)

    assert answer.content_type.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


def test_a_token_for_the_metrics_must_be_there(redis_url: str) -> None:
    with Stack(redis_url, PROGROCK_METRICS="token") as stack:
        web = stack.start(WEB)

        assert web.wait() == 1
        assert "PROGROCK_API_TOKENS" in web.log()


async def test_metrics_are_shown_without_redis_too() -> None:
    async with site() as ours:
        port = free_port()
        await ours.serve(PROGROCK_METRICS=str(port))
        ours.redis.kill()

        seen = await asyncio.to_thread(scrape, f"http://127.0.0.1:{port}/metrics")
        assert "progrock_jobs" not in seen.names
        assert "progrock_streams" in seen.names


def test_a_worker_shows_nothing_if_nobody_asked(redis_url: str) -> None:
    with embedded() as server, Stack(server.url) as stack:
        process = stack.start(worker())
        wait_for(lambda: "ready for action" in process.log(), process)

        assert "metrics" not in process.log()
