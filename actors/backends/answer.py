"""An answer of a service: whole, or as a file on its way through us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import aiohttp

from actors.limits import MAX_ANSWER_BYTES

from .failures import LostAnswerError
from .packing import Head, is_left_packed, is_unpacked, unpacked


class HttpAnswer(NamedTuple):
    """An answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class File:
    """A file on its way through us."""

    def __init__(self, content_type: str, response: aiohttp.ClientResponse) -> None:
        self.content_type = content_type
        # Of a compressed file it is the compressed length.
        self.length = None if is_unpacked(response) else response.content_length
        self._response = response

    def chunks(self) -> AsyncIterator[bytes]:
        """The file, piece by piece."""
        return unpacked(self._response, self._response.content.iter_chunked(64 * 1024))


async def read(head: Head, content: aiohttp.StreamReader) -> bytes:
    """Read a whole body; raises LostAnswerError if it is too long.

    The rest of a longer one makes its connection unfit for another request.
    """
    if content.is_eof() and not is_left_packed(head):  # it came with its head
        return _fitting(content.read_nowait())
    body = bytearray()
    async for chunk in unpacked(head, content.iter_any()):
        body += _fitting(chunk, len(body))
    return bytes(body)


def _fitting(chunk: bytes, before: int = 0) -> bytes:
    if before + len(chunk) > MAX_ANSWER_BYTES:
        raise LostAnswerError("too_large", "The service answered with far too much.")
    return chunk
