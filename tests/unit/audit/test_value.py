"""What a difference is worth: parsed by us, exact, and wrong expressions say where."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.value import EXACT, MAX_CHARACTERS, MAX_DEPTH, parse
from tillwatch.errors import UsageError

LEFT = {"quantity": "3.5", "price": "2.00", "name": "牛奶", "nothing": None}
RIGHT = {"quantity": "5", "price": "2.10"}

WORTH = [
    ("abs(left.quantity - right.quantity) * left.price", "3.00"),
    ("left.quantity * left.price", "7.000"),
    ("1 + 2 * 3", "7"),
    ("(1 + 2) * 3", "9"),
    ("10 - 2 - 3", "5"),
    ("-left.quantity", "3.5"),
    ("2 - 5", "3"),
    ("--2", "2"),
    ("min(left.quantity, right.quantity, 4)", "3.5"),
    ("max(left.quantity, right.quantity)", "5"),
    ("coalesce(left.nothing, left.quantity)", "3.5"),
    ("coalesce(left.nothing, 0)", "0"),
    ("left.nothing + 1", "0"),
    ("max(left.nothing, 5)", "0"),
    ("left.name * 2", "0"),
    ("coalesce(left.name, 4)", "4"),
    ("left.absent", "0"),
    ("0.1 + 0.2", "0.3"),
    ("", "0"),
    ("  ", "0"),
]


@pytest.mark.parametrize(("text", "expected"), WORTH)
def test_an_expression_is_worth(text: str, expected: str) -> None:
    assert parse(text).of(LEFT, RIGHT) == Decimal(expected)


def test_a_row_that_is_not_there_is_null_in_every_field() -> None:
    value = parse("abs(coalesce(left.quantity, 0) - coalesce(right.quantity, 0)) * coalesce(left.price, right.price)")
    assert value.of(LEFT, None) == Decimal("7.00")
    assert value.of(None, RIGHT) == Decimal("10.50")
    assert value.of(None, None) == 0


def test_it_knows_which_fields_it_needs() -> None:
    value = parse("left.amount - right.amount + left.tax")
    assert (sorted(value.left), sorted(value.right)) == (["amount", "tax"], ["amount"])


def test_thirty_digit_amounts_are_exact() -> None:
    digits = 123456789012345678901234567890112
    big = f"{digits // 100}.{digits % 100}"
    worth = parse("left.a * left.b").of({"a": big, "b": big}, None)
    assert int(worth.scaleb(4, EXACT)) == digits**2


WRONG = [
    ("abs(", "column 5: the end stands where a value is expected, such as left.price or 1.5"),
    ("left.a right.b", "column 8: 'right.b' is not expected here; write +, - or * between two values"),
    ("foo(1)", "column 1: 'foo' is not known; functions: abs, coalesce, max, min"),
    ("absx(1)", "column 1: 'absx' is not known; did you mean 'abs'?"),
    ("left", "column 1: 'left' is not known; write left.FIELD"),
    ("erp.amount", "column 1: 'erp.amount' is not known; write left.amount or right.amount"),
    ("1 + * 2", "column 5: '*' stands where a value is expected, such as left.price or 1.5"),
    ("(1", "column 3: the end stands where ')' is expected, opened at column 1"),
    ("abs(1, 2)", "column 1: abs takes one value, 2 are given"),
    ("left.a / 2", "column 8: '/' is not expected here; write +, - or * between two values"),
    ("abs", "column 1: 'abs' is a function; write abs(…)"),
    ("1; import os", "column 2: ';' is not expected here; write +, - or * between two values"),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_wrong_expression_says_where_and_what_to_write(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value) == f"value: '{text}': {message}"


def test_endless_expressions_are_refused() -> None:
    with pytest.raises(UsageError, match=f"at most {MAX_CHARACTERS}"):
        parse("1+" * MAX_CHARACTERS + "1")
    with pytest.raises(UsageError, match=f"deeper than {MAX_DEPTH}"):
        parse("(" * 60 + "1" + ")" * 60)
    with pytest.raises(UsageError, match=f"deeper than {MAX_DEPTH}"):
        parse("-" * 60 + "1")


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_say_why_not(text: str) -> None:
    try:
        value = parse(text)
    except UsageError:
        return
    assert value.of(LEFT, RIGHT) >= 0
