"""What servers sum up of a part of a table: nothing differing is missed whatever keys look like and however they are
put in order, and only the index ranges of what changed are read."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import BEGINNING, Store, TwoSides, found, mariadb_store, postgres_store

from tillwatch.audit import buckets, incremental
from tillwatch.audit.pushdown import parts
from tillwatch.clock import ManualClock
from tillwatch.model.audit import Verdict
from tillwatch.sources.changes import Slices
from tillwatch.store.db import Database

ROWS = 600
#: Column types of the key, left and right.
KINDS = {
    "bytes": ('varchar(40) COLLATE "C"', "varchar(40) COLLATE utf8mb4_nopad_bin"),
    "linguistic": ('varchar(40) COLLATE "und-x-icu"', "varchar(40) COLLATE utf8mb4_general_ci"),
    "gbk": ("text", "varchar(40) CHARACTER SET gbk COLLATE gbk_bin"),
    "pattern": ('varchar(40) COLLATE "und-x-icu"', "varchar(40) COLLATE utf8mb4_bin"),
    "whole numbers": ("bigint", "bigint"),
}


def key(kind: str, number: int) -> str:
    if kind == "whole numbers":
        return str((number - 100) * 7919)
    # Case-blind servers would take two that differ in case alone for one, so none do.
    return ["Sku-", "sku_", "商品%", "店", "SKU'\\"][number % 5] + f"{number:04d}"


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sides(
    kind: str,
    tmp_path: Path,
    sqlite_database: Database,
    clock: ManualClock,
    postgres: Postgres,
    mariadb: MariaDb,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[TwoSides]:
    monkeypatch.setattr(parts, "MIN_ROWS", 0)
    monkeypatch.setattr(incremental, "MAX_READ_SHARE", 1.0)
    with ExitStack() as stack:
        left, right = stack.enter_context(postgres_store(postgres)), stack.enter_context(mariadb_store(mariadb))
        for store, column in zip((left, right), KINDS[kind], strict=True):
            moment = "datetime(6)" if store is right else "timestamp"
            store.execute(
                f"CREATE TABLE stock (shop varchar(20) NOT NULL, sku {column} NOT NULL, quantity numeric(18,4),"
                f" note varchar(80), updated_at {moment}, PRIMARY KEY (shop, sku))"
            )
            rows = ", ".join(
                f"('{'s1' if number % 3 else '店二'}', {quoted(store, key(kind, number))}, {number}, 'n', '{BEGINNING}')"
                for number in range(ROWS)
            )
            store.execute(f"INSERT INTO stock VALUES {rows}")
        if kind == "pattern":
            left.execute("CREATE INDEX ON stock (shop, sku text_pattern_ops)")
        for store in (left, right):
            store.execute("CREATE INDEX stock_updated_at ON stock (updated_at)")
        sides = TwoSides(left=left, right=right, database=sqlite_database, clock=clock, folder=tmp_path)
        first = sides.run()
        assert first.verdict is Verdict.CLEAN, first.reason
        yield sides
        sides.close()


def quoted(store: Store, text: str) -> str:
    escaped = text.replace("'", "''")
    return "'" + (escaped.replace("\\", "\\\\") if store.url.startswith("mariadb") else escaped) + "'"


def change(sides: TwoSides, kind: str, side: str, assignment: str, number: int) -> None:
    store = getattr(sides, side)
    store.execute(f"UPDATE stock SET {assignment} WHERE sku = {quoted(store, key(kind, number))}")


def test_whatever_keys_look_like_sums_of_buckets_miss_nothing(sides: TwoSides, kind: str) -> None:
    for number in range(0, 50, 7):
        for side in ("left", "right"):
            change(sides, kind, side, "quantity = quantity + 1", number)
    assert sides.run("fingerprint").verdict is Verdict.CLEAN
    change(sides, kind, "left", "quantity = quantity + 0.0001", 101)
    change(sides, kind, "right", "note = NULL", 202)
    sides.right.execute(f"DELETE FROM stock WHERE sku = {quoted(sides.right, key(kind, 303))}")
    sides.left.execute(f"DELETE FROM stock WHERE sku = {quoted(sides.left, key(kind, 404))}")
    change(sides, kind, "left", "shop = 'S1'", 505)
    report = sides.run("fingerprint")
    names = {number: key(kind, number) for number in (101, 202, 303, 404, 505)}
    assert report.strategy == "fingerprint", report.strategy_reason
    assert found(report) == {
        ("changed", names[101]), ("changed", names[202]), ("missing", names[303]), ("extra", names[404]),
        ("missing", names[505]), ("extra", names[505]),
    }  # fmt: skip
    assert sides.run("stream").differences == report.differences


def test_rows_that_changed_alike_on_both_sides_are_not_read(sides: TwoSides, kind: str) -> None:
    moved = f"quantity = 7, updated_at = '{sides.clock.now():%Y-%m-%d %H:%M:%S}'"
    for number in range(40):
        change(sides, kind, "left", moved, number)
        change(sides, kind, "right", moved, number)
    report = sides.run("delta")
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "delta"), report.reason
    # All rows are dated within the overlap of the last run.
    assert f"{ROWS} rows changed on a side" in report.strategy_reason
    if kind != "pattern":
        # Two statements of a few sums each, beside the proof that both servers hash alike. MariaDB joins no columns of
        # two collations, so there the rows are read.
        assert max(report.left.bytes_read, report.right.bytes_read) < 15_000
    change(sides, kind, "left", moved.replace("7", "8"), 3)
    change(sides, kind, "right", moved.replace("7", "8"), 5)
    report = sides.run("delta")
    assert found(report) == {("changed", key(kind, 3)), ("changed", key(kind, 5))}
    assert sides.run("stream").differences == report.differences


def explained(sides: TwoSides, system: str, kind: str) -> str:
    """How the server finds the rows of one bucket that ends within the second column of the key."""
    prefix = 6
    session = sides.source(system).session("stock", ("shop", "sku"))
    session.open()
    try:
        wanted = frozenset({buckets.bucket_of(("s1", key(kind, 301)), prefix)})
        ((where, _),) = session.by_bucket(Slices(key=("shop", "sku"), prefix=prefix, buckets=wanted))[1]
        if session.dialect == "postgresql":
            # So small a table is read whole otherwise.
            session.rows("SET enable_seqscan = off")
            return "".join(line for (line,) in session.rows(f"EXPLAIN SELECT note FROM stock WHERE {where}"))
        return str(session.rows(f"EXPLAIN FORMAT=JSON SELECT note FROM stock FORCE INDEX (PRIMARY) WHERE {where}"))
    finally:
        session.close()


def test_a_bucket_is_a_range_of_the_index(sides: TwoSides, kind: str) -> None:
    plan = explained(sides, "erp", kind)
    condition = plan.partition("Index Cond:")[2].partition("->")[0]
    assert "shop" in condition, plan
    if kind != "whole numbers":
        # In a linguistic order keys that begin alike do not stand together. A range for each number of digits does not
        # pay for so few rows, so of numbers nothing is said here.
        assert ("sku" in condition.partition("Filter:")[0]) == (kind != "linguistic"), plan
    plan = explained(sides, "till", kind)
    assert '"access_type": "range"' in plan, plan
    assert '"used_key_parts": ["shop", "sku"]' in plan, plan
