"""Reads an OpenAPI 3 document: its operations, and schemas with references resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

MAX_BYTES = 20_000_000
MAX_LOOKUPS = 2_000  # for one body: references to itself would never end
MAX_HOPS = 20
METHODS = ("get", "post", "put", "patch", "delete")


class OpenApiError(Exception):
    """No recipe can be drafted; the message is a plain sentence."""


class Operation(NamedTuple):
    """One operation; `says` is all that it calls itself."""

    method: str
    path: str
    table: dict[str, Any]
    shared: list[Any]

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def says(self) -> str:
        words = (self.table.get(key, "") for key in ("operationId", "summary"))
        return " ".join([self.path, *map(str, words)])


class Document:
    """An OpenAPI document."""

    def __init__(self, content: Any) -> None:
        """Take the parsed JSON; raises OpenApiError if it is no OpenAPI 3."""
        version = str(table(content).get("openapi", ""))
        if not version.startswith("3."):
            raise OpenApiError(
                "It is no OpenAPI 3.0 or 3.1 document: `openapi` must say its version."
            )
        self.content: dict[str, Any] = content
        self._lookups = 0

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a file; raises OpenApiError."""
        try:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise OpenApiError(f"{path}: {error.strerror}.") from error
        if len(body) > MAX_BYTES:
            raise OpenApiError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB.")
        try:
            return cls(json.loads(body, parse_constant=_refuse))
        except (ValueError, RecursionError) as error:
            raise OpenApiError(
                f"{path} is not JSON ({error}). If it is YAML, make it JSON first."
            ) from error

    @cached_property
    def operations(self) -> list[Operation]:
        return [
            Operation(method.upper(), path, item[method], items(item.get("parameters")))
            for path, item in self._paths()
            for method in METHODS
            if isinstance(item.get(method), dict)
        ]

    @property
    def title(self) -> str:
        return str(table(self.content.get("info")).get("title", ""))

    def _paths(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for path, item in table(self.content.get("paths")).items():
            yield path, table(self.resolved(item))

    def parameters(self, operation: Operation) -> list[dict[str, Any]]:
        """Return all parameters of an operation; its own come last."""
        own = items(operation.table.get("parameters"))
        return [table(self.resolved(each)) for each in (*operation.shared, *own)]

    def resolved(self, node: Any) -> Any:
        """Follow references in the document; an empty table if they lead nowhere."""
        for _ in range(MAX_HOPS):
            if not (isinstance(node, dict) and isinstance(node.get("$ref"), str)):
                return node
            node = self._find(node["$ref"])
        return {}

    def _find(self, pointer: str) -> Any:
        if not pointer.startswith("#/"):
            return {}
        node: Any = self.content
        for part in pointer[2:].split("/"):
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            node = node.get(name, {}) if isinstance(node, dict) else {}
        return node

    def begin(self) -> None:
        """Forget the look-ups so far: another body is read."""
        self._lookups = 0

    def schema(self, node: Any) -> dict[str, Any]:
        """Return a schema with `allOf` merged, and null taken out of the choices."""
        self._lookups += 1
        if self._lookups > MAX_LOOKUPS:
            return {}
        return self._merged(dict(table(self.resolved(node))), 0)

    def _merged(self, found: dict[str, Any], depth: int) -> dict[str, Any]:
        for key in ("allOf", "anyOf", "oneOf"):
            parts = [table(self.resolved(each)) for each in items(found.pop(key, None))]
            parts = [each for each in parts if each.get("type") != "null"]
            if key == "allOf" or len(parts) == 1:
                for part in parts:
                    found = self._with(found, part, depth)
        return found

    def _with(
        self, found: dict[str, Any], part: dict[str, Any], depth: int
    ) -> dict[str, Any]:
        self._lookups += 1
        if depth == MAX_HOPS or self._lookups > MAX_LOOKUPS:
            return found
        part = self._merged(dict(part), depth + 1)
        properties = {**table(part.get("properties")), **table(found.get("properties"))}
        required = [*items(part.get("required")), *items(found.get("required"))]
        merged = {**part, **found}
        if properties:
            merged |= {"properties": properties, "required": required}
        return merged

    def answer(self, operation: Operation) -> dict[str, Any]:
        """Return the response of a success."""
        responses = table(operation.table.get("responses"))
        codes = sorted(code for code in responses if code[:1] == "2")
        with_body = [code for code in codes if self.body(responses[code])]
        code = next(iter([*with_body, *codes, "default"]))
        return table(self.resolved(responses.get(code)))

    def body(self, node: Any, kind: str = "json") -> Any:
        """Return the schema of a body of this media type; None if there is none."""
        content = table(table(self.resolved(node)).get("content"))
        return next(
            (table(v).get("schema") for k, v in content.items() if kind in k), None
        )


def table(value: Any) -> dict[str, Any]:
    """Return a value if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Return a value if it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
