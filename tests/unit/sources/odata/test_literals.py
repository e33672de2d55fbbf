"""Values read exactly, and written so that a service cannot take them for anything else."""

from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tillwatch.model.audit import Value
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.literals import Dialect, Unreadable

V2 = Dialect(version=Version.V2, zone=ZoneInfo("Asia/Shanghai"))
V4 = Dialect(version=Version.V4, zone=ZoneInfo("Asia/Shanghai"))
NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


def of(kind: str, *, day: bool = False, enumerated: bool = False) -> Property:
    return Property(name="p", type=kind, day=day, enumerated=enumerated)


@pytest.mark.parametrize(
    ("dialect", "raw", "kind", "value"),
    [
        (V2, "12345678901234567.12345678901234", "Edm.Decimal", Decimal("12345678901234567.12345678901234")),
        (V4, Decimal("0.10"), "Edm.Decimal", Decimal("0.10")),
        (V4, 7, "Edm.Decimal", Decimal(7)),
        (V2, "0.1", "Edm.Double", Decimal("0.1")),
        (V2, "9223372036854775807", "Edm.Int64", 9223372036854775807),
        (V2, "/Date(1795482000000)/", "Edm.DateTime", datetime(2026, 11, 23, 17, 0, tzinfo=UTC)),
        (V2, "/Date(1795482000000+0000)/", "Edm.DateTimeOffset", NINE),
        (V2, "/Date(1795510800000+0480)/", "Edm.DateTimeOffset", NINE),
        (V2, "/Date(1795464000000-0300)/", "Edm.DateTimeOffset", NINE),
        (V2, "/Date(-1000)/", "Edm.DateTimeOffset", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (V4, "2026-11-24T09:00:00+08:00", "Edm.DateTimeOffset", NINE),
        (V4, "2026-11-24T01:00:00.1234567Z", "Edm.DateTimeOffset", NINE.replace(microsecond=123456)),
        (V4, "2026-11-24", "Edm.Date", date(2026, 11, 24)),
        (V2, "PT13H20M05S", "Edm.Time", "13:20:05"),
        (V2, "PT09H", "Edm.Time", "09:00:00"),
        (V4, GUID.upper(), "Edm.Guid", GUID),
        (V4, "", "Edm.String", ""),
        (V4, None, "Edm.Decimal", None),
        (V4, False, "Edm.Boolean", False),
    ],
)
def test_a_value_is_what_the_service_means(dialect: Dialect, raw: object, kind: str, value: Value) -> None:
    found = dialect.value(raw, of(kind))
    assert found == value
    assert type(found) is type(value)
    assert not isinstance(found, float)


def test_a_v2_time_displayed_as_a_date_is_a_day_whatever_the_zone() -> None:
    assert V2.value("/Date(1795478400000)/", of("Edm.DateTime", day=True)) == date(2026, 11, 24)
    assert V2.literal(date(2026, 11, 24), of("Edm.DateTime", day=True)) == "datetime'2026-11-24T00:00:00'"


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        ("x", "Edm.Decimal"),
        (True, "Edm.Decimal"),
        (Decimal("1.5"), "Edm.Int32"),
        (True, "Edm.Int32"),
        ("true", "Edm.Boolean"),
        ("yesterday", "Edm.DateTimeOffset"),
        ("13:20", "Edm.Time"),
        ("not a guid", "Edm.Guid"),
        (5, "Edm.String"),
    ],
)
def test_a_value_of_another_type_is_said_and_not_guessed_at(raw: object, kind: str) -> None:
    with pytest.raises(Unreadable, match=f"p is .*, which is no {kind}"):
        V4.value(raw, of(kind))


@pytest.mark.parametrize(
    ("value", "kind", "in_v2", "in_v4"),
    [
        ("O'Neil' or 1 eq 1", "Edm.String", "'O''Neil'' or 1 eq 1'", "'O''Neil'' or 1 eq 1'"),
        (Decimal("1E+2"), "Edm.Decimal", "100M", "100"),
        (Decimal("0.00000001"), "Edm.Decimal", "0.00000001M", "0.00000001"),
        (Decimal("1.5"), "Edm.Double", "1.5d", "1.5"),
        (5, "Edm.Int64", "5L", "5"),
        (5, "Edm.Int32", "5", "5"),
        (True, "Edm.Boolean", "true", "true"),
        (None, "Edm.String", "null", "null"),
        (GUID, "Edm.Guid", f"guid'{GUID}'", GUID),
        (NINE, "Edm.DateTimeOffset", "datetimeoffset'2026-11-24T01:00:00Z'", "2026-11-24T01:00:00Z"),
        (date(2026, 11, 24), "Edm.Date", "datetime'2026-11-24T00:00:00'", "2026-11-24"),
    ],
)
def test_a_literal_is_typed_and_escaped(value: Value, kind: str, in_v2: str, in_v4: str) -> None:
    assert (V2.literal(value, of(kind)), V4.literal(value, of(kind))) == (in_v2, in_v4)


def test_a_moment_is_compared_with_a_clock_without_zone_in_the_zone_of_that_clock() -> None:
    assert V2.literal(NINE, of("Edm.DateTime")) == "datetime'2026-11-24T09:00:00'"
    assert V2.literal("13:20:05", of("Edm.Time")) == "time'PT13H20M5S'"
    assert V4.literal("Open", of("Shop.State", enumerated=True)) == "Shop.State'Open'"


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("12", "Edm.Int32", 12),
        ("１２", "Edm.Int32", None),
        ("1.0", "Edm.Int32", None),
        ("1.50", "Edm.Decimal", Decimal("1.50")),
        ("NaN", "Edm.Decimal", None),
        ("TRUE", "Edm.Boolean", True),
        ("maybe", "Edm.Boolean", None),
        (GUID, "Edm.Guid", GUID),
        ("1", "Edm.Guid", None),
        ("2026-11-24", "Edm.Date", date(2026, 11, 24)),
        ("24.11.2026", "Edm.Date", None),
        ("0007", "Edm.String", "0007"),
    ],
)
def test_a_key_is_read_as_the_type_of_its_property_or_can_belong_to_nothing(text: str, kind: str, value: Value) -> None:
    assert V4.typed(text, of(kind)) == value
