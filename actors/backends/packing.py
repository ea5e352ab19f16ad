"""Unpacks what aiohttp leaves packed: gzip by its other name, and packed twice."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

import aiohttp
from aiohttp.http import RawResponseMessage

Head = aiohttp.ClientResponse | RawResponseMessage

_BY_AIOHTTP = ("gzip", "deflate", "br", "zstd")  # if it is the only one in its header
_OURS = ("gzip", "x-gzip", "deflate")
_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_CHUNK_BYTES = 256 * 1024  # a small body may be packed out of a huge one


def is_unpacked(head: Head) -> bool:
    """True if the body that we give is not the body on the wire."""
    lines = _lines(head)
    return bool(lines and lines[-1] in _BY_AIOHTTP) or bool(_left(lines))


def is_left_packed(head: Head) -> bool:
    """True if aiohttp leaves a body packed."""
    return "Content-Encoding" in head.headers and bool(_left(_lines(head)))


def unpacked(head: Head, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Return the chunks of a body, unpacked; raises ClientPayloadError on the way.

    What is no coding of HTTP, such as `aws-chunked` or `utf-8`, is not heeded.
    """
    for _ in _left(_lines(head)):
        chunks = _unzipped(chunks)
    return chunks


def _lines(head: Head) -> list[str]:
    named = head.headers.getall("Content-Encoding", ())
    return [each.strip().lower() for each in named]


def _left(lines: list[str]) -> list[str]:
    if lines and lines[-1] in _BY_AIOHTTP:
        lines = lines[:-1]
    codings = [each.strip() for line in lines for each in line.split(",")]
    return [each for each in codings if each in _OURS]


async def _unzipped(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    unzip = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        async for chunk in chunks:
            rest = chunk
            while rest:
                if unzip.eof:  # gzip may have several members
                    unzip = zlib.decompressobj(_GZIP_OR_ZLIB)
                if piece := unzip.decompress(rest, _CHUNK_BYTES):
                    yield piece
                rest = unzip.unused_data if unzip.eof else unzip.unconsumed_tail
    except zlib.error as error:
        raise aiohttp.ClientPayloadError("It is not packed as it says.") from error
    if not unzip.eof:
        raise aiohttp.ClientPayloadError("The packed body has no end.")
