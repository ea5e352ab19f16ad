"""Errors that several callers raise, and how a call over the network fails."""

from __future__ import annotations

import logging

import aiohttp

from . import BackendError

logger = logging.getLogger(__name__)


class LostAnswerError(BackendError):
    """The service may have heard the request; its answer was lost, or is too long."""


def as_lost(error: BackendError) -> LostAnswerError:
    """Return the same error of a request that the service may have obeyed."""
    return LostAnswerError(error.code, error.message, retry_after_s=error.retry_after_s)


class Failures:
    """Turns a failure of the network into a BackendError."""

    def __init__(self, title: str) -> None:
        self._away = f"{title} cannot be reached. Try again later."
        self._untrusted = (
            f"The certificate of {title} is not trusted. "
            "The variable SSL_CERT_FILE can name a file with its issuer's."
        )
        self._slow = f"{title} takes too long."

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        if error is None:
            return
        away, slow = self._away, self._slow
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            raise BackendError("timeout", slow) from error  # nothing was sent
        if isinstance(error, aiohttp.ClientConnectorCertificateError):
            raise BackendError("unreachable", self._untrusted) from error
        if isinstance(error, aiohttp.ClientConnectorError | aiohttp.InvalidURL):
            raise BackendError("unreachable", away) from error  # nor here
        if isinstance(error, TimeoutError):
            raise LostAnswerError("timeout", slow) from error
        if isinstance(error, aiohttp.ClientError | OSError):
            raise LostAnswerError("unreachable", away) from error


def start_unknown(title: str) -> BackendError:
    """A permanent error, for a second start might start a second job."""
    return BackendError(
        "start_unknown",
        f"{title} did not say whether it has started the job. It may be running there.",
        permanent=True,
    )


def not_understood(title: str, cause: Exception | None = None) -> BackendError:
    """A transient error, for the next answer may be better. The log has the cause."""
    if cause:
        logger.error("An answer of %s could not be read.", title, exc_info=cause)
    return BackendError(
        "unexpected_answer",
        f"{title} answered with something that we do not understand.",
    )


def no_ref(title: str) -> BackendError:
    """A permanent error: a job without its name there cannot be asked for."""
    return BackendError(
        "unexpected_answer", f"{title} did not say where the job is.", permanent=True
    )


def no_result() -> BackendError:
    """A permanent error, for this kind of job never has a file."""
    return BackendError("no_result", "This job makes no file.", permanent=True)
