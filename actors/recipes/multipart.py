"""A form as multipart/form-data (RFC 7578), escaped as browsers do it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

# https://html.spec.whatwg.org/multipage/form-control-infrastructure.html
_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


def as_multipart(pairs: Iterable[tuple[str, str]]) -> tuple[str, bytes]:
    """Return the content type and the body."""
    # A value cannot end its own part, for nobody can guess the boundary.
    boundary = secrets.token_hex(16)
    parts = [
        f"--{boundary}\r\n"
        f'Content-Disposition: form-data; name="{name.translate(_ESCAPES)}"\r\n\r\n'
        f"{value}\r\n"
        for name, value in pairs
    ]
    body = "".join([*parts, f"--{boundary}--\r\n"])
    return f"multipart/form-data; boundary={boundary}", body.encode()
