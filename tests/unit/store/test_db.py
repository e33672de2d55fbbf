"""The database under trouble: full, locked, restarted, fed with poison. What is not stored is never acknowledged."""

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError
from tests.support.writes import WAIT_SECONDS, Hold, add, stored

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.errors import StoreError, UsageError
from tillwatch.store import leases
from tillwatch.store.db import Database


@pytest.fixture
def facts(database: Database) -> Database:
    """A database with one table of ours."""
    database.write(lambda connection: connection.execute(text("CREATE TABLE fact (id BIGINT PRIMARY KEY, note TEXT)")))
    return database


@pytest.fixture
def sqlite_facts(sqlite_database: Database) -> Database:
    create = text("CREATE TABLE fact (id INTEGER PRIMARY KEY, note TEXT)")
    sqlite_database.write(lambda connection: connection.execute(create))
    return sqlite_database


@pytest.fixture
def other_process(sqlite_url: str) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the write lock of the SQLite file until it reads a line."""
    code = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.readline()\n"
        "connection.execute('ROLLBACK')\n"
        "print('free', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    path = sqlite_url.removeprefix("sqlite:///")
    process = subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def tell(process: "subprocess.Popen[str]", expected: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().strip() == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "store.url 'nonsense' is not a database URL; write sqlite:///var/tillwatch.db or"),
        ("mysql://u@h/d", "store.url: 'mysql' is not supported; use sqlite or postgresql"),
        ("sqlite://", "store.url names no file; everything would be forgotten at exit"),
        ("sqlite:///:memory:", "store.url names no file"),
    ],
)
def test_a_url_we_cannot_use_says_what_to_write(url: str, message: str, clock: ManualClock) -> None:
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        Database.open(url, clock=clock)


def test_a_relative_file_lies_below_the_root_and_its_folder_is_made(tmp_path: Path, clock: ManualClock) -> None:
    database = Database.open("sqlite:///var/deep/tillwatch.db", clock=clock, root=tmp_path)
    database.migrate()
    database.close()
    assert (tmp_path / "var/deep/tillwatch.db").is_file()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        StoreError, match=rf"the store {tmp_path}/file/x/tillwatch.db cannot be created: Not a directory"
    ):
        Database.open(f"sqlite:///{tmp_path}/file/x/tillwatch.db", clock=clock)


def test_sqlite_is_durable_and_checks_its_references(sqlite_database: Database) -> None:
    def pragmas(connection: Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "foreign_keys")
        return {name: connection.execute(text(f"PRAGMA {name}")).scalar_one() for name in names}

    assert sqlite_database.write(pragmas) == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_reader_cannot_write(facts: Database) -> None:
    with pytest.raises(StoreError, match=r"read-?only"), facts.read() as connection:
        connection.execute(text("INSERT INTO fact (id) VALUES (1)"))
    assert stored(facts) == []


def test_a_read_is_one_snapshot(facts: Database) -> None:
    add(facts, 1).result(WAIT_SECONDS)
    with facts.read() as connection:
        before = connection.execute(text("SELECT count(*) FROM fact")).scalar_one()
        add(facts, 2).result(WAIT_SECONDS)
        assert connection.execute(text("SELECT count(*) FROM fact")).scalar_one() == before == 1
    assert stored(facts) == [1, 2]


def test_a_poison_job_in_a_batch_costs_nobody_else(facts: Database) -> None:
    def broken_sql(connection: Connection) -> None:
        connection.execute(text("SELECT * FROM no_such_table"))

    def defect(connection: Connection) -> None:
        connection.execute(text("INSERT INTO fact (id) VALUES (99)"))
        raise KeyError("defect")

    hold = Hold(facts)
    good = [add(facts, 1)]
    poison = [facts.submit(broken_sql), facts.submit(defect), add(facts, 1)]
    good += [add(facts, 2), add(facts, 3)]
    hold.release()
    assert [future.result(WAIT_SECONDS) for future in good] == [1, 2, 3]
    errors = [future.exception(WAIT_SECONDS) for future in poison]
    assert [type(error).__name__ for error in errors][1:] == ["KeyError", "IntegrityError"]
    assert "no_such_table" in str(errors[0])
    assert stored(facts) == [1, 2, 3]


def test_a_cancelled_job_is_not_run_and_the_writer_lives_on(facts: Database) -> None:
    hold = Hold(facts)
    cancelled, kept = add(facts, 1), add(facts, 2)
    assert cancelled.cancel()
    hold.release()
    assert kept.result(WAIT_SECONDS) == 2
    assert stored(facts) == [2]


def test_a_job_that_waits_for_another_job_is_a_defect_and_not_a_deadlock(facts: Database) -> None:
    with pytest.raises(RuntimeError, match="would wait for itself"):
        facts.write(lambda _connection: facts.write(lambda connection: connection))


def test_what_was_accepted_before_closing_is_stored(sqlite_facts: Database, sqlite_url: str) -> None:
    futures = [add(sqlite_facts, number) for number in range(500)]
    sqlite_facts.close()
    assert [future.result(0) for future in futures] == list(range(500))
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT count(*) FROM fact").fetchone() == (500,)
    connection.close()
    with pytest.raises(StoreError, match="the store is stopped"):
        add(sqlite_facts, 1000)


def _fill(connection: Connection) -> int:
    """Let the file grow no further than it is; returns its pages, to lift the limit again."""
    pages = int(connection.execute(text("PRAGMA page_count")).scalar_one())
    connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    return pages


def _free(connection: Connection) -> None:
    connection.execute(text("PRAGMA max_page_count = 1000000"))


def test_a_full_disk_acknowledges_nothing_reads_go_on_and_space_heals_it(sqlite_facts: Database) -> None:
    add(sqlite_facts, 0).result(WAIT_SECONDS)
    hold = Hold(sqlite_facts)
    sqlite_facts.submit(_fill)
    futures = [add(sqlite_facts, number, note="x" * 20_000) for number in range(1, 20)]
    hold.release()
    errors = [future.exception(WAIT_SECONDS) for future in futures]
    assert all(isinstance(error, StoreError) for error in errors)
    assert "nothing was stored: database or disk is full; free space" in str(errors[0])
    assert stored(sqlite_facts) == [0]
    # The limit was a property of the connection, which is not used again: as if space had been freed.
    assert add(sqlite_facts, 1, note="x" * 20_000).result(WAIT_SECONDS) == 1
    assert stored(sqlite_facts) == [0, 1]


def test_a_job_that_swallows_a_full_disk_acknowledges_exactly_what_is_stored(sqlite_facts: Database) -> None:
    def swallow(connection: Connection) -> str:
        _fill(connection)
        try:
            for number in range(100, 120):
                row = {"id": number, "note": "x" * 20_000}
                connection.execute(text("INSERT INTO fact (id, note) VALUES (:id, :note)"), row)
        except Exception:
            return "all is well"
        return "not full"

    hold = Hold(sqlite_facts)
    before, liar, after = add(sqlite_facts, 1), sqlite_facts.submit(swallow), add(sqlite_facts, 2)
    hold.release()
    assert liar.exception(WAIT_SECONDS) is not None or liar.result() == "all is well"
    acknowledged = [number for number, one in ((1, before), (2, after)) if one.exception(WAIT_SECONDS) is None]
    assert [number for number in stored(sqlite_facts) if number < 100] == acknowledged


def _drop_transaction(connection: Connection) -> None:
    """What SQLite does by itself on some I/O errors, while a job looks the other way."""
    driver = connection.connection.dbapi_connection
    assert driver is not None
    driver.rollback()


def test_a_job_that_loses_the_shared_transaction_costs_nobody_else(sqlite_facts: Database) -> None:
    hold = Hold(sqlite_facts)
    before, broken, after = add(sqlite_facts, 1), sqlite_facts.submit(_drop_transaction), add(sqlite_facts, 2)
    hold.release()
    assert isinstance(broken.exception(WAIT_SECONDS), StoreError)
    assert (before.result(WAIT_SECONDS), after.result(WAIT_SECONDS)) == (1, 2)
    assert stored(sqlite_facts) == [1, 2]


def test_a_lost_transaction_behind_another_error_makes_nobody_believe_they_are_stored(sqlite_facts: Database) -> None:
    def drop(connection: Connection) -> None:
        _drop_transaction(connection)
        raise ValueError("something else")

    hold = Hold(sqlite_facts)
    futures = [add(sqlite_facts, 1), sqlite_facts.submit(drop), add(sqlite_facts, 2)]
    hold.release()
    assert all(isinstance(future.exception(WAIT_SECONDS), StoreError) for future in futures)
    assert stored(sqlite_facts) == []
    assert add(sqlite_facts, 3).result(WAIT_SECONDS) == 3


def test_another_process_that_holds_the_lock_means_refused_in_time_and_stored_later(
    sqlite_url: str, other_process: "subprocess.Popen[str]", clock: ManualClock
) -> None:
    tell(other_process, "locked")
    database = Database.open(sqlite_url, clock=clock, lock_timeout_seconds=0.2)
    started = SystemClock().monotonic()
    with pytest.raises(StoreError, match="nothing was stored: database is locked"):
        database.write(lambda connection: leases.acquire(connection, "x", "me", timedelta(seconds=9), clock.now()))
    assert SystemClock().monotonic() - started < 5
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar_one() == 0
    assert other_process.stdin is not None
    other_process.stdin.write("\n")
    other_process.stdin.flush()
    tell(other_process, "free")
    assert (
        database.write(lambda connection: leases.acquire(connection, "x", "me", timedelta(seconds=9), clock.now())) == 1
    )
    database.close()


WRITE_MANY = """
import sys
from tillwatch.clock import SystemClock
from tillwatch.store.db import Database
from sqlalchemy import text
database = Database.open(sys.argv[1], clock=SystemClock())
database.migrate()
start = int(sys.argv[2])
for number in range(start, start + 100):
    database.write(lambda connection: connection.execute(
        text("INSERT INTO leases (name, owner, epoch, expires_at) VALUES (:name, 'o', 1, 'x')"), {"name": str(number)}))
database.close()
"""


def test_several_processes_migrate_and_write_one_file_at_the_same_time(tmp_path: Path, clock: ManualClock) -> None:
    url = f"sqlite:///{tmp_path}/shared.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_MANY, url, str(start)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for start in (0, 1000, 2000)
    ]
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    database = Database.open(url, clock=clock)
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM leases")).scalar_one() == 300
    database.close()


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "tillwatch.db").write_bytes(b"this is not a database, not even nearly" * 100)
    database = Database.open(f"sqlite:///{tmp_path}/tillwatch.db", clock=clock)
    with pytest.raises(StoreError, match="could not be migrated: file is not a database"):
        database.migrate()
    with pytest.raises(StoreError, match="could not be read: file is not a database"), database.read() as connection:
        connection.execute(text("SELECT 1 FROM fact"))
    database.close()


def test_the_store_is_readable_by_its_owner_only(tmp_path: Path, clock: ManualClock) -> None:
    database = Database.open(f"sqlite:///{tmp_path}/tillwatch.db", clock=clock)
    database.migrate()
    database.close()
    assert stat.S_IMODE((tmp_path / "tillwatch.db").stat().st_mode) == 0o600


def test_a_test_clock_rules_on_both_databases(database: Database, clock: ManualClock) -> None:
    clock.advance(3600)
    assert database.write(database.now) == clock.now()


def test_a_broken_constraint_comes_out_as_it_is(facts: Database) -> None:
    add(facts, 1).result(WAIT_SECONDS)
    with pytest.raises(IntegrityError):
        add(facts, 1).result(WAIT_SECONDS)
