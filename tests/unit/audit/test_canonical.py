"""One text for one meaning, whatever the system writes."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim, Unreadable, canonical, printable
from tillwatch.model.audit import Value

SHANGHAI = ZoneInfo("Asia/Shanghai")


def read(value: Value, kind: str, **options: Any) -> str | None:
    return canonical(Rule(name="f", type=FieldType(kind), zone=SHANGHAI, **options))(value)


DECIMALS: list[tuple[Value, int | None, str]] = [
    (Decimal("79.19"), 4, "79.1900"),
    (Decimal("79.1900"), None, "79.19"),
    ("79.19", 2, "79.19"),
    (79, 2, "79.00"),
    (Decimal("-0.00"), 2, "0.00"),
    (Decimal("-0.004"), 2, "0.00"),
    (Decimal("-0"), None, "0"),
    (Decimal("2.5"), 0, "3"),
    (Decimal("0.125"), 2, "0.13"),
    (Decimal("-0.125"), 2, "-0.13"),
    (Decimal("1E+3"), None, "1000"),
    (Decimal("1E-7"), None, "0.0000001"),
    (Decimal("1E+3"), 2, "1000.00"),
    ("１２.５", 2, "12.50"),
    (" 12.5 ", 2, "12.50"),
    (0.1, None, "0.1"),
    (Decimal("12345678901234567890123456789.12"), 2, "12345678901234567890123456789.12"),
    ("1e2", 1, "100.0"),
    (".5", 1, "0.5"),
    ("+7", 0, "7"),
]


@pytest.mark.parametrize(("value", "scale", "expected"), DECIMALS)
def test_a_decimal_has_no_exponent_no_negative_zero_and_is_rounded_half_up(
    value: Value, scale: int | None, expected: str
) -> None:
    assert read(value, "decimal", scale=scale) == expected


@pytest.mark.parametrize(
    "value",
    ["", "abc", "1,234.50", "1_000", "NaN", "Infinity", Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), True,
     "1e999999999", Decimal("1E+999999"), float("nan"), date(2026, 1, 1), "--1", "1.2.3"],
)  # fmt: skip
@pytest.mark.parametrize("scale", [None, 2])
def test_what_is_no_finite_number_is_unreadable_never_guessed(value: Value, scale: int | None) -> None:
    with pytest.raises(Unreadable):
        read(value, "decimal", scale=scale)


@pytest.mark.parametrize(
    ("value", "expected"), [(7, "7"), ("007", "7"), (Decimal("7.00"), "7"), ("-0", "0"), ("７", "7"), (7.0, "7")]
)
def test_an_integer_loses_leading_zeros(value: Value, expected: str) -> None:
    assert read(value, "integer") == expected


@pytest.mark.parametrize("value", ["7.5", Decimal("0.1"), True, "", "1e99999", "x"])
def test_a_fraction_is_no_integer(value: Value) -> None:
    with pytest.raises(Unreadable):
        read(value, "integer")


TEXTS: list[tuple[Value, dict[str, Any], str]] = [
    ("001234", {}, "001234"),
    (" 001234 ", {"trim": Trim.BOTH}, "001234"),
    ("　ＳＫＵ　", {"trim": Trim.BOTH}, "ＳＫＵ"),
    ("a ", {}, "a "),
    (" a ", {"trim": Trim.RIGHT}, " a"),
    ("ＳＫＵ０１２３", {}, "ＳＫＵ０１２３"),
    ("ＳＫＵ０１２３", {"fold_width": True}, "SKU0123"),
    ("e\u0301", {}, "é"),
    ("牛奶（大）", {}, "牛奶（大）"),
    ("ABC", {"fold_case": True}, "abc"),
    (123, {}, "123"),
    (Decimal("1E+2"), {}, "100"),
    (True, {}, "true"),
    ("😀", {}, "😀"),
    ("", {}, ""),
]


@pytest.mark.parametrize(("value", "options", "expected"), TEXTS)
def test_a_code_keeps_its_zeros_and_changes_only_as_declared(value: Value, options: Any, expected: str) -> None:
    assert read(value, "code", **options) == expected


def test_null_and_empty_are_two_things_unless_declared_one() -> None:
    assert read(None, "text") is None
    assert read("", "text") == ""
    assert read("", "text", empty_is_null=True) is None
    assert read("  ", "decimal", empty_is_null=True) is None


def test_half_a_character_is_unreadable_and_printable() -> None:
    with pytest.raises(Unreadable) as caught:
        read("a\ud800", "text")
    assert caught.value.raw == "a\\ud800"
    assert printable("a\x00b") == "a\\x00b"
    assert len(printable("x" * 10_000)) < 300


MOMENTS: list[tuple[Value, dict[str, Any], str]] = [
    (datetime(2026, 11, 24, 3, tzinfo=UTC), {}, "2026-11-24T03:00:00.000000Z"),
    (datetime(2026, 11, 24, 11, tzinfo=timezone(timedelta(hours=8))), {}, "2026-11-24T03:00:00.000000Z"),
    (datetime(2026, 11, 24, 11), {}, "2026-11-24T03:00:00.000000Z"),  # noqa: DTZ001 - naive on purpose
    ("2026-11-24 11:00:00", {}, "2026-11-24T03:00:00.000000Z"),
    ("2026-11-24T11:00:00+08:00", {}, "2026-11-24T03:00:00.000000Z"),
    ("2026/11/24 11:00:00.999999", {"precision": Precision.SECOND}, "2026-11-24T03:00:00Z"),
    ("2026-11-24 11:00:00.999999", {"precision": Precision.MILLISECOND}, "2026-11-24T03:00:00.999Z"),
    # Shanghai had daylight saving time in 1988; a fixed +8 would be wrong.
    (datetime(1988, 7, 1, 12), {}, "1988-07-01T03:00:00.000000Z"),  # noqa: DTZ001
    (date(2026, 11, 24), {}, "2026-11-23T16:00:00.000000Z"),
]


@pytest.mark.parametrize(("value", "options", "expected"), MOMENTS)
def test_a_time_is_utc_to_the_declared_precision_cut_not_rounded(value: Value, options: Any, expected: str) -> None:
    assert read(value, "timestamp", **options) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 11, 24), "2026-11-24"),
        ("2026-11-24", "2026-11-24"),
        ("20261124", "2026-11-24"),
        (datetime(2026, 11, 23, 16, tzinfo=UTC), "2026-11-24"),
        (datetime(2026, 11, 24, 23, 59), "2026-11-24"),  # noqa: DTZ001
    ],
)
def test_a_date_is_the_day_in_the_declared_zone(value: Value, expected: str) -> None:
    assert read(value, "date") == expected


@pytest.mark.parametrize("value", ["", "24.11.2026", 20261124, "soon", datetime.max.replace(tzinfo=UTC)])
def test_what_is_no_date_is_unreadable(value: Value) -> None:
    with pytest.raises(Unreadable):
        read(value, "date")


@pytest.mark.parametrize("value", [True, 1, "1", "Y", "yes", "是", "Ｘ", "TRUE", Decimal(1)])
def test_true_has_many_spellings(value: Value) -> None:
    assert read(value, "boolean") == "true"


@pytest.mark.parametrize("value", [False, 0, "0", "n", "否", "off"])
def test_so_has_false(value: Value) -> None:
    assert read(value, "boolean") == "false"


@pytest.mark.parametrize("value", ["", "2", 2, "maybe"])
def test_what_is_neither_is_unreadable(value: Value) -> None:
    with pytest.raises(Unreadable):
        read(value, "boolean")


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_reading_a_canonical_decimal_changes_nothing(number: Decimal) -> None:
    for scale in (None, 2, 4):
        once = read(number, "decimal", scale=scale)
        assert read(once, "decimal", scale=scale) == once


@given(st.text(), st.sampled_from(list(Trim)), st.booleans(), st.booleans())
def test_reading_a_canonical_text_changes_nothing(text: str, trim: Trim, width: bool, case: bool) -> None:
    options = {"trim": trim, "fold_width": width, "fold_case": case}
    once = read(text, "code", **options)
    assert read(once, "code", **options) == once


@pytest.mark.parametrize(
    ("raw", "stripped"),
    [("000000000000004711", "4711"), ("0000", "0"), ("00A7", "00A7"), (" 0042 ", "42"), ("", ""), ("４２", "４２")],
)
def test_zeros_in_front_of_digits_are_dropped_on_request_only(raw: str, stripped: str) -> None:
    assert read(raw, "code", trim=Trim.BOTH, strip_zeros=True) == stripped
    assert read(raw, "code", trim=Trim.BOTH) == raw.strip()


@pytest.mark.parametrize("raw", ["00000000", "0000-00-00", "00000000000000", "0000-00-00 00:00:00"])
def test_the_zero_dates_of_sap_and_mysql_are_no_date(raw: str) -> None:
    assert read(raw, "date") is None
    assert read(raw, "timestamp") is None


def test_a_moment_written_as_fourteen_digits_is_read_in_the_declared_zone() -> None:
    assert read("20261124080000", "timestamp") == "2026-11-24T00:00:00.000000Z"


@pytest.mark.parametrize("tick", ["2026-11-24 08:00:00.003", "2026-11-24 08:00:00.007", "2026-11-24 08:00:00.0099999"])
def test_the_ticks_of_sql_server_are_equal_to_the_hundredth(tick: str) -> None:
    rounded = "2026-11-24 08:00:00.000"
    coarse = Precision.CENTISECOND
    assert read(tick, "timestamp", precision=coarse) == read(rounded, "timestamp", precision=coarse)


@pytest.mark.parametrize(
    ("raw", "text"),
    [(0.1, "0.1"), ("0.10", "0.1"), (Decimal("0.1"), "0.1"), (-0.0, "0.0"), (1, "1.0"), ("1e21", "1e+21")],
)
def test_a_double_is_the_same_however_it_is_written(raw: Value, text: str) -> None:
    assert read(raw, "float") == text


@pytest.mark.parametrize("raw", [float("nan"), float("inf"), "NaN", "abc", True])
def test_what_is_no_finite_number_is_no_double(raw: Value) -> None:
    with pytest.raises(Unreadable):
        read(raw, "float")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_double_reads_back_as_the_same_double(number: float) -> None:
    text = read(number, "float")
    assert text is not None
    assert float(text) == number
    assert read(text, "float") == text
