"""Fingerprints of a PostgreSQL table are its row versions: what moves them without a change costs reading, never proof."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.postgres import Postgres
from tests.support.two_sides import TwoSides, fill, found, keys, postgres_store, sqlite_store

from tillwatch.clock import ManualClock
from tillwatch.model.audit import Verdict
from tillwatch.store.db import Database

ROWS = 3_000


@pytest.fixture
def sides(tmp_path: Path, postgres: Postgres, sqlite_database: Database, clock: ManualClock) -> Iterator[TwoSides]:
    with postgres_store(postgres) as left, sqlite_store(tmp_path, "till") as right:
        for store in (left, right):
            fill(store, keys(ROWS))
        sides = TwoSides(left=left, right=right, database=sqlite_database, clock=clock, folder=tmp_path)
        with closing(sides):
            assert sides.run().strategy == "records"
            yield sides


@pytest.mark.parametrize("statement", ["VACUUM FULL stock", "VACUUM FREEZE stock", "CLUSTER stock USING stock_pkey"])
def test_rewriting_or_freezing_the_table_proves_the_same(sides: TwoSides, statement: str) -> None:
    sides.left.execute(statement)
    sides.left.execute("DELETE FROM stock WHERE sku = '00042'")
    assert found(sides.run()) == {("extra", "00042")}
    report = sides.run()
    assert (report.strategy, found(report)) == ("fingerprint", {("extra", "00042")})


def test_a_table_that_was_emptied_and_filled_again_is_read_again(sides: TwoSides) -> None:
    sides.left.execute("CREATE TABLE copy AS SELECT * FROM stock")
    sides.left.execute("TRUNCATE stock")
    sides.left.execute("INSERT INTO stock SELECT * FROM copy")
    sides.left.execute("UPDATE stock SET quantity = -1 WHERE sku = '00042'")
    report = sides.run()
    assert (report.strategy, found(report)) == ("stream", {("changed", "00042")})


def test_another_table_under_the_same_name_is_no_base_for_a_proof(sides: TwoSides) -> None:
    sides.left.execute("ALTER TABLE stock RENAME TO old")
    sides.left.execute("CREATE TABLE stock AS SELECT * FROM old")
    report = sides.run()
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "records")
    assert "erp.stock is another table, database or restore than its kept fingerprints are of" in report.strategy_reason


def test_a_restart_of_the_database_changes_nothing(sides: TwoSides, postgres: Postgres) -> None:
    postgres.stop()
    postgres.start()
    report = sides.run()
    assert (report.verdict, report.strategy, report.evidence["rows_read"]) == (Verdict.CLEAN, "fingerprint", 0)


def test_a_view_is_told_by_its_columns(sides: TwoSides) -> None:
    sides.left.execute("ALTER TABLE stock RENAME TO base")
    sides.left.execute("CREATE VIEW stock AS SELECT * FROM base WHERE quantity >= 0")
    assert sides.run().strategy in ("records", "stream")
    sides.left.execute("UPDATE base SET quantity = -1 WHERE sku = '00042'")
    report = sides.run()
    assert (report.strategy, found(report)) == ("fingerprint", {("extra", "00042")})
    assert "erp.stock: a hash of the columns" in report.strategy_reason


def test_a_write_not_yet_committed_is_found_once_it_is(sides: TwoSides) -> None:
    writer = sides.writer(sides.left)
    writer("BEGIN")
    writer("UPDATE stock SET quantity = -1 WHERE sku = '00042'")
    assert sides.run().verdict is Verdict.CLEAN
    writer("COMMIT")
    assert found(sides.run()) == {("changed", "00042")}
