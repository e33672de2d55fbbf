"""Asking only for what changed misses nothing, on every kind of system and in its own time."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from tests.conformance.sources.conftest import erp_refused_logins, erp_source
from tests.conformance.sources.test_reading import rows_of
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres

from tillwatch.clock import SystemClock
from tillwatch.errors import UsageError
from tillwatch.lab.erp import Erp
from tillwatch.sources.base import Line, MemoryBreaker, OrderDocument
from tillwatch.sources.sql import SqlOptions, SqlSource

NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


def sql_source(url: str, table: str) -> SqlSource:
    query = f"SELECT sku, changed_at FROM {table}"
    options = SqlOptions.model_validate(
        {
            "url": url,
            "timezone": "Asia/Shanghai",
            "datasets": {"t": {"table": table}, "q": {"query": query}, "cast": {"query": "SELECT 1::text AS sku"}},
        }
    )
    return SqlSource("till", options, clock=SystemClock(), breaker=MemoryBreaker(), root=Path("/"))


@pytest.fixture(params=["timestamptz", "timestamp", "DATETIME(6)", "TIMESTAMP(6)"])
def changing(request: pytest.FixtureRequest) -> Iterator[SqlSource]:
    """Two rows, at 09:00:00 and 09:00:01 in Shanghai, in each column type that holds a time."""
    kind: str = request.param
    times = ("2026-11-24 09:00:00", "2026-11-24 09:00:01")
    table = "changes_" + kind.lower().partition("(")[0]
    if kind in {"timestamptz", "timestamp"}:
        server: Postgres = request.getfixturevalue("postgres")
        name, zone = server.create_database(), "SET timezone = 'Asia/Shanghai'; "
        server.execute(name, f"CREATE TABLE {table} (sku integer, changed_at {kind})")
        for number, moment in enumerate(times):
            server.execute(name, f"{zone}INSERT INTO {table} VALUES ({number}, '{moment}')")
        source = sql_source(server.url(name), table)
    else:
        maria: MariaDb = request.getfixturevalue("mariadb")
        name = maria.create_database()
        maria.execute(f"CREATE TABLE `{name}`.{table} (sku integer, changed_at {kind})")
        connection = maria.connect()
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+08:00'")
            for number, moment in enumerate(times):
                cursor.execute(f"INSERT INTO `{name}`.{table} VALUES (%s, %s)", (number, moment))
        connection.close()
        source = sql_source(maria.url(name), table)
    yield source
    source.close()


@pytest.mark.parametrize("dataset", ["t", "q"])
def test_a_time_column_is_compared_as_the_moment_it_means(changing: SqlSource, dataset: str) -> None:
    def changed(since: datetime) -> list[object]:
        return sorted(str(row["sku"]) for row in rows_of(changing, dataset, ["sku"], since=since)[0])

    assert changed(NINE) == ["0", "1"]
    assert changed(NINE + timedelta(seconds=0.5)) == ["1"]
    assert changed(NINE + timedelta(seconds=2)) == []
    marks = sorted(row["changed_at"] for row in rows_of(changing, dataset)[0])  # type: ignore[type-var]
    assert marks == [NINE, NINE + timedelta(seconds=1)]


def test_a_key_that_is_no_number_finds_nothing_in_a_number_column(changing: SqlSource) -> None:
    rows, _ = rows_of(changing, "t", ["sku"], keys=[{"sku": "1"}, {"sku": "x'1"}, {"sku": "01"}])
    assert {row["sku"] for row in rows} == {1}


def test_a_cast_in_a_query_is_not_taken_for_a_parameter(postgres: Postgres) -> None:
    source = sql_source(postgres.url("postgres"), "none")
    assert rows_of(source, "cast")[0] == [{"sku": "1"}]
    source.close()


def test_a_corrected_order_is_among_what_changed_and_is_summed_whole(own_erp: Erp) -> None:
    source = erp_source(own_erp, batch_rows=2)

    def post(reference: str, quantity: str) -> None:
        line = Line(sku="001661", quantity=Decimal(quantity), unit_price=Decimal(2))
        source.write(source.plan(OrderDocument(reference=reference, lines=(line,))))

    for number in range(5):
        post(f"SINCE-{number}", "1")
    mark = max(row["changed_at"] for row in rows_of(source, "orders")[0])  # type: ignore[type-var]
    assert isinstance(mark, datetime)
    after = mark + timedelta(microseconds=1)
    assert rows_of(source, "orders", since=after)[0] == []
    for number in (1, 3, 4):
        post(f"SINCE-{number}", "3")
    rows, _ = rows_of(source, "orders", ["order_ref", "quantity"], since=after)
    assert [(row["order_ref"], row["quantity"]) for row in rows] == [(f"SINCE-{n}", 3) for n in (1, 3, 4)]
    source.close()


def erp_sql(server: Erp) -> Callable[[str], list[tuple[object, ...]]]:
    def run(statement: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(server.folder / f"{server.database}.sqlite", timeout=20)
        try:
            rows = connection.execute(statement).fetchall()
            connection.commit()
        finally:
            connection.close()
        return rows

    return run


def test_twenty_checks_share_one_session_which_closing_ends(own_erp: Erp) -> None:
    sql = erp_sql(own_erp)
    (before,) = sql("SELECT count(*) FROM ir_session")[0]
    source = erp_source(own_erp, datasets={"orders": {"model": "sale.sale"}})
    for _ in range(20):
        source.check()
    assert sql("SELECT count(*) FROM ir_session")[0] == (int(str(before)) + 1,)
    source.close()
    assert sql("SELECT count(*) FROM ir_session")[0] == (before,)
    assert erp_refused_logins(own_erp) == 0


def test_a_session_the_erp_forgot_is_replaced_in_the_middle_of_a_reading(own_erp: Erp) -> None:
    source = erp_source(own_erp, batch_rows=100)
    rows = 0
    with source.read("stock", ["sku"]) as reading:
        for number, batch in enumerate(reading):
            if number == 0:
                erp_sql(own_erp)("DELETE FROM ir_session")
            rows += len(batch)
        assert reading.tail.server_count == rows
    source.close()


def test_a_database_that_does_not_compare_text_with_times_says_that_it_has_no_change_field(postgres: Postgres) -> None:
    name = postgres.create_database()
    postgres.execute(name, "CREATE TABLE t (sku text PRIMARY KEY, changed_at text)")
    postgres.execute(name, "INSERT INTO t VALUES ('a', '2026-11-24 09:00:00')")
    source = sql_source(postgres.url(name), "t")
    try:
        assert source.describe().datasets["t"].change_field == ""
        assert source.change_support("t", ["sku"], count=False).change_field == ""
        assert [row["sku"] for row in rows_of(source, "t")[0]] == ["a"]
        with pytest.raises(UsageError, match="kept as text"), source.read("t", ["sku"], since=NINE) as reading:
            list(reading)
    finally:
        source.close()
