"""PostgreSQL that restarts, cuts connections, is locked or is not there."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import Connection, text
from tests.support.postgres import Postgres
from tests.support.writes import WAIT_SECONDS, Hold, add, stored

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.errors import StoreError
from tillwatch.store.db import Database


def test_a_restarted_postgresql_is_found_again_and_nothing_is_acknowledged_in_between(
    postgres: Postgres, postgres_database: Database
) -> None:
    database = postgres_database
    database.write(lambda connection: connection.execute(text("CREATE TABLE fact (id BIGINT PRIMARY KEY, note TEXT)")))
    add(database, 1).result(WAIT_SECONDS)
    assert stored(database) == [1]
    postgres.stop()
    try:
        with pytest.raises(StoreError, match="nothing was stored"):
            add(database, 2).result(WAIT_SECONDS)
        with pytest.raises(StoreError, match="the database could not be read"):
            stored(database)
    finally:
        postgres.start()
    assert stored(database) == [1]
    assert add(database, 3).result(WAIT_SECONDS) == 3
    assert stored(database) == [1, 3]


def test_a_connection_cut_in_the_middle_of_a_batch_acknowledges_none_of_it(
    postgres: Postgres, postgres_database: Database
) -> None:
    database = postgres_database
    database.write(lambda connection: connection.execute(text("CREATE TABLE fact (id BIGINT PRIMARY KEY, note TEXT)")))

    def cut(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        postgres.execute("postgres", f"SELECT pg_terminate_backend({pid}, 10000)")

    hold = Hold(database)
    before, broken, after = add(database, 1), database.submit(cut), add(database, 2)
    hold.release()
    assert isinstance(before.exception(WAIT_SECONDS), StoreError)
    assert isinstance(after.exception(WAIT_SECONDS), StoreError)
    assert isinstance(broken.exception(WAIT_SECONDS), StoreError)
    assert stored(database) == []
    assert add(database, 3).result(WAIT_SECONDS) == 3


def test_a_held_writer_lock_on_postgresql_means_refused_in_time(
    postgres_database: Database, clock: ManualClock
) -> None:
    impatient = Database.open(
        postgres_database.url.render_as_string(hide_password=False), clock=clock, lock_timeout_seconds=0.2
    )
    hold = Hold(postgres_database)
    with pytest.raises(StoreError, match="nothing was stored: canceling statement due to lock timeout"):
        impatient.write(lambda connection: connection.execute(text("SELECT 1")))
    hold.release()
    impatient.write(lambda connection: connection.execute(text("SELECT 1")))
    impatient.close()


def test_a_wrong_postgresql_address_is_a_store_error(clock: ManualClock) -> None:
    database = Database.open("postgresql://nobody@127.0.0.1:1/nothing", clock=clock)
    with pytest.raises(StoreError, match=r"the database could not be migrated: connection .*refused"):
        database.migrate()
    database.close()


def test_two_processes_never_interleave_between_reading_and_writing(
    postgres_database: Database, clock: ManualClock
) -> None:
    """Read, decide, write by two databases objects at once: no increment is lost."""
    other = Database.open(postgres_database.url.render_as_string(hide_password=False), clock=clock)
    postgres_database.write(lambda connection: connection.execute(text("CREATE TABLE counter (value BIGINT)")))
    postgres_database.write(lambda connection: connection.execute(text("INSERT INTO counter VALUES (0)")))

    def raise_by_one(connection: Connection) -> None:
        value = connection.execute(text("SELECT value FROM counter")).scalar_one()
        connection.execute(text("UPDATE counter SET value = :value"), {"value": value + 1})

    futures = [one.submit(raise_by_one) for _ in range(100) for one in (postgres_database, other)]
    for future in futures:
        future.result(WAIT_SECONDS)
    with postgres_database.read() as connection:
        assert connection.execute(text("SELECT value FROM counter")).scalar_one() == 200
    other.close()


def test_leases_run_on_the_clock_all_processes_share(postgres: Postgres, postgres_template: str) -> None:
    database = Database.open(postgres.url(postgres_template), clock=SystemClock())
    with psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=tillwatch dbname=postgres") as connection:
        row = connection.execute("SELECT clock_timestamp()").fetchone()
    connection.close()
    assert row is not None
    now = database.write(database.now)
    assert timedelta(0) <= now - row[0] < timedelta(seconds=WAIT_SECONDS)
    assert now.utcoffset() == timedelta(0)
    database.close()
