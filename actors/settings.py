"""Every setting: read from the environment when a process starts, checked, frozen."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yarl import URL

from actors.redis_address import RedisAddress

DEFAULT_PREFIX = "progrock"
MAX_PARTITIONS = 1024
SHIPPED_RECIPES = Path(__file__).parent / "recipes" / "shipped"


class SettingError(SystemExit):
    """A setting makes no sense: the process ends with one line that names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings; `docs/settings.md` gives each its meaning."""

    development: bool
    port: int
    redis_url: str
    broker_url: str
    secret_key: str
    recipes: tuple[Path, ...]
    shipped_recipes: tuple[str, ...] | None
    default_backend: str
    poll_interval_ms: int
    idle_interval_ms: int
    job_ttl_s: int
    api_tokens: Mapping[str, str]
    allowed_origins: frozenset[str]
    max_active_jobs: int
    limits: bool
    drain_s: int
    key_prefix: str
    partitions: int
    wide_owners: frozenset[str]
    metrics: int | Literal["token"] | None
    log: str
    access_log: bool

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> "Settings":
        """Read `environ`; raises SettingError for the first that makes no sense."""
        poll_interval_ms = _integer(environ, "PROGROCK_POLL_INTERVAL_MS", 200, 50)
        environments = ("production", "development")
        development = _choice(environ, "PROGROCK_ENV", environments) == "development"
        redis_url = _redis_url(environ, "REDIS_URL", development)
        return cls(
            development=development,
            port=_integer(environ, "PORT", 8000, 0, 65535),
            redis_url=redis_url,
            broker_url=_redis_url(environ, "BROKER_URL", development, redis_url),
            secret_key=_secret_key(environ),
            recipes=_folders(environ, "PROGROCK_RECIPES"),
            shipped_recipes=_shipped(environ, "PROGROCK_SHIPPED_RECIPES"),
            default_backend=environ.get("PROGROCK_DEFAULT_BACKEND", ""),
            poll_interval_ms=poll_interval_ms,
            idle_interval_ms=_idle_interval(environ, poll_interval_ms),
            job_ttl_s=_integer(environ, "PROGROCK_JOB_TTL_S", 86400, 1),
            api_tokens=_tokens(environ, "PROGROCK_API_TOKENS"),
            allowed_origins=_origins(environ, "PROGROCK_ALLOWED_ORIGINS"),
            max_active_jobs=_integer(environ, "PROGROCK_MAX_ACTIVE_JOBS", 20, 1),
            limits=_choice(environ, "PROGROCK_LIMITS", ("on", "off")) == "on",
            drain_s=_integer(environ, "PROGROCK_DRAIN_S", 10, 1, 3600),
            key_prefix=_prefix(environ, "PROGROCK_KEY_PREFIX"),
            partitions=_integer(environ, "PROGROCK_PARTITIONS", 1, 1, MAX_PARTITIONS),
            wide_owners=_wide_owners(environ, "PROGROCK_WIDE_OWNERS"),
            metrics=_metrics(environ, "PROGROCK_METRICS"),
            log=_choice(environ, "PROGROCK_LOG", ("text", "json")),
            access_log=_choice(environ, "PROGROCK_ACCESS_LOG", ("off", "on")) == "on",
        )


def _integer(
    environ: Mapping[str, str],
    name: str,
    default: int,
    low: int,
    high: int = 2_147_483_647,
) -> int:
    text = environ.get(name) or str(default)
    try:
        number = int(text)
    except ValueError:
        raise SettingError(f"{name} must be a whole number, not {text!r}.") from None
    if not low <= number <= high:
        raise SettingError(f"{name} must be from {low} to {high}, not {number}.")
    return number


def _wide_owners(environ: Mapping[str, str], name: str) -> frozenset[str]:
    """The owners to whom the tokens of these names belong."""
    known = set(_tokens(environ, "PROGROCK_API_TOKENS").values())
    names = {each.strip() for each in environ.get(name, "").split(",")} - {""}
    if unknown := names - known:
        raise SettingError(
            f"{name} names {min(unknown)!r}, but PROGROCK_API_TOKENS has no such name."
        )
    return frozenset(map(owner_of_token, names))


def owner_of_token(name: str) -> str:
    """How the owner is called to whom the API token of this name belongs."""
    return f"token-{name}"


def _metrics(environ: Mapping[str, str], name: str) -> int | Literal["token"] | None:
    text = environ.get(name)
    if not text or text == "token":
        return "token" if text else None
    if not text.isdecimal():
        raise SettingError(f"{name} must be a port, or token, not {text!r}.")
    return _integer(environ, name, 0, 1, 65535)


def _idle_interval(environ: Mapping[str, str], poll_interval_ms: int) -> int:
    default = max(2000, poll_interval_ms)
    return _integer(environ, "PROGROCK_IDLE_INTERVAL_MS", default, poll_interval_ms)


def _choice(environ: Mapping[str, str], name: str, words: tuple[str, ...]) -> str:
    word = environ.get(name) or words[0]
    if word not in words:
        raise SettingError(f"{name} must be one of {', '.join(words)}, not {word!r}.")
    return word


def _redis_url(
    environ: Mapping[str, str], name: str, development: bool, default: str = ""
) -> str:
    if development:
        default = default or "redis://127.0.0.1:6379/0"
    url = environ.get(name) or default
    if not url:
        raise SettingError(f"{name} is missing: say where Redis is.")
    try:
        address = RedisAddress.parse(url)
    except ValueError as error:
        raise SettingError(f"{name} {error}.") from None
    if name == "BROKER_URL" and address.kind == "cluster":
        raise SettingError(
            "BROKER_URL must name one Redis, or Sentinels: a Cluster has no queues."
        )
    return url


def _secret_key(environ: Mapping[str, str]) -> str:
    key = environ.get("SECRET_KEY", "")
    if key and len(key) < 16:
        raise SettingError("SECRET_KEY must have at least 16 characters.")
    return key


def _prefix(environ: Mapping[str, str], name: str) -> str:
    """Braces would put keys into one slot of a Redis Cluster, spaces break the feed."""
    prefix = environ.get(name) or DEFAULT_PREFIX
    if not re.fullmatch(r"[\w.:-]{1,64}", prefix, re.ASCII):
        raise SettingError(
            f"{name} must have up to 64 letters, digits and .:_-, not {prefix!r}."
        )
    return prefix


def _folders(environ: Mapping[str, str], name: str) -> tuple[Path, ...]:
    folders = tuple(Path(part) for part in environ.get(name, "").split(":") if part)
    for folder in folders:
        if not folder.is_dir():
            raise SettingError(f"{name}: there is no folder {str(folder)!r}.")
    return folders


def _shipped(environ: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """Return the names of the shipped recipes that are wanted; None: the demo's."""
    text = environ.get(name) or "on"
    if text in ("on", "off"):
        return None if text == "on" else ()
    names = (part.strip() for part in text.split(","))
    return tuple(dict.fromkeys(filter(None, names)))


def _tokens(environ: Mapping[str, str], name: str) -> dict[str, str]:
    """Return the name behind each token."""
    names: dict[str, str] = {}
    for pair in filter(None, environ.get(name, "").split(",")):
        owner, colon, token = pair.strip().partition(":")
        if not (owner and colon and len(token) >= 16) or token in names:
            raise SettingError(
                f"{name} must hold name:token pairs, separated by commas, "
                "with different tokens of at least 16 characters."
            )
        names[token] = owner
    return names


def _origins(environ: Mapping[str, str], name: str) -> frozenset[str]:
    parts = (part.strip() for part in environ.get(name, "").split(","))
    origins = frozenset(filter(None, parts))
    for origin in origins:
        if not _is_origin(origin):
            raise SettingError(
                f"{name} must hold origins such as https://example.com, not {origin!r}."
            )
    return origins


def _is_origin(text: str) -> bool:
    """True if a browser would write an origin so."""
    try:
        url = URL(text)
        return url.scheme in ("http", "https") and text == str(url.origin())
    except ValueError:
        return False
