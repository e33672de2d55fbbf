"""What SQLite's own functions take for a value and the reference does not is left to the reference."""

import sqlite3
from contextlib import closing

import pytest
from tests.support.audits import ZONE

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.pushdown.elements import element
from tillwatch.audit.pushdown.sqlite import RULES
from tillwatch.sources.sql.session import Column, ColumnKind

TWO_PLACES = Rule(name="v", type=FieldType.DECIMAL, zone=ZONE, scale=2)
WHOLE = Rule(name="v", type=FieldType.INTEGER, zone=ZONE)
DAY = Rule(name="v", type=FieldType.DATE, zone=ZONE)
MOMENT = Rule(name="v", type=FieldType.TIMESTAMP, zone=ZONE)


def said(rule: Rule, value: str) -> str | None:
    """The text SQLite gives for `value`; None when it leaves the value to the reference."""
    made = element(RULES, Column(sql="c", kind=ColumnKind.DYNAMIC), rule)
    with closing(sqlite3.connect(":memory:")) as database:
        text, odd = database.execute(f"SELECT {made.text}, {made.odd} FROM (SELECT {value} AS c)").fetchone()
    return None if odd else text


@pytest.mark.parametrize(
    ("rule", "text", "read"),
    [
        (TWO_PLACES, "12.5", "12.50"),
        (WHOLE, "12", "12"),
        (DAY, "2026-11-24", "2026-11-24"),
        (MOMENT, "2026-11-24 11:00:00", "2026-11-24T03:00:00.000000Z"),
    ],
)
def test_a_text_cut_off_by_a_nul_is_no_value(rule: Rule, text: str, read: str) -> None:
    assert said(rule, f"'{text}'") == read
    assert said(rule, f"'{text}' || char(0)") is None
    assert said(rule, f"'{text}' || char(0) || 'x'") is None


def test_digits_need_not_be_two() -> None:
    assert said(TWO_PLACES, "'7'") == said(TWO_PLACES, "'7.'") == "7.00"
    assert said(TWO_PLACES, "'-7'") == "-7.00"
    for text in ("", "-", "--7", ".7", "7.0.0", "7x"):
        assert said(TWO_PLACES, f"'{text}'") is None, text


def test_a_day_that_does_not_exist_is_none() -> None:
    for rule in (DAY, MOMENT):
        assert said(rule, "'2026-02-30 11:00:00'") is None
