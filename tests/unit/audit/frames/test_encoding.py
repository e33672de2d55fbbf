"""Rows encoded in columns are the bytes, and the faults, that the encoder of single rows makes."""

import random
from decimal import Decimal
from typing import Any

import pytest
from tests.support import nasty
from tests.support.audits import ZONE
from tests.support.engines import spec_of

from tillwatch.audit.declare import Declared, declare
from tillwatch.audit.frames.encoding import Batches
from tillwatch.audit.rows import Encoder
from tillwatch.audit.shape import Shape
from tillwatch.config.schema import Field
from tillwatch.errors import SchemaMismatch
from tillwatch.model.audit import Row

FIELDS = {
    "qty": Field(type="decimal", scale=4),
    "price": Field(type="decimal"),
    "name": Field(type="text"),
    "at": Field(type="timestamp"),
    "day": Field(type="date"),
    "paid": Field(type="boolean"),
    "weight": Field(type="float"),
    "points": Field(type="integer"),
}


def declared(key: tuple[str, ...] = ("id", "shop"), **changes: Any) -> Declared:
    return declare(spec_of(key, FIELDS, **changes), ZONE)


def row(chance: random.Random, number: int) -> Row:
    return {
        "id": number,
        "shop": chance.choice(("s1", " s2", "店二", 's"3', "é", "e\u0301")),
        "qty": nasty.wild_number(chance),
        "price": nasty.number(chance),
        "name": chance.choice((None, nasty.text(chance), "\ud800" if number % 97 == 0 else "x")),
        "at": nasty.instant(chance) if number < 1000 else nasty.spelled(chance),
        "day": nasty.day(chance),
        "paid": nasty.truth(chance) if number % 500 else "perhaps",
        "weight": nasty.numeral(chance),
        "points": nasty.whole(chance),
    }


def both(how: Declared, rows: list[Row]) -> tuple[Encoder, Encoder]:
    """The encoders of single rows and of columns, after they made the same bytes of `rows`."""
    one, many = Encoder(how, how.left_context, "till.rows"), Encoder(how, how.left_context, "till.rows")
    wanted = [line for line in map(one.encode, rows) if line is not None]
    given = [line for start in range(0, len(rows), 250) for line in Batches(many).encode(rows[start : start + 250])]
    assert given == wanted
    return one, many


def test_rows_in_columns_are_the_same_bytes_with_the_same_faults() -> None:
    chance = random.Random(1)
    rows = [row(chance, number) for number in range(2000)]
    one, many = both(declared(), rows)
    assert one.faults.unreadable > 100
    assert many.faults == one.faults


@pytest.mark.parametrize("keys", [[1, None, 2], ["a", None, "b"], ["a", 1, Decimal(1)], ["\ud800", "b", "c"], [True, False, True], [Decimal("1.0"), Decimal(2), None]])  # fmt: skip
def test_a_key_that_cannot_be_used_is_counted_and_one_written_differently_is_told(keys: list[Any]) -> None:
    chance = random.Random(2)
    one, many = both(declared(("id",)), [row(chance, 7) | {"id": key} for key in keys])
    assert many.faults.keyless == one.faults.keyless


def test_what_is_shown_and_priced_beside_is_encoded_too() -> None:
    chance = random.Random(3)
    rows = [row(chance, number) | {"cost": nasty.number(chance)} for number in range(100)]
    how = declared(value="abs(left.qty * left.cost)")
    assert [rule.name for rule in how.left_context] == ["cost"]
    both(how, rows)


def test_a_field_that_is_the_same_in_all_rows_of_a_side_is_not_looked_for() -> None:
    chance = random.Random(4)
    rows = [row(chance, number) for number in range(100)]
    for one in rows:
        del one["name"]
    shape = Shape(functions={}, constants={"name": "CNY"})
    one, many = (Encoder(declared(), (), "till.rows", shape) for _ in range(2))
    wanted = [line for line in map(one.encode, rows) if line is not None]
    assert Batches(many).encode(rows) == wanted


def test_an_absent_column_is_named() -> None:
    encoder = Encoder(declared(), (), "till.rows")
    with pytest.raises(SchemaMismatch, match=r"till.rows: a row has no field 'qty'"):
        Batches(encoder).encode([{"id": 1, "shop": "s"}])
