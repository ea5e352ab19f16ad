"""Whatever a visitor gives, it stays in its place: host, path, names and structure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given, strategies as st

from actors.recipes.format import Recipe
from actors.recipes.load import load_recipe
from actors.recipes.parts import UnfitError
from actors.recipes.template import Values

RECIPE = """
title = "Oven"
url = "http://oven.example"
[params]
required = ["a"]
properties.a = {}
properties.b = {}
[status]
request = "GET /loaves/{ref}"
state = "state"
states = { succeeded = ["baked"], failed = ["burnt"] }
[start]
ref = "id"
request = "POST /ovens/{params.a}/start?fixed=1&by={params.a}"
query = { a = "{params.a}", "b c" = "x{params.b}" }
headers = { X-A = "{params.a}", X-B = "b {params.b}" }
"""
BODIES = {
    "json": 'json = { a = "{params.a}", d = [{ b = "x{params.b}y" }], c = "{job}" }',
    "form": 'form = { a = "{params.a}", b = "x{params.b}", c = "{job}" }',
}
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(
    allow_nan=False, allow_infinity=False
)
SCALARS = st.none() | st.booleans() | NUMBERS
VALUES = (
    st.text()
    | st.text("{}.paramsjobref/\\?#&=%\r\n \":'[],@", max_size=20)
    | SCALARS
    | st.lists(st.text(max_size=3) | SCALARS, max_size=3)
    | st.dictionaries(st.text(max_size=3), SCALARS, max_size=3)
)


def recipe_with(body: str, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    path: Path = tmp_path_factory.mktemp("recipe") / "oven.toml"
    path.write_text(RECIPE + BODIES[body])
    return load_recipe(path, {})


@pytest.fixture(scope="module")
def with_json(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return recipe_with("json", tmp_path_factory)


@pytest.fixture(scope="module")
def with_form(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    return recipe_with("form", tmp_path_factory)


@given(a=VALUES, b=VALUES)
def test_no_param_can_change_the_address(with_json: Recipe, a: Any, b: Any) -> None:
    try:
        sent = with_json.start.fill(Values(params={"a": a, "b": b}, job="j"))
    except UnfitError:
        return
    url = urlsplit("http://oven.example" + sent.path)

    assert (url.scheme, url.netloc, url.fragment) == ("http", "oven.example", "")
    assert sent.path.isascii()
    assert sent.path.isprintable()
    first, ovens, place, start = url.path.split("/")
    assert (first, ovens, start) == ("", "ovens", "start")
    assert place not in ("", ".", "..")
    names = [name for name, _ in parse_qsl(url.query, keep_blank_values=True)]
    assert set(names) <= {"fixed", "by", "a", "b c"}
    assert names[:2] == ["fixed", "by"]
    assert (names.count("fixed"), names.count("by"), names.count("b c")) == (1, 1, 1)


@given(a=VALUES, b=VALUES)
def test_no_param_can_add_a_header(with_json: Recipe, a: Any, b: Any) -> None:
    try:
        sent = with_json.start.fill(Values(params={"a": a, "b": b}, job="j"))
    except UnfitError:
        return

    assert list(sent.headers) == ["X-A", "X-B", "Content-Type"]
    assert all("\r" not in each and "\n" not in each for each in sent.headers.values())


@given(a=VALUES, b=VALUES)
def test_no_param_can_change_the_structure_of_json(
    with_json: Recipe, a: Any, b: Any
) -> None:
    try:
        sent = with_json.start.fill(Values(params={"a": a, "b": b}, job="j"))
    except UnfitError:
        return
    assert sent.body is not None
    body = json.loads(sent.body)

    assert list(body) == ["a", "d", "c"]
    assert body["c"] == "j"
    assert body["a"] == json.loads(json.dumps(a))
    [deep] = body["d"]
    assert list(deep) == ["b"]
    if isinstance(b, str):
        assert deep["b"] == f"x{b}y"


@given(a=VALUES, b=VALUES)
def test_no_param_can_add_a_field_to_a_form(with_form: Recipe, a: Any, b: Any) -> None:
    try:
        sent = with_form.start.fill(Values(params={"a": a, "b": b}, job="j"))
    except UnfitError:
        return
    assert sent.body is not None
    pairs = parse_qsl(sent.body.decode(), keep_blank_values=True)
    others = [pair for pair in pairs if pair[0] != "a"]

    assert [name for name, _ in others] == ["b", "c"]
    assert others[1] == ("c", "j")
    if isinstance(b, str):
        assert others[0] == ("b", f"x{b}")


@given(ref=st.text())
def test_no_ref_can_leave_its_place(with_json: Recipe, ref: str) -> None:
    try:
        sent = with_json.status.fill(Values(ref))
    except UnfitError:
        return

    assert sent.path.count("/") == 2
    assert sent.path.startswith("/loaves/")
    assert not {"?", "#", " "} & set(sent.path)
