"""Cells of records: taken apart, or refused when a value holds what separates them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.scroll import (
    ABSENT,
    CELL_BYTES,
    ITEM,
    MAX_CELL_BYTES,
    ODD,
    PART,
    Cell,
    key_of,
    next_size,
)


def cell(*rows: bytes, parts: int = 2) -> Cell:
    return Cell(rows=len(rows), parts=parts, items=ITEM.join(rows))


def test_a_cell_is_taken_apart_into_its_rows() -> None:
    rows = [PART + b"a" + PART + b"1", PART + b"b" + ABSENT, ODD + PART + b"c" + ABSENT]
    assert cell(*rows).split() == rows
    assert cell().split() == []


@pytest.mark.parametrize("character", [ITEM, PART, ABSENT])
def test_a_value_that_holds_what_separates_is_refused(character: bytes) -> None:
    with pytest.raises(Refused, match="control character"):
        cell(PART + b"a" + PART + b"1" + character, PART + b"b" + PART + b"2").split()


def test_a_cell_that_was_cut_off_is_refused() -> None:
    with pytest.raises(Refused):
        Cell(rows=2, parts=2, items=PART + b"a" + PART + b"1").split()


def test_the_key_is_what_a_row_begins_with() -> None:
    assert key_of(PART + "商品".encode() + PART + b"7" + PART + b"x" + ABSENT, 2) == ("商品", "7")
    assert key_of(PART + b"a" + ABSENT, 1) == ("a",)
    assert key_of(ODD + PART + b"a" + ABSENT + ABSENT, 1) == ("a",)
    assert key_of(PART + b"" + PART + b"x", 1) == ("",)


@pytest.mark.parametrize("item", [ABSENT + PART + b"x", PART + b"a" + ABSENT + PART + b"x", b""])
def test_an_absent_key_is_refused(item: bytes) -> None:
    with pytest.raises(Refused):
        key_of(item, 2)


def test_a_value_never_stands_in_for_an_absent_key() -> None:
    with pytest.raises(Refused):
        key_of(ABSENT + PART + b"x", 1)


@given(size=st.integers(1, 50_000), given_bytes=st.integers(0, 100_000_000), limit=st.integers(1, 50_000))
def test_the_next_cell_is_never_empty_and_never_far_too_large(size: int, given_bytes: int, limit: int) -> None:
    asked = next_size(size, given_bytes, limit)
    assert 1 <= asked <= max(limit, size)
    assert asked <= size * 4
    expected = asked * given_bytes / size
    assert expected <= max(CELL_BYTES, given_bytes / size)
    if given_bytes > MAX_CELL_BYTES:
        assert asked < size or size == 1
