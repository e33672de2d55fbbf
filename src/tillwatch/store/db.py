"""The database: how it is opened, read and written. SQLite and PostgreSQL behave the same to callers.

Reads are short snapshot transactions. Writes go through one writer (group commit): on SQLite by the file's own write
lock, on PostgreSQL by an advisory lock, so that a job may read, decide and write without anybody in between, also with
several processes on one database.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tillwatch.clock import Clock, SystemClock
from tillwatch.errors import StoreError, UsageError
from tillwatch.store.migrations import upgrade
from tillwatch.store.writer import Writer

#: How long a write waits for another process's write before it is refused (the sender gets 503 and sends again).
LOCK_TIMEOUT_SECONDS = 5.0
#: A statement that runs longer is a defect, not a wait.
STATEMENT_TIMEOUT_SECONDS = 30.0
#: A process that freezes inside a write holds up every other one; PostgreSQL ends its session after this.
IDLE_WRITER_SECONDS = 10.0
IDLE_READER_SECONDS = 60.0
CONNECT_TIMEOUT_SECONDS = 5
#: A dead link to the database is noticed within this time, not after the kernel's two hours.
TCP_USER_TIMEOUT_MILLISECONDS = 5000
READERS_MAX = 10
#: The key of the advisory lock that makes one writer out of many processes. Any constant will do; it must never change.
WRITER_LOCK_KEY = 0x7111_0A7C

T = TypeVar("T")
Item = TypeVar("Item")


class Database:
    """One open database. Thread-safe. Open it once a process, close it at the end."""

    def __init__(self, *, url: URL, readers: Engine, writers: Engine, clock: Clock) -> None:
        self.url = url
        self.dialect = url.get_backend_name()
        self._readers = readers
        self._writers = writers
        self._clock = clock
        self._writer = Writer(writers, on_begin=_take_writer_lock)
        self._writer.start()

    @classmethod
    def open(
        cls, url: str, *, clock: Clock, root: Path | None = None, lock_timeout_seconds: float = LOCK_TIMEOUT_SECONDS
    ) -> "Database":
        """Open `sqlite:///FILE` (relative to `root`, folders are created) or `postgresql+psycopg://…`.

        Connects lazily: an unreachable server shows as StoreError at the first use. Raises UsageError for any other
        URL and StoreError when the folder cannot be created.
        """
        parsed = _parsed(url, root)
        if parsed.get_backend_name() == "sqlite":
            readers, writers = _sqlite(parsed, lock_timeout_seconds)
        else:
            # Two pools: readers that take every connection must not keep the writer waiting.
            readers = _postgresql(parsed, lock_timeout_seconds, connections=READERS_MAX)
            writers = _postgresql(parsed, lock_timeout_seconds, connections=1)
        return cls(url=parsed, readers=readers, writers=writers, clock=clock)

    def migrate(self) -> None:
        """Bring the schema to this version. Safe to call from several processes at once."""
        with _store_errors("migrated"), self._writers.begin() as connection:
            upgrade(connection)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot of the database. Keep it short: never hold it over a network call or a wait."""
        with _store_errors("read"), self._readers.connect() as connection:
            if self.dialect == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    def write(self, job: Callable[[Connection], T]) -> T:
        """Run `job` in a write transaction and return its value after the commit.

        Raises StoreError when it is not stored. Anything `job` itself raises undoes the job and comes out as it is.
        `job` may be run twice when another job of the same commit fails, so it must have no effect outside.
        """
        if self._writer.is_current_thread:
            raise RuntimeError("write() inside a write job would wait for itself; use the job's own connection")
        return self.submit(job).result()

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """As `write`, without waiting: the future resolves after the commit."""
        return self._writer.submit(job)

    def submit_item(self, handle: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item) -> Future[T]:
        """As `submit`, for many small items of one kind: those that wait together are given to `handle` together.

        `handle` returns one value for each, in order. When it raises, they are given to it again one by one.
        """
        return self._writer.submit_item(handle, item)

    def now(self, connection: Connection) -> datetime:
        """The clock all processes on this database share: the server's, or ours when the database is a local file.

        A clock given by a test rules in both cases.
        """
        if self.dialect == "postgresql" and isinstance(self._clock, SystemClock):
            instant: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
            return instant.astimezone(UTC)
        return self._clock.now()

    def close(self) -> None:
        """Store what was accepted, then let go of every connection."""
        self._writer.stop()
        self._readers.dispose()
        self._writers.dispose()


def _take_writer_lock(connection: Connection) -> None:
    """One writer among all processes. SQLite's BEGIN IMMEDIATE has done the same already."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": WRITER_LOCK_KEY})


def _parsed(url: str, root: Path | None) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise UsageError(
            f"store.url '{url}' is not a database URL; write sqlite:///var/tillwatch.db or "
            "postgresql+psycopg://USER:PASSWORD@HOST/DATABASE"
        ) from error
    if parsed.drivername in {"postgresql", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise UsageError(f"store.url: '{parsed.drivername}' is not supported; use sqlite or postgresql+psycopg")
    if parsed.database in {None, "", ":memory:"} or str(parsed.database).startswith("file:"):
        raise UsageError(
            "store.url names no file; everything would be forgotten at exit: use sqlite:///var/tillwatch.db"
        )
    path = Path(str(parsed.database))
    return parsed.set(database=str(root / path if root is not None else path))


def _sqlite(url: URL, lock_timeout_seconds: float) -> tuple[Engine, Engine]:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Incidents tell much about a company: the file is its owner's alone, and SQLite's side files follow it.
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be created: {error.strerror}; name another file in store.url or make the folder "
            "writable"
        ) from error
    connect_args = {"timeout": lock_timeout_seconds, "check_same_thread": False}
    writers = create_engine(url, connect_args=connect_args, pool_size=1, max_overflow=1)
    readers = create_engine(url, connect_args=connect_args, pool_size=READERS_MAX, max_overflow=READERS_MAX)
    # The journal mode belongs to the file: only writers set it, so that a reader never waits for a writer.
    tune_sqlite(writers, "BEGIN IMMEDIATE", "journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON")
    tune_sqlite(readers, "BEGIN", "query_only = ON")
    return readers, writers


def tune_sqlite(engine: Engine, begin: str, *pragmas: str) -> None:
    """Begin every transaction with `begin`, and every connection with `pragmas`."""

    @event.listens_for(engine, "connect")
    def settings(connection: Any, _record: object) -> None:
        # The driver must not begin transactions by itself: it would begin them too late and with the wrong lock.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _postgresql(url: URL, lock_timeout_seconds: float, *, connections: int) -> Engine:
    milliseconds = int(lock_timeout_seconds * 1000)
    idle = IDLE_WRITER_SECONDS if connections == 1 else IDLE_READER_SECONDS
    settings = (
        f"-c lock_timeout={milliseconds} -c statement_timeout={int(STATEMENT_TIMEOUT_SECONDS * 1000)} "
        f"-c timezone=UTC -c idle_in_transaction_session_timeout={int(idle * 1000)}"
    )
    return create_engine(
        url,
        pool_pre_ping=True,
        pool_size=connections,
        max_overflow=connections,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "tcp_user_timeout": TCP_USER_TIMEOUT_MILLISECONDS,
            "keepalives_idle": 10,
            "application_name": "tillwatch",
            "options": settings,
        },
    )


@contextmanager
def _store_errors(verb: str) -> Iterator[None]:
    """A database that is not there is a StoreError with its own words; a defect in our SQL stays what it is."""
    try:
        yield
    except (DBAPIError, DisconnectionError, PoolTimeoutError) as error:
        raise StoreError(
            f"the database could not be {verb}: {_words(error)}; check that it is running, reachable and not full"
        ) from error


def _words(error: BaseException) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
