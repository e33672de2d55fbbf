"""What goes in comes out, the same on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, MetaData, Table, insert, select

from tillwatch.store.db import Database
from tillwatch.store.types import DecimalText, JsonDocument, RowId, UtcDateTime, dumps

metadata = MetaData()
values = Table(
    "values_of_types",
    metadata,
    Column("id", RowId, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime),
    Column("amount", DecimalText),
    Column("document", JsonDocument),
    sqlite_autoincrement=True,
)
SHANGHAI = timezone(timedelta(hours=8))


@pytest.fixture
def typed(database: Database) -> Database:
    database.write(lambda connection: metadata.create_all(connection))
    return database


def round_trip(database: Database, **given_values: object) -> Any:
    def job(connection: Connection) -> Any:
        key = connection.execute(insert(values).values(**given_values)).inserted_primary_key
        assert key is not None
        return connection.execute(select(values).where(values.c.id == key[0])).mappings().one()

    return database.write(job)


@pytest.mark.parametrize(
    "instant",
    [
        datetime(2026, 11, 24, 11, 0, 0, 1, tzinfo=SHANGHAI),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_an_instant_comes_back_to_the_microsecond_in_utc(typed: Database, instant: datetime) -> None:
    found = round_trip(typed, at=instant)["at"]
    assert (found, found.tzinfo) == (instant, UTC)


def test_instants_sort_and_compare_by_time_whatever_zone_they_came_in(typed: Database) -> None:
    early = datetime(2026, 11, 24, 9, 59, 59, 999999, tzinfo=SHANGHAI)
    late = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    for instant in (late, early):
        round_trip(typed, at=instant)
    with typed.read() as connection:
        assert list(connection.execute(select(values.c.at).order_by(values.c.at)).scalars()) == [early, late]
        assert list(connection.execute(select(values.c.at).where(values.c.at < late)).scalars()) == [early]


def test_a_naive_instant_is_refused(typed: Database) -> None:
    with pytest.raises(Exception, match=r"2026-11-24T00:00:00 has no time zone"):
        round_trip(typed, at=datetime(2026, 11, 24))  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize("amount", ["0.10", "-0", "1E+3", "123456789012345678901234567890.123456789", "0.00"])
def test_an_amount_keeps_every_digit(typed: Database, amount: str) -> None:
    assert str(round_trip(typed, amount=Decimal(amount))["amount"]) == amount


@pytest.mark.parametrize("amount", ["NaN", "Infinity"])
def test_what_is_no_amount_is_refused(typed: Database, amount: str) -> None:
    with pytest.raises(Exception, match="is not an amount"):
        round_trip(typed, amount=Decimal(amount))


def test_nothing_stays_nothing(typed: Database) -> None:
    row = round_trip(typed, at=None, amount=None, document=None)
    assert (row["at"], row["amount"], row["document"]) == (None, None, None)


def test_a_document_keeps_its_order_and_takes_what_the_domain_is_made_of(typed: Database) -> None:
    document = {
        "z": Decimal("1.50"),
        "a": datetime(2026, 11, 24, 11, tzinfo=SHANGHAI),
        "m": MappingProxyType({"店": (1, 2)}),
        "s": {"b", "a"},
    }
    found = round_trip(typed, document=document)["document"]
    assert list(found) == ["z", "a", "m", "s"]
    assert found == {"z": "1.50", "a": "2026-11-24T11:00:00+08:00", "m": {"店": [1, 2]}, "s": ["a", "b"]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"bytes"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        dumps({"x": value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=json_values.filter(lambda value: value is not None))
def test_any_json_comes_back_as_it_was(typed: Database, document: object) -> None:
    assert round_trip(typed, document=document)["document"] == document
