"""Zones whose clocks a database may compute with, and columns that are refused."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.audit.pushdown import mysql, postgresql, sqlite
from tillwatch.audit.pushdown.elements import Refused, element, steady
from tillwatch.sources.sql.session import Column, ColumnKind

SHANGHAI = ZoneInfo("Asia/Shanghai")


def rule(type: FieldType, scale: int | None = None) -> Rule:
    return Rule(name="f", type=type, scale=scale, zone=SHANGHAI)


def test_shanghai_keeps_its_clock_since_its_last_summer_time() -> None:
    clock = steady(SHANGHAI)
    assert clock.offset_seconds == 8 * 3600
    assert datetime(1991, 9, 15, tzinfo=UTC) < clock.since < datetime(1991, 10, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/New_York"])
def test_a_zone_with_summer_time_is_refused(name: str) -> None:
    with pytest.raises(Refused, match=f"the clock of {name} still changes"):
        steady(ZoneInfo(name))


@pytest.mark.parametrize(
    ("table", "kind", "type", "scale", "reason"),
    [
        (postgresql.RULES, ColumnKind.BOOLEAN, FieldType.DECIMAL, None, "declared decimal and its column is boolean"),
        (postgresql.RULES, ColumnKind.TEXT, FieldType.TIMESTAMP, None, "declared timestamp and its column is text"),
        (mysql.RULES, ColumnKind.DECIMAL, FieldType.DECIMAL, 31, "more than 30 places"),
        (sqlite.RULES, ColumnKind.DYNAMIC, FieldType.DECIMAL, 10, "more than 9 places"),
    ],
)
def test_what_a_database_cannot_say_as_we_do_is_refused(
    table: postgresql.Table, kind: ColumnKind, type: FieldType, scale: int | None, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        element(table, Column(sql="c", kind=kind), rule(type, scale))


def test_text_in_the_change_field_is_refused_because_the_source_reads_it_as_a_moment() -> None:
    with pytest.raises(Refused, match="change field"):
        element(postgresql.RULES, Column(sql="c", kind=ColumnKind.TEXT, marks_change=True), rule(FieldType.TEXT))
