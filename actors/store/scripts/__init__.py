"""The Lua scripts, as Redis runs them: each behind the prelude that all share."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from redis.asyncio import Redis, RedisCluster
from redis.commands.core import AsyncScript

Scripts = Mapping[str, AsyncScript]


def registered(redis: Redis | RedisCluster, *, is_cluster: bool) -> Scripts:
    """Return every script by name, ready to be called.

    In a Cluster an announcement goes only where the channel's slot is.
    """
    texts = {
        file.name.removesuffix(".lua"): file.read_text("utf-8")
        for file in files(__name__).iterdir()
        if file.name.endswith(".lua")
    }
    publish = "SPUBLISH" if is_cluster else "PUBLISH"
    prelude = f"local PUBLISH = '{publish}'\n{texts.pop('prelude')}"
    return {
        name: redis.register_script(f"{prelude}\n{text}")
        for name, text in texts.items()
    }
