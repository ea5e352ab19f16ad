"""JSON from outside may be nested 32 deep, on every Python alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from actors import TooDeepError, parse_json
from actors.limits import MAX_NESTING

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def lists(depth: int) -> str:
    return "[" * depth + "1" + "]" * depth


def objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@given(values)
def test_it_is_read_as_it_was_written(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("nested", [lists, objects])
def test_as_deep_as_allowed_is_read(nested: Any) -> None:
    assert parse_json(nested(MAX_NESTING)) == json.loads(nested(MAX_NESTING))


@pytest.mark.parametrize("nested", [lists, objects])
@pytest.mark.parametrize("depth", [MAX_NESTING + 1, 500, 990, 9_990, 100_000])
def test_deeper_is_refused(nested: Any, depth: int) -> None:
    for text in (nested(depth), nested(depth).encode()):
        with pytest.raises(TooDeepError):
            parse_json(text)


def test_wide_is_not_deep() -> None:
    wide = json.dumps([[{"a": []}] for _ in range(1000)])

    assert len(parse_json(wide)) == 1000


def test_brackets_in_texts_are_not_nesting() -> None:
    assert parse_json(json.dumps("[{" * 1000)) == "[{" * 1000
