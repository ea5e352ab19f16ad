"""The names that we replace in libraries, or reach into: all of them, in one list."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

import web.__main__  # noqa: F401  # importing it notes the names
from actors import Settings
from actors.libraries import RELIED_ON, LibraryChangedError, rely_on, replace
from dev.processes import ROOT
from web.server import patch

AIOHTTP = {
    "aiohttp.client.ClientSession": {"_retry_connection"},
    "aiohttp.client_proto.ResponseHandler": {
        *("feed_data", "is_connected", "pause_reading", "resume_reading"),
        *("set_exception", "set_response_params", "should_close", "transport"),
    },
    "aiohttp.connector.Connection": {"_protocol"},
    "aiohttp.connector.TCPConnector": {
        *("_acquired", "_conns", "_factory", "_keepalive_timeout", "_release"),
        "connect",
    },
}
DRAMATIQ = {
    "dramatiq.asyncio.EventLoopThread": {"loop", "run_coroutine", "start"},
    "dramatiq.brokers.redis.RedisBroker": {
        *("_dispatch", "broker_id", "client", "consume", "consumer_class"),
        "namespace",
    },
    "dramatiq.brokers.redis._RedisConsumer": {
        *("broker", "message_cache", "outstanding_message_count", "prefetch"),
        *("queue_name", "queued_message_ids", "timeout"),
    },
    "dramatiq.worker": {"CONSUMER_RESTART_DELAY_SECS"},
    "dramatiq.worker.Worker": {"consumers", "workers"},
}
REDIS = {
    "redis.client.Redis": {"connection_pool"},
    "redis.connection.Connection": {"can_read", "read_response", "send_command"},
}
HYPERCORN = {
    "hypercorn.asyncio.run": {"TCPServer"},
    "hypercorn.asyncio.task_group.TaskGroup": {"spawn", "spawn_app"},
    "hypercorn.asyncio.tcp_server": {"TaskGroup"},
    "hypercorn.asyncio.tcp_server.TCPServer": {
        *("_close", "_read_data", "idle_task", "protocol", "protocol_send", "run"),
        *("state", "writer"),
    },
    "hypercorn.asyncio.worker_context.WorkerContext": {"event_class"},
    "hypercorn.config.Config": {"create_sockets"},
    "hypercorn.config.Sockets": {"insecure_sockets"},
    "hypercorn.protocol.h11": {"H11WSConnection", "WSStream"},
    "hypercorn.protocol.h11.H11WSConnection": {"h11_connection", "send"},
    "hypercorn.protocol.h2": {"WSStream"},
    "hypercorn.protocol.ws_stream": {
        *("Connection", "WebsocketBuffer", "server_extensions_handshake"),
    },
    "hypercorn.protocol.ws_stream.WSStream": {
        *("_handle_events", "_send_wsproto_event", "app_send", "buffer", "closed"),
        *("connection", "context", "handle", "handshake", "send", "state"),
        *("stream_id", "task_group"),
    },
    "hypercorn.protocol.ws_stream.WebsocketBuffer": {"clear", "extend", "length"},
}
WSPROTO = {"wsproto.connection.Connection": {"events", "state"}}


def test_the_list_is_whole() -> None:
    patch.apply()
    listed = {
        f"{owner}.{name}"
        for library in (AIOHTTP, DRAMATIQ, REDIS, HYPERCORN, WSPROTO)
        for owner, names in library.items()
        for name in names
    }

    # The first broker that is connected notes the one in dramatiq.worker.
    noted = RELIED_ON | {"dramatiq.worker.CONSUMER_RESTART_DELAY_SECS"}
    assert noted == listed


def test_a_name_that_is_gone_ends_the_start() -> None:
    module = SimpleNamespace(__module__="hypercorn.protocol", __qualname__="h11")

    with pytest.raises(LibraryChangedError, match=r"hypercorn.*WSStream"):
        replace(module, "WSStream", object)
    assert not hasattr(module, "WSStream")


def test_an_attribute_that_only_instances_have_counts() -> None:
    class Parent:
        def __init__(self) -> None:
            self.there = 1

    class Child(Parent):
        pass

    before = set(RELIED_ON)
    rely_on(Child, "there")
    with pytest.raises(LibraryChangedError):
        rely_on(Child, "gone")
    RELIED_ON.clear()
    RELIED_ON.update(before)


@pytest.mark.parametrize("command", ["import actors, web", "import web.__main__"])
def test_importing_does_nothing(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", command],
        env={},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_settings_are_what_the_environment_says_when_a_process_starts() -> None:
    assert Settings.read({"REDIS_URL": "redis://here"}).redis_url == "redis://here"
