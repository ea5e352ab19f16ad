"""Expressions: a wrong value is null, and one that cannot be meant is refused."""

from __future__ import annotations

import pytest

from actors.recipes.expression import Expression


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("contains(nothing, 'x') || 'else'", "else"),
        ("minus(five, 'three')", None),
        ("minus('7', five)", 2),
        ("match(nothing, 'x')", None),
        ("match('abc', 'x|(b)')", "b"),
        ("to_number('nan') < five", False),
        ("ceil(to_number('inf'))", None),
        ("abs('x')", None),
    ],
)
def test_a_function_of_a_wrong_value_is_null(text: str, found: object) -> None:
    assert Expression(text).find({"five": 5}) == found


@pytest.mark.parametrize(
    "text",
    [
        *("!a.b", "x && !a.b", "!a[0].b", "[?!a.b]", "length(!a.b)", "!a[]"),
        *("lenght(a)", "minus(a)", "minus(a, b, c)", "match(a, '(')", "match(a, `1`)"),
    ],
)
def test_an_expression_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Expression(text)


@pytest.mark.parametrize(
    "text", ["!(a.b)", "!a", "!a || b.c", "!a[0]", "![0]", "not_null(a, b, c)", "a.b"]
)
def test_other_negations_are_fine(text: str) -> None:
    Expression(text)
