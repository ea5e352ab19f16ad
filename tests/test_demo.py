"""The demo service, as a stranger meets it: over HTTP and by signals."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import psutil
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
SMALL = {"width": 60, "height": 40, "iterations": 200}
ENDLESS = {"width": 2000, "height": 2000, "iterations": 3000, "zoom": 1e6}
ENDLESS |= {"centre_x": 0.0, "centre_y": 0.0}
COMMAND = [sys.executable, "-m", "demo"]


@dataclass
class Demo:
    process: psutil.Process
    http: httpx.Client
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def pool_processes(self) -> list[psutil.Process]:
        children = self.process.children()
        return [child for child in children if "spawn_main" in str(child.cmdline())]

    def start(self, kind: str, **order: Any) -> str:
        return self.http.post(f"/{kind}", json=order).headers["Location"]

    def ask(self, location: str) -> dict[str, Any]:
        return self.http.get(location).raise_for_status().json()

    def wait_for(self, location: str, state: str) -> dict[str, Any]:
        return until(lambda: (now := self.ask(location))["state"] == state and now)


def until(question: Callable[[], Any], deadline_s: float = 10) -> Any:
    end = monotonic() + deadline_s
    while not (answer := question()):
        assert monotonic() < end, "waited in vain"
        sleep(0.02)
    return answer


def environment(**settings: str) -> dict[str, str]:
    return os.environ | {"DEMO_PORT": "0", "DEMO_PROCESSES": "1"} | settings


@contextmanager
def running_demo(log_path: Path, **settings: str) -> Iterator[Demo]:
    with log_path.open("w") as log:
        popen = subprocess.Popen(
            COMMAND,
            cwd=ROOT,
            env=environment(**settings),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        line = until(lambda: re.search(r"listens on (.+)\.\n", log_path.read_text()))
        with httpx.Client(base_url=line[1], timeout=5) as http:
            yield Demo(psutil.Process(popen.pid), http, log_path)
    finally:
        popen.terminate()
        popen.wait(5)


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def call_that_hangs(demo: Demo) -> Iterator[None]:
    location = demo.start("counters", hang_at=0)
    url = demo.http.base_url
    with socket.create_connection((url.host, url.port)) as connection:
        connection.sendall(f"GET {location} HTTP/1.1\r\nHost: demo\r\n\r\n".encode())
        yield


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with running_demo(tmp_path_factory.mktemp("demo") / "log") as demo:
        yield demo


@pytest.fixture
def own_demo(tmp_path: Path) -> Iterator[Demo]:
    with running_demo(tmp_path / "log") as demo:
        yield demo


def test_it_says_what_it_is(demo: Demo) -> None:
    overview = demo.ask("/")
    assert overview["service"] == "demo"
    assert "POST /renders" in overview["endpoints"]
    assert demo.http.get("/health").status_code == 200


@pytest.mark.parametrize("kind", ["renders", "counters"])
def test_an_order_is_accepted_with_a_place_to_ask(demo: Demo, kind: str) -> None:
    answer = demo.http.post(f"/{kind}")
    location = answer.headers["Location"]
    assert answer.status_code == 202
    assert answer.headers["Retry-After"] == "1"
    assert location == f"/{kind}/{answer.json()['id']}"
    assert answer.json()["status_calls"] == 0
    assert demo.http.delete(location).status_code == 202


@pytest.mark.parametrize("kind", ["renders", "counters"])
def test_the_same_idempotency_key_is_the_same_work(demo: Demo, kind: str) -> None:
    def order(key: str) -> str:
        answer = demo.http.post(f"/{kind}", headers={"Idempotency-Key": key})
        assert answer.status_code == 202
        return answer.headers["Location"]

    assert order("first") == order("first") != order("second")
    demo.http.delete(order("first"))
    demo.http.delete(order("second"))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/renders", b'{"width": 15}', 422),
        ("/renders", b'{"height": 100000}', 422),
        ("/renders", b'{"iterations": 0}', 422),
        ("/renders", b'{"zoom": "near"}', 422),
        ("/renders", b'{"colour": "red"}', 422),
        ("/renders", b'{"width": ', 400),
        ("/renders", b"\xff", 400),
        ("/renders", b" " * 100_000, 413),
        ("/counters", b"[]", 422),
        ("/counters", b'{"total": 0}', 422),
        ("/counters", b'{"seconds": 4000}', 422),
        ("/counters", b'{"flaky": 1.5}', 422),
        ("/counters", b'{"total": 10, "fail_at": 11}', 422),
        ("/counters", b'{"total": 10, "hang_at": 11}', 422),
        ("/counters", b"counter", 400),
        ("/counters", b" " * 100_000, 413),
    ],
)
def test_a_bad_order_is_refused(
    demo: Demo, path: str, body: bytes, status: int
) -> None:
    answer = demo.http.post(path, content=body)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    "path", ["/renders/nobody", "/renders/nobody/image.png", "/counters/nobody"]
)
def test_what_nobody_ordered_is_unknown(demo: Demo, path: str) -> None:
    answer = demo.http.get(path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"].startswith("unknown")


def test_a_render_ends_with_a_picture(demo: Demo) -> None:
    location = demo.start("renders", **SMALL)
    assert demo.ask(location)["state"] in ("waiting", "rendering", "done")

    done = demo.wait_for(location, "done")
    assert done["rows_done"] == done["rows_total"] == SMALL["height"]
    assert done["message"] == "row 40 of 40"
    assert done["error"] is None

    image = demo.http.get(done["image"])
    assert image.headers["Content-Type"] == "image/png"
    picture = Image.open(BytesIO(image.content))
    assert picture.size == (SMALL["width"], SMALL["height"])
    assert len(picture.getcolors(10_000) or []) > 500


def test_a_render_counts_its_status_calls(demo: Demo) -> None:
    location = demo.start("renders", **SMALL)
    assert [demo.ask(location)["status_calls"] for _ in range(3)] == [1, 2, 3]


def test_renders_take_turns(demo: Demo) -> None:
    endless = [demo.start("renders", **ENDLESS) for _ in range(2)]
    demo.wait_for(demo.start("renders", **SMALL), "done")
    for location in endless:
        assert demo.wait_for(location, "rendering")["rows_done"] > 0
        demo.http.delete(location)


def test_there_is_no_picture_before_the_end(demo: Demo) -> None:
    location = demo.start("renders", **ENDLESS)
    answer = demo.http.get(f"{location}/image.png")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "no_image"
    demo.http.delete(location)


def test_a_stopped_render_stops_computing(demo: Demo) -> None:
    location = demo.start("renders", **ENDLESS)
    demo.wait_for(location, "rendering")
    (worker,) = demo.pool_processes()

    answer = demo.http.delete(location)
    assert answer.status_code == 202
    stopped = demo.wait_for(location, "stopped")
    until(lambda: worker.cpu_percent(interval=0.2) == 0, deadline_s=2)
    assert demo.ask(location)["rows_done"] == stopped["rows_done"]

    again = demo.http.delete(location)
    assert again.status_code == 200
    assert again.json()["state"] == "stopped"


def test_a_render_that_has_ended_cannot_be_stopped(demo: Demo) -> None:
    location = demo.start("renders", **SMALL)
    demo.wait_for(location, "done")
    answer = demo.http.delete(location)
    assert answer.status_code == 200
    assert answer.json()["state"] == "done"


def test_a_render_whose_process_is_killed_fails_and_the_next_one_does_not(
    demo: Demo,
) -> None:
    location = demo.start("renders", **ENDLESS)
    demo.wait_for(location, "rendering")
    (worker,) = demo.pool_processes()
    worker.kill()

    failed = demo.wait_for(location, "failed")
    assert failed["error"] == "the process that drew the picture died"
    assert failed["image"] is None
    demo.wait_for(demo.start("renders", **SMALL), "done")


def test_the_oldest_of_many_ended_renders_is_dropped(demo: Demo) -> None:
    first, *others = [demo.start("renders", **ENDLESS) for _ in range(201)]
    for location in (first, *others):
        demo.http.delete(location)
    assert until(lambda: demo.http.get(first).status_code == 404)
    assert demo.ask(others[0])["state"] == "stopped"


def test_a_counter_counts_to_its_total(demo: Demo) -> None:
    location = demo.start("counters", total=50, seconds=1)
    early = demo.ask(location)
    assert early["state"] == "counting"
    assert early["total"] == 50
    assert early["message"] == f"{early['count']} of 50"

    late = demo.wait_for(location, "complete")
    assert late["count"] == 50
    assert late["error"] is None
    assert late["status_calls"] > early["status_calls"] == 1


def test_a_counter_ends_while_nobody_asks(demo: Demo) -> None:
    unwatched, watched = (demo.start("counters", seconds=0.2) for _ in range(2))
    demo.wait_for(watched, "complete")
    answer = demo.http.delete(unwatched)
    assert answer.status_code == 200
    assert answer.json()["state"] == "complete"
    assert answer.json()["status_calls"] == 0


def test_a_counter_can_be_stopped(demo: Demo) -> None:
    location = demo.start("counters", total=1_000_000)
    until(lambda: demo.ask(location)["count"] > 0)

    stopped = demo.http.delete(location)
    assert stopped.status_code == 202
    assert stopped.json()["state"] == "stopped"
    assert 0 < stopped.json()["count"] < 1_000_000
    assert demo.ask(location)["count"] == stopped.json()["count"]

    again = demo.http.delete(location)
    assert again.status_code == 200
    assert again.json()["state"] == "stopped"


def test_a_counter_can_fail(demo: Demo) -> None:
    broken = demo.wait_for(demo.start("counters", seconds=0.5, fail_at=20), "broken")
    assert broken["count"] == 20
    assert broken["error"] == "gave up at 20"


def test_a_counter_can_hang_until_it_is_stopped(demo: Demo) -> None:
    location = demo.start("counters", seconds=1000, hang_at=0)
    with pytest.raises(httpx.ReadTimeout):
        demo.http.get(location, timeout=0.2)
    demo.http.delete(location)
    assert demo.ask(location)["state"] == "stopped"


def test_a_call_that_hangs_ends_with_its_caller(demo: Demo) -> None:
    location = demo.start("counters", seconds=1000, hang_at=0)
    before = len(demo.process.net_connections())
    with httpx.Client(base_url=demo.http.base_url) as impatient:
        for _ in range(5):
            with pytest.raises(httpx.ReadTimeout):
                impatient.get(location, timeout=0.05)
    until(lambda: len(demo.process.net_connections()) <= before)


def test_a_counter_can_be_flaky(demo: Demo) -> None:
    location = demo.start("counters", seconds=1000, flaky=0.5)
    statuses = [demo.http.get(location).status_code for _ in range(100)]
    assert set(statuses) == {200, 500}
    assert 20 <= statuses.count(500) <= 80


def test_a_flaky_counter_can_say_when_to_come_back(demo: Demo) -> None:
    location = demo.start("counters", flaky=1, retry_after=7)
    answer = demo.http.get(location)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "7"
    assert answer.json()["error"]["code"] == "busy"


def test_a_counter_can_be_silent(demo: Demo) -> None:
    location = demo.start("counters", seconds=0.3, silent=True)
    silent = demo.ask(location)
    assert set(silent) == {"id", "state", "message", "error", "status_calls"}
    assert silent["message"] is None
    demo.wait_for(location, "complete")


def test_a_counter_can_go_backwards(demo: Demo) -> None:
    location = demo.start("counters", total=1_000_000, seconds=100, backwards=True)
    until(lambda: demo.ask(location)["count"] > 0)
    counts = [demo.ask(location)["count"] for _ in range(6)]
    assert counts != sorted(counts)


def test_a_counter_that_is_complete_stays_so(demo: Demo) -> None:
    location = demo.start("counters", seconds=0.1, backwards=True)
    demo.wait_for(location, "complete")
    assert [demo.ask(location)["count"] for _ in range(4)] == [100] * 4


def test_many_counters_answer_in_one_call(demo: Demo) -> None:
    ids = [demo.start("counters").split("/")[-1] for _ in range(3)]
    bulk = demo.ask(f"/counters?ids={','.join([*ids, 'nobody'])}")
    assert [counter["id"] for counter in bulk["counters"]] == ids
    assert [counter["status_calls"] for counter in bulk["counters"]] == [1, 1, 1]
    assert bulk["unknown"] == ["nobody"]


def test_five_hundred_counters_answer_in_one_call(demo: Demo) -> None:
    ids = [demo.start("counters").split("/")[-1] for _ in range(500)]
    bulk = demo.http.get("/counters", params={"ids": ",".join(ids)}).json()
    assert [counter["id"] for counter in bulk["counters"]] == ids


@pytest.mark.parametrize("query", ["", "?ids=", f"?ids={'x,' * 501}"])
def test_a_call_for_no_counters_or_too_many_is_refused(demo: Demo, query: str) -> None:
    assert demo.http.get(f"/counters{query}").status_code == 422


def test_one_counter_spoils_a_call_for_many(demo: Demo) -> None:
    well, flaky, hanging = (
        demo.start("counters", seconds=1000, **fault).split("/")[-1]
        for fault in ({}, {"flaky": 1}, {"hang_at": 0})
    )
    assert demo.http.get(f"/counters?ids={well},{flaky}").status_code == 500
    with pytest.raises(httpx.ReadTimeout):
        demo.http.get(f"/counters?ids={well},{hanging}", timeout=0.2)


def test_each_request_is_one_line_of_the_log(demo: Demo) -> None:
    location = demo.start("counters")
    for _ in range(3):
        demo.ask(location)
    until(lambda: demo.log.count(f"GET {location} 200\n") == 3)


def test_the_access_log_can_be_off(tmp_path: Path) -> None:
    with running_demo(tmp_path / "log", DEMO_ACCESS_LOG="off") as demo:
        demo.ask("/health")
    assert len(demo.log.splitlines()) == 1


@pytest.mark.parametrize("whom", ["process", "group"])
@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_of_it(
    own_demo: Demo, stop_signal: signal.Signals, whom: str
) -> None:
    own_demo.wait_for(own_demo.start("renders", **ENDLESS), "rendering")
    children = own_demo.process.children(recursive=True)

    with call_that_hangs(own_demo):
        send = os.kill if whom == "process" else os.killpg
        send(own_demo.process.pid, stop_signal)
        assert own_demo.process.wait(2) == 0

    until(lambda: all(map(has_ended, children)), deadline_s=2)
    assert "Traceback" not in own_demo.log
    assert "Warning" not in own_demo.log


def test_a_service_that_is_killed_leaves_no_process(own_demo: Demo) -> None:
    own_demo.wait_for(own_demo.start("renders", **ENDLESS), "rendering")
    children = own_demo.process.children(recursive=True)
    own_demo.process.kill()
    until(lambda: all(map(has_ended, children)), deadline_s=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEMO_PORT", "eight"),
        ("DEMO_PORT", "65536"),
        ("DEMO_HOST", "256.0.0.1"),
        ("DEMO_ACCESS_LOG", "maybe"),
        ("DEMO_PROCESSES", "0"),
    ],
)
def test_a_nonsense_setting_stops_it_with_one_line(name: str, value: str) -> None:
    ended = subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(**{name: value}),
        capture_output=True,
        text=True,
        timeout=5,
    )
    assert ended.returncode != 0
    assert len(ended.stderr.splitlines()) == 1
    assert name in ended.stderr
    assert value in ended.stderr
