"""A till's SQLite file: streamed, exact, asked for changes in any spelling of time, and never in a writer's way."""

import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import Cause, SchemaMismatch, SourceError, SourceUnavailable
from tillwatch.model.audit import Row
from tillwatch.sources.base import CheckOutcome, MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource

NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
#: One moment (09:00 in Shanghai) as tills store it, and a second after it.
SPELLINGS = {
    "local": ("2026-11-24 09:00:00", "2026-11-24 09:00:01"),
    "local T": ("2026-11-24T09:00:00.000", "2026-11-24T09:00:01.000"),
    "utc Z": ("2026-11-24T01:00:00Z", "2026-11-24T01:00:01Z"),
    "offset": ("2026-11-24T09:00:00+08:00", "2026-11-24T03:00:01+02:00"),
    "epoch": (int(NINE.timestamp()), int(NINE.timestamp()) + 1),
    "epoch real": (NINE.timestamp(), NINE.timestamp() + 1.0),
}


def made(path: Path, *statements: str, wal: bool = False) -> Path:
    connection = sqlite3.connect(path)
    if wal:
        connection.execute("PRAGMA journal_mode=WAL")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
    return path


def source_of(path: Path, datasets: Mapping[str, Any], *, batch_rows: int = 1000, **more: Any) -> SqlSource:
    options = SqlOptions.model_validate({"url": f"sqlite:///{path}", "datasets": datasets, **more})
    return SqlSource(
        "till", options, clock=ManualClock(), breaker=MemoryBreaker(), root=path.parent, batch_rows=batch_rows
    )


def rows_of(source: SqlSource, dataset: str, *arguments: Any, **more: Any) -> list[Row]:
    with source.read(dataset, *arguments, **more) as reading:
        return [row for batch in reading for row in batch]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_changed_is_found_in_every_spelling_of_time(tmp_path: Path, spelling: str) -> None:
    path = made(tmp_path / "till.db", "CREATE TABLE t (sku TEXT, changed_at)")
    connection = sqlite3.connect(path)
    connection.executemany("INSERT INTO t VALUES (?, ?)", zip(["at", "after"], SPELLINGS[spelling], strict=True))
    connection.commit()
    connection.close()
    source = source_of(path, {"t": {"table": "t"}}, timezone="Asia/Shanghai")

    def changed(since: datetime) -> set[object]:
        return {row["sku"] for row in rows_of(source, "t", ["sku"], since=since)}

    assert changed(NINE) == {"at", "after"}
    assert changed(NINE + timedelta(seconds=0.5)) == {"after"}
    assert changed(NINE + timedelta(seconds=2)) == set()
    assert [row["changed_at"] for row in rows_of(source, "t")] == [NINE, NINE + timedelta(seconds=1)]


@pytest.mark.parametrize("wal", [False, True], ids=["rollback journal", "wal"])
def test_a_till_can_write_while_a_slow_reader_reads(tmp_path: Path, wal: bool) -> None:
    path = made(
        tmp_path / "till.db",
        "CREATE TABLE t (n INTEGER)",
        "INSERT INTO t WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) SELECT n FROM c",
        wal=wal,
    )
    source = source_of(path, {"t": {"table": "t"}}, batch_rows=100)
    till = sqlite3.connect(path, timeout=0)
    seen = 0
    with source.read("t") as reading:
        for batch in reading:
            till.execute("INSERT INTO t VALUES (0)")
            till.commit()
            seen += len(batch)
        assert (reading.tail.rows, reading.tail.server_count, reading.tail.stable) == (5000, 5000, True)
    till.close()
    assert seen == 5000


def test_a_till_can_write_between_the_chunks_of_a_look_up(tmp_path: Path) -> None:
    path = made(tmp_path / "till.db", "CREATE TABLE t (sku TEXT)", "INSERT INTO t VALUES ('1'), ('1999')")
    source = source_of(path, {"t": {"table": "t"}})
    till = sqlite3.connect(path, timeout=0)
    found = []
    with source.read("t", keys=[{"sku": str(number)} for number in range(2000)]) as reading:
        for batch in reading:
            till.execute("INSERT INTO t VALUES ('x')")
            till.commit()
            found += [row["sku"] for row in batch]
    till.close()
    assert found == ["1", "1999"]


def test_a_locked_file_is_said_to_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tillwatch.sources.sql.engine.SQLITE_BUSY_SECONDS", 0.0)
    path = made(tmp_path / "till.db", "CREATE TABLE t (n INTEGER)")
    till = sqlite3.connect(path, isolation_level=None)
    till.execute("BEGIN EXCLUSIVE")
    source = source_of(path, {"t": {"table": "t"}})
    with pytest.raises(SourceUnavailable, match="locked; look for a stuck or long transaction") as failure:
        rows_of(source, "t")
    assert failure.value.cause is Cause.TIMEOUT
    till.execute("ROLLBACK")
    till.close()
    assert rows_of(source, "t") == []


def test_numbers_keep_their_digits_in_every_column_type(tmp_path: Path) -> None:
    path = made(
        tmp_path / "till.db",
        "CREATE TABLE t (real REAL, text TEXT, numeric NUMERIC, integer INTEGER)",
        "INSERT INTO t VALUES (19.99, '19.90', 0.1, 3)",
    )
    (row,) = rows_of(source_of(path, {"t": {"table": "t"}}), "t")
    assert row == {"real": Decimal("19.99"), "text": "19.90", "numeric": Decimal("0.1"), "integer": 3}


def test_a_query_keeps_its_own_colons_percents_and_quotes(tmp_path: Path) -> None:
    path = made(tmp_path / "till.db", "CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1)")
    query = "SELECT '12:30 :n 100% \\: it''s' AS words, n FROM t WHERE '%' = '%' ORDER BY n"
    (row,) = rows_of(source_of(path, {"q": {"query": query}}), "q", keys=[{"n": "1"}])
    assert row == {"words": "12:30 :n 100% \\: it's", "n": 1}


def test_strange_identifiers_are_quoted_not_trusted(tmp_path: Path) -> None:
    name = 'we"ird; DROP TABLE t; --'
    quoted = '"' + name.replace('"', '""') + '"'
    path = made(
        tmp_path / "till.db",
        f'CREATE TABLE {quoted} ({quoted} TEXT, "select" TEXT)',
        f"INSERT INTO {quoted} VALUES ('1', '2')",
    )
    source = source_of(path, {"t": {"table": name, "columns": {"a": name, "b": "select"}}})
    assert rows_of(source, "t", keys=[{"a": "1"}]) == [{"a": "1", "b": "2"}]
    assert rows_of(source, "t", keys=[{"a": "1' OR '1'='1"}]) == []


def test_a_file_that_is_no_database_or_was_replaced_is_noticed(tmp_path: Path) -> None:
    path = made(tmp_path / "till.db", "CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1)")
    source = source_of(path, {"t": {"table": "t"}})
    assert rows_of(source, "t") == [{"n": 1}]
    path.unlink()
    with pytest.raises(SourceUnavailable, match="unable to open"):
        rows_of(source, "t")
    path.write_bytes(b"not a database at all, but long enough to have a header" * 40)
    with pytest.raises(SourceError, match="not a database"):
        rows_of(source, "t")
    path.unlink()
    made(path, "CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (2)")
    assert rows_of(source, "t") == [{"n": 2}]


def test_reading_a_missing_file_does_not_create_it(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    assert source_of(path, {}).check()[0].outcome is CheckOutcome.FAIL
    assert not path.exists()


def test_a_relative_path_belongs_to_the_chain_directory(tmp_path: Path) -> None:
    made(tmp_path / "till.db", "CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1)")
    options = SqlOptions.model_validate({"url": "sqlite:///till.db", "datasets": {"t": {"table": "t"}}})
    source = SqlSource("till", options, clock=ManualClock(), breaker=MemoryBreaker(), root=tmp_path)
    assert rows_of(source, "t") == [{"n": 1}]


def test_a_description_names_the_columns_and_types(tmp_path: Path) -> None:
    path = made(tmp_path / "till.db", "CREATE TABLE t (sku TEXT, changed_at TEXT)")
    found = source_of(path, {"t": {"table": "t"}, "q": {"query": "SELECT sku FROM t"}}).describe()
    assert (found.product, found.datasets["t"].change_field, found.datasets["q"].change_field) == (
        "sqlite",
        "changed_at",
        "",
    )
    assert found.datasets["t"].fields["sku"].type == "TEXT"


def test_a_column_that_is_gone_is_named_with_its_neighbours(tmp_path: Path) -> None:
    path = made(tmp_path / "till.db", "CREATE TABLE t (sku_code TEXT)")
    source = source_of(path, {"t": {"table": "t", "columns": {"sku": "sku_kode"}}})
    with pytest.raises(SchemaMismatch, match="'sku_kode', which t does not have; did you mean 'sku_code'"):
        rows_of(source, "t")
