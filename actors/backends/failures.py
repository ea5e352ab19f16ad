"""How a call over the network fails: before it was sent, or with its answer lost."""

from __future__ import annotations

import aiohttp

from . import BackendError


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
