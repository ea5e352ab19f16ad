"""Creating, leasing, writing and losing in any order: stored is as told."""

from __future__ import annotations

import asyncio

import redis
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from actors.requests import Action
from actors.store import Store
from actors.store.redis import connect
from actors.store.values import (
    Change,
    Lease,
)

from .support.storing import (
    LANE,
    hearing,
    let_leases_run_out,
    planned,
    progress,
    running,
    tick,
    write,
)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["take", "take", "poll", "poll", "poll", "steal", "stop", "end", "expire"]
        ),
        st.integers(0, 1),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_no_interleaving_of_two_workers_skips_or_repeats_a_revision(
    redis_url: str, steps: list[tuple[str, int]]
) -> None:
    asyncio.run(work_together(redis_url, steps))


async def work_together(redis_url: str, steps: list[tuple[str, int]]) -> None:
    """Two workers, each of which may hold a lease that has long been lost."""
    store = Store(connect(redis_url), job_ttl_s=60, poll_interval_ms=200)
    client = redis.Redis.from_url(redis_url)
    client.delete(*client.keys("progrock:*"), "nothing")
    await running(store, "job")
    await store.attend(["job"])
    hands: list[Lease | None] = [None, None]
    written = []

    async with hearing(store) as heard:
        for n, (step, worker) in enumerate(steps):
            if step == "take":
                taken = await tick(store, planned(client))
                hands[worker] = taken.leases[0] if taken and taken.leases else None
            elif step == "steal":
                hands[worker] = await store.lease("job", "request")
            elif step == "expire":
                loaded = await store.load("job")
                if loaded and not loaded.finished:
                    await let_leases_run_out(client, "job")
                await store.ensure()
            elif step == "stop":
                loaded = await store.load("job")
                assert loaded
                after = loaded.asked(Action.CANCEL, n)
                if after is not loaded:
                    outcomes, _ = await store.advance([Change(loaded, after.revised())])
                    assert outcomes == [1]
                    written.append(after.revised())
            elif taken := hands[worker]:
                after = (
                    taken.job.cancelled(n) if step == "end" else progress(taken.job, n)
                )
                after = replace(after, revision=taken.job.revision + 1)
                if await write(store, taken, after) == 1:
                    written.append(after)
                    taken.job = after
        told = await heard()

    revisions = [snapshot.revision for snapshot in told]
    assert revisions == list(range(3, 3 + len(revisions)))
    assert revisions == [job.revision for job in written]
    assert [snapshot.finished for snapshot in told[:-1]] == [False] * len(told[:-1])
    last = await store.load("job")
    assert last
    if told:
        assert await store.snapshots(["job"]) == [told[-1]]
        assert last == written[-1]
    is_listed = client.zscore(f"progrock:2:due:{LANE}", "job") is not None
    assert is_listed is not last.finished
    await store.close()
    client.close()
