"""A database's own fingerprints of its buckets: every write shows, and nothing shows without one."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres

from tillwatch.audit.buckets import bucket_of
from tillwatch.clock import SystemClock
from tillwatch.model.proof import Mark
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.changes import Slices, key_text
from tillwatch.sources.sql import SqlOptions, SqlSource

FIELDS = ("shop", "sku", "quantity", "note")
KEYS = [("s1", f"{number:04d}") for number in range(120)] + [("店", "礼品😀a"), ("店", "礼品😀A"), ("é", "x ")]
SLICES = Slices(key=("shop", "sku"), prefix=5)
COLUMNS = "shop varchar(20) NOT NULL, sku varchar(20) NOT NULL, quantity numeric(18,4), note varchar(80), updated_at"


@dataclass
class Engine:
    """One database with a table `stock`, written to with `execute`, read through `source`."""

    source: SqlSource
    execute: Callable[[str], object]

    def marks(self, slices: Slices = SLICES) -> dict[str, Mark]:
        return self.source.fingerprints("stock", FIELDS, slices)

    def changed_by(self, statement: str) -> set[str]:
        before = self.marks()
        self.execute(statement)
        after = self.marks()
        return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def opened(folder: Path, url: str, **dataset: str) -> SqlSource:
    options = SqlOptions.model_validate(
        {"url": url, "datasets": {"stock": dataset or {"table": "stock", "change_field": "updated_at"}}}
    )
    return SqlSource("till", options, clock=SystemClock(), breaker=MemoryBreaker(), root=folder)


def filled(execute: Callable[[str], object], moment: str, keys: Sequence[tuple[str, str]] = KEYS) -> None:
    execute(f"CREATE TABLE stock ({COLUMNS} {moment}, PRIMARY KEY (shop, sku))")
    rows = ", ".join(f"('{shop}', '{sku}', 1.5, NULL, '2026-11-24 03:00:00')" for shop, sku in keys)
    execute(f"INSERT INTO stock VALUES {rows}")


@pytest.fixture(params=["sqlite", "postgresql", "postgresql query", "mariadb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        file = sqlite3.connect(tmp_path / "till.db", isolation_level=None)
        filled(file.execute, "text")
        engine = Engine(source=opened(tmp_path, "sqlite:///till.db"), execute=file.execute)
        yield engine
        engine.source.close()
        file.close()
    elif request.param == "mariadb":
        mariadb: MariaDb = request.getfixturevalue("mariadb")
        name = mariadb.create_database()
        connection = mariadb.connect()
        connection.select_db(name)
        # The case of a key counts, and so do blanks at its end.
        run = connection.cursor().execute
        run(f"ALTER DATABASE `{name}` COLLATE utf8mb4_nopad_bin")
        filled(run, "datetime(6)")
        engine = Engine(source=opened(tmp_path, mariadb.url(name)), execute=run)
        yield engine
        engine.source.close()
        connection.close()
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        name = postgres.create_database()
        with psycopg.connect(postgres.url(name).replace("+psycopg", ""), autocommit=True) as session:
            filled(session.execute, "timestamp")  # type: ignore[arg-type]
            options = {} if request.param == "postgresql" else {"query": "SELECT * FROM stock"}
            if options:
                options["change_field"] = "updated_at"
            engine = Engine(source=opened(tmp_path, postgres.url(name), **options), execute=session.execute)  # type: ignore[arg-type]
            yield engine
            engine.source.close()


def test_buckets_are_the_first_characters_of_the_key_whatever_the_script(engine: Engine) -> None:
    expected: dict[str, int] = {}
    for key in KEYS:
        name = bucket_of(key, SLICES.prefix)
        expected[name] = expected.get(name, 0) + 1
    assert {name: mark.rows for name, mark in engine.marks().items()} == expected
    assert "店\x1f礼品😀" in expected


def test_case_and_trailing_blanks_make_other_buckets(engine: Engine) -> None:
    names = set(engine.marks(Slices(key=("shop", "sku"), prefix=20)))
    assert {key_text(key) for key in KEYS} == names


def test_nothing_shows_while_nobody_writes(engine: Engine) -> None:
    assert engine.marks() == engine.marks()


@pytest.mark.parametrize(
    ("statement", "bucket"),
    [
        ("UPDATE stock SET quantity = quantity + 0.0001 WHERE sku = '0007'", "s1\x1f00"),
        ("UPDATE stock SET note = '' WHERE sku = '0107'", "s1\x1f01"),
        ("DELETE FROM stock WHERE sku = '0042'", "s1\x1f00"),
        ("INSERT INTO stock VALUES ('s2', 'new', 1.5, NULL, '2026-11-24 03:00:00')", "s2\x1fne"),
        ("UPDATE stock SET note = 'x' WHERE sku = '礼品😀A'", "店\x1f礼品😀"),
    ],
)
def test_a_write_that_leaves_the_change_field_alone_shows_in_its_bucket_only(
    engine: Engine, statement: str, bucket: str
) -> None:
    assert engine.changed_by(statement) == {bucket}


def test_two_rows_that_swap_their_values_show(engine: Engine) -> None:
    engine.execute("UPDATE stock SET quantity = 9 WHERE sku = '0001'")
    statement = "UPDATE stock SET quantity = CASE sku WHEN '0001' THEN 1.5 ELSE 9 END WHERE sku IN ('0001', '0002')"
    assert engine.changed_by(statement) == {"s1\x1f00"}


@pytest.mark.parametrize(
    ("one", "other", "quantities"),
    [("0001", "0041", "39.7962 36.1681"), ("0002", "0095", "21.3174 77.8592"), ("0007", "0052", "26.8010 16.6172")],
)
def test_swaps_that_a_sum_of_crcs_does_not_see_show(engine: Engine, one: str, other: str, quantities: str) -> None:
    """A CRC is linear: in these rows what swapping changes of one is what it changes of the other, with the other sign."""
    first, second = quantities.split()
    engine.execute(
        f"UPDATE stock SET quantity = CASE sku WHEN '{one}' THEN {first} ELSE {second} END"
        f" WHERE sku IN ('{one}', '{other}')"
    )
    swap = f"UPDATE stock SET quantity = CASE sku WHEN '{one}' THEN {second} ELSE {first} END"
    assert engine.changed_by(f"{swap} WHERE sku IN ('{one}', '{other}')") == {"s1\x1f00"}


def test_the_rows_of_some_buckets_are_read_and_no_others(engine: Engine) -> None:
    wanted = Slices(key=("shop", "sku"), prefix=5, buckets=frozenset({"s1\x1f01", "店\x1f礼品😀", "nobody"}))
    with engine.source.read_slices("stock", FIELDS, wanted) as reading:
        found = {(row["shop"], row["sku"]) for batch in reading for row in batch}
        assert reading.tail.rows == len(found)
    assert found == {key for key in KEYS if key[1].startswith("01") or key[0] == "店"}


def test_a_sample_of_everything_is_every_key(engine: Engine) -> None:
    assert sorted(engine.source.sample_keys("stock", ("shop", "sku"), share=1)) == sorted(map(key_text, KEYS))
    assert len(engine.source.sample_keys("stock", ("shop", "sku"), share=0.5)) < len(KEYS)


def test_the_newest_change_is_the_newest_that_is_not_in_the_future(engine: Engine) -> None:
    now = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    assert engine.source.newest_change("stock", until=now) == datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    engine.execute("UPDATE stock SET updated_at = '2026-11-24 03:59:59.5' WHERE sku = '0001'")
    engine.execute("UPDATE stock SET updated_at = '2099-01-01 00:00:00' WHERE sku = '0002'")
    assert engine.source.newest_change("stock", until=now) == datetime(2026, 11, 24, 3, 59, 59, 500_000, tzinfo=UTC)
    engine.execute("DELETE FROM stock")
    assert engine.source.newest_change("stock", until=now) is None


def test_support_says_what_the_marks_are_made_from(engine: Engine) -> None:
    support = engine.source.change_support("stock", FIELDS, count=True)
    assert (support.change_field, support.rows) == ("updated_at", len(KEYS))
    assert engine.source.change_support("stock", FIELDS[:3], count=False).basis != support.basis
