"""The tags of partitions, of which each lies in one slot of a Redis Cluster.

A partition's tag stands in its keys, in its channel, and in its jobs' ids. The first is
that of a single Redis with one partition and has no tag at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count, product
from string import ascii_lowercase, digits

from redis.crc import key_slot

from actors.settings import MAX_PARTITIONS

UNTAGGED = ""
_MARK = "~"  # stands in no name otherwise, and as it is in addresses
_SLOTS = 16384 // MAX_PARTITIONS  # of a Cluster, for each partition
_BITS = MAX_PARTITIONS.bit_length() - 1


@cache
def tags(number: int) -> tuple[str, ...]:
    """Return the tags of so many partitions; those of fewer are the first of them.

    Strings as they come lie unevenly: half of 16 shards were idle elsewhere
    (https://github.com/centrifugal/centrifuge/issues/554). Each tag halves the widest
    gap between the slots of those before it.
    """
    places = {_reversed(index): index for index in range(number)}
    found: dict[int, str] = {}
    for tag in _names():
        index = places.get(key_slot(tag.encode()) // _SLOTS)
        if index is not None:
            found.setdefault(index, tag)
            if len(found) == number:
                break
    return tuple(found[index] for index in range(number))


def own_tags(number: int, *, is_cluster: bool) -> tuple[str, ...]:
    """Return the tags of the partitions in which new jobs are put."""
    return tags(number) if number > 1 or is_cluster else (UNTAGGED,)


def tag_of(name: str) -> str:
    """Return the partition's tag in the id of a job, or in the name of a lane."""
    tag, mark, _ = name.partition(_MARK)
    return tag if mark and tag in _all_tags() else UNTAGGED


def tagged(tag: str, name: str) -> str:
    """Put a partition's tag before the name of something in it."""
    return f"{tag}{_MARK}{name}" if tag else name


def untagged(name: str) -> str:
    """Take the partition's tag away again."""
    tag = tag_of(name)
    return name[len(tag) + len(_MARK) :] if tag else name


def backend_of(lane: str) -> str:
    """Return the backend whose jobs are in a lane."""
    return untagged(lane).rpartition(":")[0]


@cache
def _all_tags() -> frozenset[str]:
    return frozenset(tags(MAX_PARTITIONS))


def _reversed(index: int) -> int:
    """0, 1/2, 1/4, 3/4, 1/8… of the partitions that there may be."""
    return int(f"{index:0{_BITS}b}"[::-1], 2)


def _names() -> Iterator[str]:
    for length in count(1):
        for letters in product(digits + ascii_lowercase, repeat=length):
            yield "".join(letters)
