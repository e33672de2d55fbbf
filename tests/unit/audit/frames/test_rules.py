"""What Polars says of a value is what the reference says of it, or Polars says that it cannot tell."""

import random
import sys
import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from tests.support import nasty
from tests.support.audits import ZONE

from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim, Unreadable, canonical
from tillwatch.audit.frames import rules
from tillwatch.audit.frames.columns import kind_of, series
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.keys import QUIET
from tillwatch.model.audit import Value
from tillwatch.sources.sql.session import ColumnKind

#: Of all the cases below together.
VALUES = 100_000
UTC_ZONE = ZoneInfo("UTC")
DEC, INT, FLOAT, BOOL = FieldType.DECIMAL, FieldType.INTEGER, FieldType.FLOAT, FieldType.BOOLEAN
TEXT, CODE, DATE, TIME = FieldType.TEXT, FieldType.CODE, FieldType.DATE, FieldType.TIMESTAMP


def rule(type: FieldType, **options: Any) -> Rule:
    return Rule(**({"name": "f", "type": type, "zone": ZONE} | options))


Make = Callable[[random.Random], Value]
#: A generator, how its values are compared, and the share of values that must be spoken for.
CASES: list[tuple[Make, Rule, float]] = [
    *((make, rule(DEC, scale=scale), least)
      for make, least in ((nasty.number, 0.95), (nasty.wild_number, 0.5), (nasty.double, 0.3), (nasty.whole, 1.0), (nasty.numeral, 0.3))
      for scale in (None, 0, 2, 4, 13)),
    *((make, rule(INT), least) for make, least in ((nasty.number, 0.1), (nasty.wild_number, 0.05), (nasty.whole, 1.0), (nasty.numeral, 0.05))),
    *((make, rule(FLOAT), least) for make, least in ((nasty.double, 0.3), (nasty.whole, 0.5), (nasty.numeral, 0.3), (nasty.number, 0.5))),
    *((make, rule(BOOL), least) for make, least in ((nasty.truth, 1.0), (nasty.small, 0.4), (nasty.word, 0.5))),
    (nasty.word, rule(BOOL, empty_is_null=True), 0.5),
    *((nasty.text, rule(type, **options), least) for type, options, least in (
        (TEXT, {}, 0.5), (TEXT, {"trim": Trim.RIGHT}, 0.5), (TEXT, {"empty_is_null": True}, 0.5),
        (CODE, {"trim": Trim.BOTH}, 0.5), (CODE, {"trim": Trim.BOTH, "fold_case": True}, 0.5),
        (CODE, {"trim": Trim.BOTH, "fold_width": True}, 0.5), (CODE, {"trim": Trim.BOTH, "strip_zeros": True}, 0.5),
        (CODE, {"trim": Trim.BOTH, "fold_width": True, "fold_case": True, "strip_zeros": True, "empty_is_null": True}, 0.4),
    )),
    *((make, rule(CODE, trim=Trim.BOTH, strip_zeros=True), least)
      for make, least in ((nasty.whole, 1.0), (nasty.number, 0.9), (nasty.wild_number, 0.5), (nasty.truth, 1.0), (nasty.day, 0.9))),
    *((nasty.instant, rule(TIME, precision=precision), 0.8) for precision in Precision),
    *((nasty.spelled, rule(TIME, precision=precision), 0.2) for precision in Precision),
    *((make, rule(DATE, zone=zone), least)
      for make, least in ((nasty.instant, 0.5), (nasty.day, 0.9), (nasty.spelled, 0.3)) for zone in (ZONE, UTC_ZONE)),
    (nasty.numeral, rule(DEC, scale=3, empty_is_null=True), 0.4),
    (nasty.spelled, rule(TIME, empty_is_null=True), 0.2),
]  # fmt: skip


def said(values: Sequence[Value], how: Rule) -> tuple[list[str | None], list[bool]]:
    kind = kind_of(values)
    made = rules.element(kind, pl.col("c"), how)
    frame = pl.DataFrame({"c": series(kind, values)}).select(text=made.text, odd=made.odd)
    return frame["text"].to_list(), frame["odd"].to_list()


def disagreements(values: Sequence[Value], how: Rule) -> tuple[list[tuple[Value, str | None, str | None]], int]:
    """What differs from the reference, and of how many values Polars spoke."""
    read, wrong, spoken = canonical(how), [], 0
    texts, odd = said(values, how)
    for value, text, is_odd in zip(values, texts, odd, strict=True):
        if is_odd:
            continue
        spoken += 1
        try:
            wanted = read(value)
        except Unreadable:
            wanted = "unreadable"
        if wanted != text:
            wrong.append((value, text, wanted))
    return wrong, spoken


def test_of_100000_values_of_all_types_and_rules_polars_says_what_the_reference_says() -> None:
    count = VALUES // len(CASES) + 1
    for position, (make, how, least) in enumerate(CASES):
        chance = random.Random(position)
        values = [None if n % 50 == 7 else make(chance) for n in range(count)]
        wrong, spoken = disagreements(values, how)
        assert not wrong, (how, wrong[:5])
        # A table that calls everything odd would prove nothing.
        assert spoken >= count * least, (make.__name__, how, spoken, count)


@pytest.mark.parametrize("fold_width", [False, True])
@pytest.mark.parametrize("fold_case", [False, True])
def test_every_single_character_is_said_as_the_reference_says_it(fold_width: bool, fold_case: bool) -> None:
    how = rule(CODE, trim=Trim.BOTH, fold_width=fold_width, fold_case=fold_case)
    values = [chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000]
    wrong, spoken = disagreements(values, how)
    assert wrong == []
    assert spoken > 20_000


def test_blanks_are_what_python_strips() -> None:
    assert set(rules.BLANKS) == {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}


def test_quiet_characters_have_compatible_forms_of_long_known_characters() -> None:
    """Only then every version of Unicode normalizes them alike."""
    for first, last in QUIET:
        for code in range(ord(first), ord(last) + 1):
            for character in unicodedata.normalize("NFKC", chr(code)):
                assert unicodedata.ucd_3_2_0.category(character) != "Cn" or chr(code) == character, hex(code)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None], ColumnKind.TEXT),
        ([1, 2], ColumnKind.INTEGER),
        ([Decimal(1)], ColumnKind.DECIMAL),
        ([True, False], ColumnKind.BOOLEAN),
        ([None, None], ColumnKind.TEXT),
    ],
)
def test_values_of_one_type_are_a_column(values: list[Value], kind: ColumnKind) -> None:
    assert kind_of(values) is kind


@pytest.mark.parametrize(
    "values",
    [
        [1, "1"],
        [1, True],
        [datetime(2026, 1, 1)],  # noqa: DTZ001 - without a zone on purpose
        [b"x"],
    ],
)
def test_values_of_several_types_are_left_to_the_reference(values: list[Any]) -> None:
    with pytest.raises(Refused):
        kind_of(values)


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_a_value_that_no_column_holds_is_left_to_the_reference(value: Value) -> None:
    with pytest.raises(Refused, match="no column holds"):
        series(kind_of([value]), [value])


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (ColumnKind.INTEGER, rule(DEC, factor=Decimal(12))),
        (ColumnKind.TEXT, rule(DEC, scale=30)),
        (ColumnKind.BOOLEAN, rule(DEC)),
        (ColumnKind.TEXT, rule(TIME, zone=ZoneInfo("Europe/Berlin"))),
    ],
)
def test_what_the_table_does_not_know_is_refused(kind: ColumnKind, how: Rule) -> None:
    with pytest.raises(Refused):
        rules.element(kind, pl.col("c"), how)
