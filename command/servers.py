"""Where the service of an OpenAPI document is, and how it knows its callers."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .begun import address, authorize
from .draft import Draft, variable
from .openapi import Document, Operation, items, table

LOCAL = "http://127.0.0.1:8000"
_NAME = re.compile(r"[\w-]+")


def put_url(draft: Draft, name: str, document: Document) -> None:
    """Write the address, with a variable that can replace it."""
    server = table(next(iter(items(document.content.get("servers"))), None))
    url = str(server.get("url", ""))
    for key, each in table(server.get("variables")).items():
        url = url.replace(f"{{{key}}}", str(table(each).get("default", key)))
    is_whole = url.startswith(("http://", "https://"))
    whole = url if is_whole else f"{LOCAL}/{url.lstrip('/')}".rstrip("/")
    is_fine = _is_fine(whole)
    draft.put("url", address(name, whole.rstrip("/") if is_fine else LOCAL))
    if not (is_whole and is_fine):
        draft.doubt("url", "the document does not say where the service is.")


def _is_fine(url: str) -> bool:
    try:
        return bool(re.fullmatch(r"[^\s{}$]+", url) and urlsplit(url).hostname)
    except ValueError:
        return False


def put_security(
    draft: Draft, name: str, document: Document, operation: Operation
) -> None:
    """Write the header, or the query, that the service asks for."""
    asked = operation.table.get("security")
    asked = document.content.get("security") if asked is None else asked
    names = [key for each in items(asked) for key in table(each)]
    components = table(document.content.get("components"))
    schemes = table(components.get("securitySchemes"))
    if not names:
        return
    scheme = table(document.resolved(schemes.get(names[0])))
    kind, http = scheme.get("type"), str(scheme.get("scheme", "")).lower()
    if kind == "apiKey":
        _put_key(draft, name, str(scheme.get("name", "")), scheme.get("in"))
    elif kind:
        authorize(draft, name, "basic" if http == "basic" else "bearer")
        if http not in ("basic", "bearer"):
            draft.doubt("headers.Authorization", f"it asks for {kind}.")


def _put_key(draft: Draft, name: str, key: str, where: Any) -> None:
    value = f"${{{variable(name, 'KEY')}}}"
    if not _NAME.fullmatch(key):
        draft.doubt("title", "its key has a name that cannot be written here.")
    elif where == "query":
        draft.put("every", {"query": {key: value}})
    elif where == "cookie":
        draft.put("headers.Cookie", f"{key}={value}")
    else:
        draft.put(("headers", key), value)
