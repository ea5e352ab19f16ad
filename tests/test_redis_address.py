"""The ways to say where Redis is."""

from __future__ import annotations

import ssl

import pytest

from actors.redis_address import RedisAddress


def test_sentinels_have_a_master_and_a_database() -> None:
    address = RedisAddress.parse(
        "rediss+sentinel://rock:p%40ss@one,two:1234,[::1]:5/rock/3?ssl_cert_reqs=none"
    )

    assert address.hosts == (("one", 26379), ("two", 1234), ("::1", 5))
    assert address.service == "rock"
    assert address.options == {
        "username": "rock",
        "password": "p@ss",
        "db": 3,
        "ssl": True,
        "ssl_cert_reqs": "none",
    }
    assert "p%40ss" not in f"{address!r} {address.shown}"


def test_some_nodes_of_a_cluster_are_enough() -> None:
    address = RedisAddress.parse("redis+cluster://:secret@one:7000,two")

    assert address.hosts == (("one", 7000), ("two", 6379))
    assert address.options == {"password": "secret"}


def test_options_are_what_redis_py_makes_of_them() -> None:
    url = "rediss+cluster://one?ssl_check_hostname=False&ssl_min_version=771"
    options = RedisAddress.parse(url).options

    assert options["ssl_check_hostname"] is False
    assert options["ssl_min_version"] == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqp://host", "must be an address that begins with redis://"),
        ("redis://host:port", "must be an address like redis://host:6379/0"),
        ("redis+sentinel://host", "must end with the name of the master"),
        ("redis+sentinel://host/rock/x", "must end with the name of the master"),
        ("redis+cluster://host/0", "a Cluster has no databases"),
        ("redis+cluster://:hunter2@", "must have host:port, separated by commas"),
        ("redis+cluster://host:hunter2", "must have host:port, separated by commas"),
        ("redis+cluster://host?foo=hunter2", "has an option foo"),
    ],
)
def test_a_mistake_is_one_sentence_without_a_secret(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        RedisAddress.parse(url)
    assert "hunter2" not in str(caught.value)
