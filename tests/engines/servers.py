"""Redis as operators run it: Sentinels with a master and a replica, and a Cluster."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from dev.redis import binary, die_with_parent, free_port

READY_S = 20
SLOTS = 16384
MASTER = "rock"


class Node:
    """One server on a port of its own, with its files in a folder."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self.port = port or free_port()
        self._options = options
        self._folder = folder / str(self.port)
        self._folder.mkdir()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, with the files that it has left."""
        self._process = subprocess.Popen(
            [
                *(binary(), "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--dir", str(self._folder), "--save", "", "--appendonly", "no"),
                *("--loglevel", "warning", *self._options),
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        until(self.answers)

    def ask(self, *command: object) -> object:
        """Send one command."""
        with redis.Redis(
            port=self.port, socket_timeout=2, decode_responses=True
        ) as client:
            return client.execute_command(*command)

    def answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError):
            return False

    def role(self) -> str:
        """Return `master` or `slave`."""
        said = self.ask("ROLE")
        assert isinstance(said, list)
        return str(said[0])

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process
        return self._process


class Servers:
    """Servers that are killed together, however far they have come."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: list[Node] = []

    def add(self, *options: str) -> Node:
        """Start one more."""
        self.nodes.append(Node(self.folder, *options))
        self.nodes[-1].start()
        return self.nodes[-1]

    def end(self) -> None:
        for node in reversed(self.nodes):
            node.kill()


class Sentinels(Servers):
    """A master, a replica, and three that watch over them."""

    def begin(self) -> None:
        self.master = self.add()
        self.replica = self.add("--replicaof", f"127.0.0.1 {self.master.port}")
        until(lambda: _is_synced(self.replica))
        self.watchers = [self._watcher() for _ in range(3)]
        until(lambda: all(map(self._knows_all, self.watchers)))

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.watchers)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def fail_over(self) -> None:
        """Have the Sentinels promote the replica, as operators do."""
        self.watchers[0].ask("SENTINEL", "FAILOVER", MASTER)

    def _watcher(self) -> Node:
        port = free_port()
        config = self.folder / f"sentinel-{port}.conf"
        config.write_text(
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds {MASTER} 700\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
        self.nodes.append(_Sentinel(self.folder, config, port))
        self.nodes[-1].start()
        return self.nodes[-1]

    def _knows_all(self, watcher: Node) -> bool:
        said = watcher.ask("SENTINEL", "MASTER", MASTER)
        assert isinstance(said, dict)
        counts = (said["num-slaves"], said["num-other-sentinels"])
        return tuple(map(int, counts)) == (1, 2)


class _Sentinel(Node):
    def __init__(self, folder: Path, config: Path, port: int) -> None:
        self._config = config
        super().__init__(folder, port=port)

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(binary(), str(self._config), "--sentinel", "--port", str(self.port)),
                *("--bind", "127.0.0.1", "--dir", str(self._folder)),
            ],
            stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        until(self.answers)


class Cluster(Servers):
    """Three masters and three replicas."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.buses: dict[int, str] = {}

    def begin(self, masters: int = 3) -> None:
        for _ in range(masters * 2):
            self.add()
        first = self.nodes[0]
        for number, node in enumerate(self.nodes[:masters]):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            low, high = SLOTS * number // masters, SLOTS * (number + 1) // masters - 1
            node.ask("CLUSTER", "ADDSLOTSRANGE", low, high)
        for node in self.nodes[1:]:
            address = ("127.0.0.1", first.port, self.buses[first.port])
            node.ask("CLUSTER", "MEET", *address)
        until(lambda: all(map(_is_whole, self.nodes)))
        until(lambda: all(_knows(node, len(self.nodes)) for node in self.nodes))
        for number, node in enumerate(self.nodes[masters:]):
            node.ask("CLUSTER", "REPLICATE", self.nodes[number].ask("CLUSTER", "MYID"))
        until(lambda: all(map(_is_synced, self.nodes[masters:])))

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.nodes[:3])
        return f"redis+cluster://{hosts}"

    def add(self, *options: str) -> Node:
        """Start one more node, which belongs to nothing yet."""
        bus = str(free_port())
        node = super().add(
            *("--cluster-enabled", "yes", "--cluster-node-timeout", "1000"),
            *("--cluster-require-full-coverage", "no", "--cluster-port", bus),
            *options,
        )
        self.buses[node.port] = bus
        return node

    def join(self) -> Node:
        """Add a master without slots; returns it when all know it."""
        new, first = self.add(), self.nodes[0]
        address = ("127.0.0.1", first.port, self.buses[first.port])
        new.ask("CLUSTER", "MEET", *address)
        until(lambda: all(_knows(node, len(self.nodes)) for node in self.nodes))
        until(lambda: _is_whole(new))
        return new

    def masters(self) -> list[Node]:
        """Those that are masters now, as far as they answer."""
        living = [node for node in self.nodes if node.answers()]
        return [node for node in living if node.role() == "master"]

    def move_slot(self, slot: int, target: Node) -> None:
        """Move a slot with its keys to another master, as redis-cli does."""
        [source] = [node for node in self.masters() if _has_slot(node, slot)]
        source_id = source.ask("CLUSTER", "MYID")
        target_id = target.ask("CLUSTER", "MYID")
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 100):
            assert isinstance(keys, list)
            address = ("127.0.0.1", target.port, "", 0, 5000)
            source.ask("MIGRATE", *address, "REPLACE", "KEYS", *keys)
        for node in (target, source, *self.masters()):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target_id)


@contextmanager
def sentinels() -> Iterator[Sentinels]:
    """Sentinels for a while."""
    with tempfile.TemporaryDirectory(prefix="progrock-sentinel-") as folder:
        made = Sentinels(Path(folder))
        try:
            made.begin()
            yield made
        finally:
            made.end()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A Cluster for a while."""
    with tempfile.TemporaryDirectory(prefix="progrock-cluster-") as folder:
        made = Cluster(Path(folder))
        try:
            made.begin()
            yield made
        finally:
            made.end()


def until(holds: Callable[[], bool], within_s: float = READY_S) -> None:
    """Return as soon as it holds; raises AssertionError if it is late."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "Redis is not ready."
        time.sleep(0.05)


def _is_synced(node: Node) -> bool:
    said = node.ask("ROLE")
    assert isinstance(said, list)
    return bool(said[0] == "slave" and said[3] == "connected")


def _is_whole(node: Node) -> bool:
    return "cluster_state:ok" in str(node.ask("CLUSTER", "INFO"))


def _knows(node: Node, number: int) -> bool:
    return len(str(node.ask("CLUSTER", "NODES")).splitlines()) == number


def _has_slot(node: Node, slot: int) -> bool:
    lines = str(node.ask("CLUSTER", "NODES")).splitlines()
    [mine] = [line.split() for line in lines if "myself" in line]
    ranges = [each.partition("-") for each in mine[8:] if not each.startswith("[")]
    return any(int(low) <= slot <= int(high or low) for low, _, high in ranges)
