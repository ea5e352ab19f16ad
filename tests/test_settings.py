"""Every setting: its default, a good value, and each kind of nonsense."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import MappingProxyType

import pytest

from actors.settings import SettingError, Settings

REDIS = {"REDIS_URL": "redis://localhost:6379/0"}
SECRET = "hunter2-hunter2-hunter2"


def read(**environ: str) -> Settings:
    return Settings.read({**REDIS, **environ})


def complaint(**environ: str) -> str:
    """The one line that a process with these settings ends with."""
    with pytest.raises(SystemExit) as ended:
        read(**environ)
    assert isinstance(ended.value, SettingError)
    line = str(ended.value)
    assert line.count("\n") == 0
    assert line.endswith(".")
    return line


def test_only_redis_must_be_told() -> None:
    settings = Settings.read(REDIS)

    assert settings == Settings(
        development=False,
        port=8000,
        redis_url=REDIS["REDIS_URL"],
        broker_url=REDIS["REDIS_URL"],
        secret_key="",
        recipes=(),
        shipped_recipes=None,
        default_backend="",
        poll_interval_ms=200,
        idle_interval_ms=2000,
        job_ttl_s=86400,
        api_tokens={},
        allowed_origins=frozenset(),
        max_active_jobs=20,
        limits=True,
        drain_s=10,
        key_prefix="progrock",
        partitions=1,
        wide_owners=frozenset(),
        metrics=None,
        log="text",
        access_log=False,
    )


def test_development_needs_nothing() -> None:
    settings = Settings.read({"PROGROCK_ENV": "development"})

    assert settings.development
    assert settings.redis_url == "redis://127.0.0.1:6379/0"
    assert settings.broker_url == settings.redis_url


def test_reading_changes_nothing_and_gives_equals() -> None:
    environ = MappingProxyType({**REDIS, "PORT": "9000"})

    assert Settings.read(environ) == Settings.read(environ)


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.read(REDIS).port = 1  # type: ignore[misc]


def test_an_empty_variable_is_as_good_as_none() -> None:
    names = (
        *("PORT", "BROKER_URL", "SECRET_KEY", "PROGROCK_RECIPES"),
        *("PROGROCK_ENV", "PROGROCK_DEFAULT_BACKEND", "PROGROCK_POLL_INTERVAL_MS"),
        *("PROGROCK_IDLE_INTERVAL_MS", "PROGROCK_JOB_TTL_S", "PROGROCK_API_TOKENS"),
        *("PROGROCK_ALLOWED_ORIGINS", "PROGROCK_MAX_ACTIVE_JOBS", "PROGROCK_LIMITS"),
        *("PROGROCK_DRAIN_S", "PROGROCK_KEY_PREFIX", "PROGROCK_SHIPPED_RECIPES"),
        *("PROGROCK_METRICS", "PROGROCK_LOG", "PROGROCK_ACCESS_LOG"),
    )

    assert Settings.read(REDIS | dict.fromkeys(names, "")) == Settings.read(REDIS)


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("PORT", "80", "port", 80),
        ("PORT", "0", "port", 0),
        ("PORT", "65535", "port", 65535),
        ("PROGROCK_DEFAULT_BACKEND", "counter", "default_backend", "counter"),
        ("PROGROCK_POLL_INTERVAL_MS", "50", "poll_interval_ms", 50),
        ("PROGROCK_IDLE_INTERVAL_MS", "200", "idle_interval_ms", 200),
        ("PROGROCK_JOB_TTL_S", "1", "job_ttl_s", 1),
        ("PROGROCK_MAX_ACTIVE_JOBS", "1", "max_active_jobs", 1),
        ("PROGROCK_DRAIN_S", "1", "drain_s", 1),
        ("PROGROCK_KEY_PREFIX", "blue:progrock-2", "key_prefix", "blue:progrock-2"),
        ("PROGROCK_SHIPPED_RECIPES", "on", "shipped_recipes", None),
        ("PROGROCK_SHIPPED_RECIPES", "off", "shipped_recipes", ()),
        ("PROGROCK_SHIPPED_RECIPES", "b, a,b,", "shipped_recipes", ("b", "a")),
        ("PROGROCK_METRICS", "9100", "metrics", 9100),
        ("PROGROCK_METRICS", "token", "metrics", "token"),
        ("PROGROCK_LOG", "json", "log", "json"),
        ("PROGROCK_ACCESS_LOG", "on", "access_log", True),
        ("PROGROCK_LIMITS", "off", "limits", False),
        ("PROGROCK_LIMITS", "on", "limits", True),
        ("PROGROCK_ENV", "production", "development", False),
        ("SECRET_KEY", SECRET, "secret_key", SECRET),
        (
            *("PROGROCK_API_TOKENS", f"ann:{SECRET}, bob:{SECRET}:2", "api_tokens"),
            {SECRET: "ann", f"{SECRET}:2": "bob"},
        ),
        (
            *("PROGROCK_ALLOWED_ORIGINS", "https://a.example, http://b:8080"),
            *("allowed_origins", frozenset({"https://a.example", "http://b:8080"})),
        ),
        *(
            (name, url, field, url)
            for name, field in (
                ("REDIS_URL", "redis_url"),
                ("BROKER_URL", "broker_url"),
            )
            for url in (
                *("redis://other:1/2", "rediss://:secret@other", "unix:///s.sock?db=0"),
                "redis://[::1]:6379/0",
            )
        ),
    ],
)
def test_a_good_value_is_taken(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read(**{name: text}), field) == value


def test_the_broker_may_be_elsewhere() -> None:
    settings = read(BROKER_URL="redis://elsewhere")

    assert settings.redis_url == REDIS["REDIS_URL"]
    assert settings.broker_url == "redis://elsewhere"


def test_folders_with_recipes_keep_their_order(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()

    settings = read(PROGROCK_RECIPES=f"{one}:{two}")

    assert settings.recipes == (one, two)


def test_a_slow_poll_makes_the_idle_one_no_faster() -> None:
    assert read(PROGROCK_POLL_INTERVAL_MS="5000").idle_interval_ms == 5000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            (name, text)
            for name in (
                *("PORT", "PROGROCK_POLL_INTERVAL_MS", "PROGROCK_IDLE_INTERVAL_MS"),
                *("PROGROCK_JOB_TTL_S", "PROGROCK_MAX_ACTIVE_JOBS", "PROGROCK_DRAIN_S"),
            )
            for text in ("-1", "text", "1.5", "1e3", "9" * 30, "two\nlines")
        ),
        *(("PROGROCK_POLL_INTERVAL_MS", text) for text in ("0", "10", "49")),
        *(("PROGROCK_IDLE_INTERVAL_MS", text) for text in ("0", "199")),
        ("PROGROCK_JOB_TTL_S", "0"),
        ("PROGROCK_MAX_ACTIVE_JOBS", "0"),
        ("PROGROCK_DRAIN_S", "0"),
        ("PROGROCK_DRAIN_S", "3601"),
        *(("PROGROCK_KEY_PREFIX", text) for text in ("a b", "{a}", "ä", "p" * 65)),
        ("PORT", "65536"),
        *(("PROGROCK_METRICS", text) for text in ("on", "-1", "0", "65536", "9e3")),
        ("PROGROCK_LOG", "xml"),
        ("PROGROCK_ACCESS_LOG", "yes"),
        ("PROGROCK_LIMITS", "maybe"),
        ("PROGROCK_LIMITS", "o\nff"),
        ("PROGROCK_ENV", "testing"),
        ("PROGROCK_RECIPES", "/no/such/folder"),
        ("PROGROCK_RECIPES", "/no/such\nfolder"),
        *(
            ("PROGROCK_ALLOWED_ORIGINS", text)
            for text in (
                *("example.com", "https://a.example/", "ftp://a.example", "*", "null"),
                *("https://", "https://[a", "https://a:b", "https://a.example, b"),
                "https://ann@a.example",
            )
        ),
    ],
)
def test_nonsense_is_refused_in_one_line_that_names_it(name: str, text: str) -> None:
    assert name in complaint(**{name: text})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            (name, text)
            for name in ("REDIS_URL", "BROKER_URL")
            for text in (
                f"http://:{SECRET}@redis",
                f"redis:{SECRET}",
                f"//:{SECRET}@redis",
                f"redis://:{SECRET}@[::1",
                f"redis://:{SECRET}@redis:port",
                f"redis://:{SECRET}@redis:99999",
                SECRET,
            )
        ),
        ("SECRET_KEY", SECRET[:15]),
        *(
            ("PROGROCK_API_TOKENS", text)
            for text in (
                *(SECRET, f":{SECRET}", f"ann:{SECRET[:15]}", f"ann={SECRET}"),
                *(f"ann:{SECRET},{SECRET}", f"ann:{SECRET},bob:{SECRET}"),
            )
        ),
    ],
)
def test_a_secret_is_not_repeated(name: str, text: str) -> None:
    line = complaint(**{name: text})

    assert name in line
    assert SECRET[:8] not in line


@pytest.mark.parametrize(
    "environ", [{}, {"REDIS_URL": ""}, {"BROKER_URL": "redis://x"}]
)
def test_production_must_be_told_where_redis_is(environ: dict[str, str]) -> None:
    with pytest.raises(SettingError, match=r"^REDIS_URL is missing.*\.$"):
        Settings.read(environ)
