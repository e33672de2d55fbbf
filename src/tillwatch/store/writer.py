"""One writer with group commit: many callers, one transaction, one sync to disk; acknowledged only after it."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from tillwatch.errors import StoreError

#: More jobs a transaction would make the first caller wait for the last one's work.
MAX_JOBS_PER_COMMIT = 512
#: Waiting jobs beyond this are refused at once (503 to the sender, who sends again) instead of growing without end.
MAX_JOBS_WAITING = 10_000

T = TypeVar("T")
_Job = tuple[Callable[[Connection], Any], Future[Any]]


class Writer:
    """Runs jobs on one thread. A job gets a connection inside a savepoint; its own error undoes only itself.

    A future resolves after the commit that holds its job. When that commit fails every future of it gets a StoreError:
    nothing that was not stored is ever reported as stored.
    """

    def __init__(self, engine: Engine, *, max_waiting: int = MAX_JOBS_WAITING) -> None:
        self._engine = engine
        self._jobs: queue.Queue[_Job | None] = queue.Queue(max_waiting)
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """Queue `job`. Raises StoreError when the queue is full or the writer is stopped."""
        if self._closed:
            raise StoreError("the store is stopped; nothing was stored")
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full as error:
            raise StoreError(f"{self._jobs.maxsize} writes are waiting; nothing was stored, send again") from error
        return future

    def stop(self) -> None:
        """Finish what is queued, then end the thread."""
        self._closed = True
        self._jobs.put(None)
        self._thread.join()

    def _loop(self) -> None:
        stopping = False
        while not stopping:
            batch: list[_Job] = []
            item = self._jobs.get()
            while item is not None:
                batch.append(item)
                if len(batch) >= MAX_JOBS_PER_COMMIT:
                    break
                try:
                    item = self._jobs.get_nowait()
                except queue.Empty:
                    break
            stopping = item is None
            if batch:
                self._commit(batch)

    def _commit(self, batch: list[_Job]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        refused: list[tuple[Future[Any], BaseException]] = []
        try:
            with self._engine.begin() as connection:
                for job, future in batch:
                    try:
                        with connection.begin_nested():
                            done.append((future, job(connection)))
                    except (IntegrityError, DataError) as error:
                        refused.append((future, error))
                    except DBAPIError:
                        # Full, locked or gone: the whole transaction is in doubt, so nobody in it is acknowledged.
                        raise
                    except Exception as error:
                        refused.append((future, error))
        except Exception as error:
            for _, future in batch:
                failure = StoreError(
                    f"nothing was stored: {getattr(error, 'orig', error)}; free space or check the database"
                )
                failure.__cause__ = error
                future.set_exception(failure)
            return
        for future, value in done:
            future.set_result(value)
        for future, cause in refused:
            future.set_exception(cause)
