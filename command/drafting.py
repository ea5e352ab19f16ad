"""Drafts a recipe out of an OpenAPI document; all that is not sure is marked."""

from __future__ import annotations

import re
from typing import Any

from .draft import CHECK, Draft
from .openapi import Document, Operation, items, table
from .operations import Chosen, base, sampled
from .samples import Sample
from .schemas import Example, as_param
from .servers import put_security, put_url
from .words import STATES, meaning, plain

MAX_PARAMS = 40
_NAME = re.compile(r"[\w-]+")
_ENDS = {"done", "finished", "completed", "is_done", "is_finished", "complete"}
_VALUES = ("percent", "fraction", "done", "total", "message", "error")
_BODIES = {"json": "json", "form": "urlencoded", "multipart": "multipart"}


class Drafting:
    """Writes one recipe; `name` is that of its file, without `.toml`."""

    def __init__(self, name: str, document: Document, chosen: Chosen) -> None:
        self._name, self._document, self._chosen = name, document, chosen
        self._draft = Draft()
        self._params: dict[str, Any] = {}
        self._required: list[str] = []
        self._doubts: list[str] = []

    def draft(self) -> Draft:
        """Return the recipe."""
        info = table(self._document.content.get("info"))
        title = str(info.get("title") or self._name).replace("${", "$ {")
        self._draft.put("title", title)
        put_url(self._draft, self._name, self._document)
        put_security(self._draft, self._name, self._document, self._chosen.start)
        self._take_start()
        self._put_params()
        self._put_start()
        self._put_status()
        self._put_actions()
        return self._draft

    def _take_start(self) -> None:
        """Collect the params: those of the path and the query, then the body's."""
        start = self._chosen.start
        self._query: dict[str, str] = {}
        for each in self._document.parameters(start):
            name, where = str(each.get("name", "")), each.get("in")
            if where == "path" or (where == "query" and each.get("required")):
                self._add(name, each.get("schema"), is_required=True)
            if where == "query" and each.get("required"):
                self._query[name] = f"{{params.{name}}}"
            if where == "header" and each.get("required"):
                self._doubts.append(f"it needs the header {name}.")
        for name in re.findall(r"\{([^{}]+)\}", start.path):
            if name not in self._params:
                self._add(name, {"type": "string"}, is_required=True)
        self._others = list(self._params)
        self._take_body(start)

    def _take_body(self, start: Operation) -> None:
        node = start.table.get("requestBody")
        self._kind = next(
            (k for k, t in _BODIES.items() if self._document.body(node, t)), ""
        )
        schema = self._document.body(node, _BODIES.get(self._kind, "json"))
        found = self._document.schema(schema)
        properties = table(found.get("properties"))
        if self._kind and not properties:
            self._doubts.append("the document does not say which fields its body has.")
        if len(properties) > MAX_PARAMS:
            self._doubts.append(f"only {MAX_PARAMS} fields of its body are here.")
        for name in list(properties)[:MAX_PARAMS]:
            if not table(self._document.resolved(properties[name])).get("readOnly"):
                is_required = name in items(found.get("required"))
                self._add(name, properties[name], is_required=is_required)

    def _add(self, name: str, schema: Any, *, is_required: bool) -> None:
        if not _NAME.fullmatch(name):
            self._doubts.append(f"the param {name!r} is left out for its name.")
            return
        self._params[name] = as_param(self._document, schema)
        if is_required and name not in self._required:
            self._required.append(name)

    def _put_params(self) -> None:
        if self._required:
            self._draft.put("params.required", self._required)
        for name, schema in self._params.items():
            for key, value in schema.items():
                self._draft.put(("params", "properties", name, key), value)
            if not schema:
                path = ("params", "properties", name)
                self._draft.put(path, {"title": name}, f"{CHECK} which type is it?")

    def _put_start(self) -> None:
        start, put = self._chosen.start, self._draft.put
        put("start.request", f"{start.method} {self._path(start.path, '')}")
        for why in self._doubts:
            self._draft.doubt("start.request", why)
        inside = [name for name in self._params if name not in self._others]
        if self._query:
            put("start.query", self._query)
        if inside and (self._kind != "json" or self._others):
            fields = {name: f"{{params.{name}}}" for name in inside}
            put(f"start.{self._kind}", fields)
        self._put_ref()

    def _put_ref(self) -> None:
        sample = sampled(self._document, self._chosen.start)[1]
        headers = table(self._document.answer(self._chosen.start).get("headers"))
        name = re.findall(r"\{([^{}]+)\}", self._chosen.status.path)[-1]
        where = sample.named(name) or sample.where.get("ref")
        self._is_address = not where and "location" in map(str.lower, headers)
        if self._is_address:
            self._draft.put("start.ref", {"header": "Location"})
            return
        self._draft.put("start.ref", where or "id")
        if not where:
            self._draft.doubt("start.ref", "the document does not say where the id is.")

    def _path(self, path: str, ref: str) -> str:
        """Return a path of the document with our placeholders; `ref` is the job's."""
        whole = base(path)
        if ref and self._is_address:
            return "{ref}" + path[len(whole) :]
        if ref:
            head = whole[: whole.rindex("{")]
            return self._path(head, "") + "{ref}" + path[len(whole) :]
        names = re.findall(r"\{([^{}]+)\}", path)
        for name in names:
            path = path.replace(f"{{{name}}}", f"{{params.{name}}}")
        return path

    def _put_status(self) -> None:
        status = self._chosen.status
        example, sample = sampled(self._document, status)
        self._draft.put("status.request", f"GET {self._path(status.path, '{ref}')}")
        self._doubt_needs("status.request", status)
        self._put_state(example, sample)
        for key in _VALUES:
            if where := sample.where.get(key):
                self._draft.put(f"status.{key}", where)
                if key == "percent" and where in example.unbounded:
                    why = "0 to 100? If it is 0 to 1, call this `fraction`."
                    self._draft.doubt("status.percent", why)

    def _put_state(self, example: Example, sample: Sample) -> None:
        where = sample.where.get("state")
        flags = (f for f in example.flags if plain(f.rpartition(".")[2]) in _ENDS)
        if where is None and (flag := next(flags, None)):
            bad = sample.where.get("error", "error")
            when = {"succeeded": f"{flag} && !({bad})", "failed": f"{flag} && {bad}"}
            self._draft.put("status.when", {**when, "running": "else"})
            self._draft.doubt("status.when", "is it over when this is true?")
            return
        self._draft.put("status.state", where or "status")
        if where is None:
            self._draft.doubt("status.state", "where is the state?")
        self._put_words(example.words.get(where or "", []))

    def _put_words(self, told: list[Any]) -> None:
        known: dict[str, list[str]] = {}
        for word in told:
            if status := meaning(word):
                known.setdefault(status, []).append(word)
        strange = [word for word in told if not meaning(word)]
        for status, usual in STATES.items():
            if words := known.get(status, [] if told else list(usual[:3])):
                self._draft.put(f"status.states.{status}", words)
        for end, guess in {"succeeded": ["succeeded"], "failed": []}.items():
            if told and end not in known:
                self._draft.put(f"status.states.{end}", guess)
                self._draft.doubt(f"status.states.{end}", "no word looks like it.")
        if not told:
            self._draft.doubt("status.states", "the document does not say the words.")
        if strange:
            self._draft.doubt("status.states", f"which are {', '.join(strange)}?")

    def _put_actions(self) -> None:
        found = dict(self._chosen.actions)
        _, sample = sampled(self._document, self._chosen.status)
        if not ({"pause", "resume"} <= found.keys() and self._can_pause(sample)):
            found = {k: v for k, v in found.items() if k == "cancel"}
        for name, each in found.items():
            path = self._path(each.path, "{ref}")
            self._draft.put(f"{name}.request", f"{each.method} {path}")
            self._doubt_needs(f"{name}.request", each)
            if each.method == "DELETE":
                why = "does this stop the job, or only forget it?"
                self._draft.doubt(f"{name}.request", why)

    def _can_pause(self, sample: Sample) -> bool:
        example = sampled(self._document, self._chosen.status)[0]
        words = example.words.get(sample.where.get("state", ""), [])
        return any(meaning(word) == "paused" for word in words)

    def _doubt_needs(self, key: str, operation: Operation) -> None:
        needs = [
            f"{each.get('in')} {each.get('name')}"
            for each in self._document.parameters(operation)
            if each.get("required") and each.get("in") != "path"
        ]
        if table(self._document.resolved(operation.table.get("requestBody"))).get(
            "required"
        ):
            needs.append("a body")
        if needs:
            self._draft.doubt(key, f"it also needs {', '.join(needs)}.")
