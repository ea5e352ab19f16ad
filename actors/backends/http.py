"""A backend that speaks HTTP and JSON, as its recipe says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import aiohttp
import msgspec
from yarl import URL

from actors.job import Problem, Status

from . import BackendError, Report
from .params import Params
from .recipe import Answer, Recipe, params_schema

MAX_ANSWER_BYTES = 1_000_000
MAX_MESSAGE_CHARACTERS = 500
MAX_NUMBER = 2**53  # browsers count exactly up to here
_NOT_JSON = (ValueError, RecursionError)  # too deep is as bad as wrong
_NOT_NOW = (429, 503)


class HttpBackend:
    """One third party behind one recipe and one aiohttp session.

    Redirects are not followed and refs may not leave the recipe's origin: a backend
    cannot send us to somebody else's server.
    """

    def __init__(
        self, name: str, recipe: Recipe, poll_interval_ms: int, idle_interval_ms: int
    ) -> None:
        self.name = name
        self.title = recipe.title
        self.description = recipe.description
        self.params: Mapping[str, Any] = params_schema(recipe)
        self._params = Params(self.params)
        self.can: tuple[str, ...] = ("cancel",) if recipe.cancel else ()
        self.batch_size = recipe.bulk.batch_size if recipe.bulk else 1
        self.concurrency = recipe.concurrency
        self.poll_interval_ms = recipe.poll_interval_ms or poll_interval_ms
        self.idle_interval_ms = max(
            recipe.idle_interval_ms or idle_interval_ms, self.poll_interval_ms
        )
        self.give_up_after_s = recipe.give_up_after_s
        self._recipe = recipe
        self._statuses = recipe.status.statuses
        self._base = recipe.url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    def check(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the params with defaults filled in; raises ParamsError."""
        return self._params.check(params)

    async def start(self, job: str, params: Mapping[str, Any]) -> str:
        """Start `job` and return its ref; the job's id is the Idempotency-Key."""
        rule = self._recipe.start
        headers = {"Idempotency-Key": job}
        async with self._ask(
            rule.request.method,
            self._url(rule.request.path),
            json=params,
            headers=headers,
        ) as response:
            body = await _read(response)
            if response.status >= 400:
                raise self._refusal(response, body, permanent=response.status < 500)
            if rule.ref.header:
                said = response.headers.get(rule.ref.header)
            else:
                assert rule.ref.body  # the recipe has one of the two
                said = rule.ref.body.find(_document(body))
            ref = self._named(said)
            if self._recipe.refs_are_addresses:
                return self._own(str(response.url), ref)
            return ref

    async def reports(self, refs: Sequence[str]) -> list[Report | BackendError]:
        """Ask for up to `batch_size` jobs at once; answers in the order asked."""
        try:
            if self._recipe.bulk is None:
                return [await self._report(refs[0])]
            return await self._bulk_reports(refs)
        except BackendError as error:
            return [error] * len(refs)

    async def cancel(self, ref: str) -> None:
        """Ask for a job to be stopped; one that is gone already counts as asked."""
        assert self._recipe.cancel  # `can` says so
        request = self._recipe.cancel.request
        async with self._ask(request.method, self._url(request.path, ref)) as response:
            body = await _read(response)
            if response.status >= 400 and response.status not in (404, 409, 410):
                raise self._refusal(response, body, permanent=False)

    @asynccontextmanager
    async def result(self, ref: str) -> AsyncIterator[_File]:
        """Open the file that a job made."""
        request = self._recipe.result.request
        if request is None:
            raise BackendError("no_result", "This job makes no file.", permanent=True)
        async with self._ask(request.method, self._url(request.path, ref)) as response:
            if response.status != 200:
                raise self._refusal(response, await _read(response), permanent=False)
            yield _File(self._recipe.result.content_type, response)

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _report(self, ref: str) -> Report:
        rule = self._recipe.status
        async with self._ask(
            rule.request.method, self._url(rule.request.path, ref)
        ) as response:
            body = await _read(response)
            if response.status >= 300:
                permanent = response.status in rule.final
                raise self._refusal(response, body, permanent=permanent)
        return self._read_report(rule, _document(body))

    async def _bulk_reports(self, refs: Sequence[str]) -> list[Report | BackendError]:
        rule = self._recipe.bulk
        assert rule  # batch_size says so
        path = rule.request.path.replace("{refs}", ",".join(map(_quoted, refs)))
        async with self._ask(rule.request.method, self._url(path)) as response:
            body = await _read(response)
            if response.status >= 300:
                raise self._refusal(response, body, permanent=False)
        items = rule.items.find(_document(body))
        if not isinstance(items, list):
            raise self._not_understood()
        by_ref = {str(rule.ref.find(item)): item for item in items}
        return [self._one_of_many(by_ref.get(ref)) for ref in refs]

    def _one_of_many(self, item: Any) -> Report | BackendError:
        if item is None:
            return self._gone()
        try:
            return self._read_report(self._recipe.status, item)
        except BackendError as error:
            return error

    def _read_report(self, rule: Answer, document: Any) -> Report:
        word = rule.state.find(document)
        status = self._statuses.get(word) if isinstance(word, str) else None
        if status is None:
            raise self._not_understood()
        return Report(
            status=status,
            progress=_number(rule.progress and rule.progress.find(document)),
            done=_number(rule.done and rule.done.find(document)),
            total=_number(rule.total and rule.total.find(document)),
            unit=self._recipe.unit,
            message=_text(rule.message and rule.message.find(document)),
            result=self._values(document) if status is Status.SUCCEEDED else None,
            file=self._recipe.result.content_type
            if self._recipe.result.request
            else None,
            error=self._error(rule, document) if status is Status.FAILED else None,
        )

    def _values(self, document: Any) -> dict[str, Any]:
        values = self._recipe.result.values
        return {name: value.find(document) for name, value in values.items()}

    def _error(self, rule: Answer, document: Any) -> Problem:
        said = _text(rule.error and rule.error.find(document))
        return Problem("backend_failed", said or f"{self.title} could not finish it.")

    @asynccontextmanager
    async def _ask(
        self,
        method: str,
        url: URL,
        *,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            async with self._connected().request(
                method, url, json=json, headers=headers, allow_redirects=False
            ) as response:
                yield response
        except TimeoutError as error:
            raise BackendError("timeout", f"{self.title} takes too long.") from error
        except aiohttp.ClientError as error:
            raise BackendError(
                "unreachable", f"{self.title} cannot be reached. Try again later."
            ) from error

    def _connected(self) -> aiohttp.ClientSession:
        """The one session, made on the loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.concurrency),
                timeout=aiohttp.ClientTimeout(total=self._recipe.timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._recipe.headers,
                json_serialize=lambda value: msgspec.json.encode(value).decode(),
            )
        return self._session

    def _url(self, path: str, ref: str = "") -> URL:
        if path.startswith("{ref}"):
            return URL(_origin(self._base) + path.replace("{ref}", ref), encoded=True)
        return URL(self._base + path.replace("{ref}", _quoted(ref)), encoded=True)

    def _own(self, asked: str, location: str) -> str:
        """Return the path of a Location, which must be on the same origin."""
        try:
            target = urljoin(asked, location)
        except ValueError:
            raise self._no_ref() from None
        if _origin(target) != _origin(asked):
            raise BackendError(
                "foreign_location",
                f"{self.title} put the job on another server.",
                permanent=True,
            )
        return target.removeprefix(_origin(target))

    def _named(self, ref: Any) -> str:
        if not isinstance(ref, str | int) or ref == "":
            raise self._no_ref()
        return str(ref)

    def _no_ref(self) -> BackendError:
        return BackendError(
            "unexpected_answer",
            f"{self.title} did not say where the job is.",
            permanent=True,
        )

    def _not_understood(self) -> BackendError:
        return BackendError(
            "unexpected_answer",
            f"{self.title} answered with something that we do not understand.",
        )

    def _gone(self) -> BackendError:
        return BackendError(
            "gone", f"{self.title} no longer knows this job.", permanent=True
        )

    def _refusal(
        self, response: aiohttp.ClientResponse, body: bytes, *, permanent: bool
    ) -> BackendError:
        if response.status in (404, 410) and permanent and response.method == "GET":
            return self._gone()
        return BackendError(
            f"http_{response.status}",
            _reason(body) or f"{self.title} answered with {response.status}.",
            permanent=permanent and response.status not in _NOT_NOW,
            retry_after_s=_retry_after(response.headers.get("Retry-After")),
        )


class _File:
    """A result on its way through us."""

    def __init__(self, content_type: str, response: aiohttp.ClientResponse) -> None:
        self.content_type = content_type
        self.length = response.content_length
        self._response = response

    def chunks(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_chunked(64 * 1024)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            response.close()
            raise BackendError("too_large", "The service answered with far too much.")
    return bytes(body)


def _document(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except _NOT_JSON as error:
        raise BackendError(
            "unexpected_answer", "The service answered with something that is not JSON."
        ) from error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _quoted(ref: str) -> str:
    return quote(ref, safe="")


def _number(value: Any) -> int | float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and abs(value) <= MAX_NUMBER else None


def _text(value: Any) -> str | None:
    return value[:MAX_MESSAGE_CHARACTERS] if isinstance(value, str) and value else None


def _reason(body: bytes) -> str | None:
    """A sentence out of the common shapes of JSON errors, RFC 9457's first."""
    try:
        document = msgspec.json.decode(body)
    except _NOT_JSON:
        return None
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    nested = error.get("message") if isinstance(error, dict) else error
    return (
        _text(document.get("detail")) or _text(nested) or _text(document.get("message"))
    )


def _retry_after(value: str | None) -> float | None:
    """Seconds out of a Retry-After header: a number, or a date (RFC 9110 §10.2.3)."""
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value).replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
