"""One writer with group commit: many callers, one transaction, one sync to disk; acknowledged only after it."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from tillwatch.errors import StoreError
from tillwatch.store.savepoint import savepoint

#: More jobs a transaction would make the first caller wait for the last one's work.
MAX_JOBS_PER_COMMIT = 512
#: Waiting jobs beyond this are refused at once (503 to the sender, who sends again) instead of growing without end.
MAX_JOBS_WAITING = 10_000

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class _Job:
    """Items for the same `handle` that wait together are handled together; `items` of a job of its own is empty."""

    handle: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    items: tuple[Any, ...]
    future: Future[Any]


class Writer:
    """Runs jobs on one thread, in order. Each gets a connection inside a savepoint; its own error undoes only itself.

    A future resolves after the commit that holds its job. When that commit fails every future of it gets a StoreError:
    nothing that was not stored is ever reported as stored. When one job's statement breaks the shared transaction, the
    jobs are run again one by one, so that only the broken one is refused.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_waiting: int = MAX_JOBS_WAITING,
        on_begin: Callable[[Connection], None] = lambda _connection: None,
    ) -> None:
        """`engine` begins its transactions by its own statement (`db.tune_sqlite`), not by a driver's hidden one.

        `on_begin` runs first in every transaction, for example to take a lock shared with other processes.
        """
        self._engine = engine
        self._on_begin = on_begin
        self._jobs: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._closed = False
        # A job queued after the end marker would wait for ever, so closing and queueing exclude each other.
        self._closing = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)

    @property
    def is_current_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """Queue `job`. Raises StoreError when the queue is full or the writer is stopped."""
        return self._queue(lambda connection, _items: (job(connection),), ())

    def submit_item(self, handle: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item) -> Future[T]:
        """Queue `item`. Those for an equal `handle` that wait one behind the other are given to it together.

        It returns one value for each, in order. When it raises they are given to it again, one by one.
        """
        return self._queue(handle, (item,))

    def _queue(self, handle: Callable[[Connection, Sequence[Any]], Sequence[T]], items: tuple[Any, ...]) -> Future[T]:
        future: Future[T] = Future()
        with self._closing:
            if self._closed:
                raise StoreError("the store is stopped; nothing was stored")
            try:
                self._jobs.put_nowait(_Job(handle=handle, items=items, future=future))
            except queue.Full as error:
                raise StoreError(f"{self._jobs.maxsize} writes are waiting; nothing was stored, send again") from error
        return future

    def stop(self) -> None:
        """Finish what is queued, then end the thread. Calling it again does nothing."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def _loop(self) -> None:
        stopping = False
        while not stopping:
            batch: list[_Job] = []
            item = self._jobs.get()
            while item is not None:
                # A caller that gave up waiting may cancel; from here on it cannot any more.
                if item.future.set_running_or_notify_cancel():
                    batch.append(item)
                if len(batch) >= MAX_JOBS_PER_COMMIT:
                    break
                try:
                    item = self._jobs.get_nowait()
                except queue.Empty:
                    break
            stopping = item is None
            if batch:
                self._store(batch)

    def _store(self, batch: list[_Job]) -> None:
        groups = _groups(batch)
        try:
            self._commit(groups)
        except _UndoneAlone as undone:
            batch[0].future.set_exception(undone.error)
        except _BrokenByJob as broken:
            if len(batch) == 1:
                self._refuse(batch, broken.error)
                return
            for job in batch:
                self._store([job])
        except BaseException as error:
            # Whatever it was, the thread lives on: a dead writer would leave every caller waiting.
            self._refuse(batch, error)

    def _commit(self, groups: list[list[_Job]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        refused: list[tuple[Future[Any], BaseException]] = []
        with self._engine.begin() as connection:
            self._on_begin(connection)
            waiting = deque(groups)
            while waiting:
                group = waiting.popleft()
                outcome, error = _run(group, connection, alone=len(groups) == 1)
                if error is None:
                    done += zip((job.future for job in group), outcome, strict=True)
                elif len(group) > 1:
                    if len(groups) == 1:
                        # There was no savepoint to go back to.
                        raise _BrokenByJob(error)
                    waiting.extendleft([job] for job in reversed(group))
                elif len(groups) == 1:
                    raise _UndoneAlone(error)
                else:
                    refused.append((group[0].future, error))
                if not _is_open(connection):
                    raise StoreError("the database gave up the transaction")
        for future, value in done:
            future.set_result(value)
        for future, cause in refused:
            future.set_exception(cause)

    def _refuse(self, batch: list[_Job], error: BaseException) -> None:
        words = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        for job in batch:
            failure = StoreError(f"nothing was stored: {words[0]}; free space or check the database, then send again")
            failure.__cause__ = error
            job.future.set_exception(failure)
        # A connection that saw a failed sync or a vanished server is not trusted again.
        self._engine.dispose()


def _groups(batch: list[_Job]) -> list[list[_Job]]:
    """Jobs in their order, those that are handled together in one list."""
    groups: list[list[_Job]] = []
    for job in batch:
        if groups and job.items and groups[-1][0].handle == job.handle:
            groups[-1].append(job)
        else:
            groups.append([job])
    return groups


def _run(group: list[_Job], connection: Connection, *, alone: bool) -> tuple[Sequence[Any], Exception | None]:
    """The jobs' values, or the error that undid them alone. Raises when the shared transaction is no longer sound.

    A group that is alone in its transaction needs no savepoint: the transaction is undone with it.
    """
    try:
        with nullcontext() if alone else savepoint(connection):
            return group[0].handle(connection, [item for job in group for item in job.items]), None
    except DBAPIError as error:
        if is_database_trouble(error):
            raise
        if not isinstance(error, IntegrityError | DataError | ProgrammingError):
            raise _BrokenByJob(error) from error
        return (), error
    except Exception as error:
        return (), error


def _is_open(connection: Connection) -> bool:
    """False when SQLite has dropped the transaction by itself and a job did not let the error through.

    Without this question the jobs before it would be reported as stored though they were undone.
    """
    driver = connection.connection.dbapi_connection
    return bool(getattr(driver, "in_transaction", True))


class _UndoneAlone(Exception):
    """The only job of a transaction failed by itself; nothing of it is to be stored."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _BrokenByJob(Exception):
    """Some job ended the shared transaction though the database itself is well."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


#: SQLite's primary result codes that speak of the file or its lock, not of the statement.
#: Busy, locked, read-only, I/O error, corrupt, full, cannot open, no database.
_SQLITE_TROUBLE = {5, 6, 8, 10, 11, 13, 14, 26}
#: PostgreSQL's classes: connection, resources, operator intervention (but a statement timeout), system, configuration.
_POSTGRESQL_TROUBLE = ("08", "53", "57P", "58", "F0", "XX", "55P03")


def is_database_trouble(error: DBAPIError) -> bool:
    """True when `error` is about the database (full, locked, gone) and would meet any other job as well."""
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is not None:
        return (code & 0xFF) in _SQLITE_TROUBLE
    state = getattr(error.orig, "sqlstate", None)
    return state is None or str(state).startswith(_POSTGRESQL_TROUBLE)
