"""Runs of one kind in one process: each name once at a time, alive on the store while it works, never lost silently.

A run is written down before, takes its turn, renews its lease while it works, and is either stored or let go of, so
that another process, or the next start, runs it again. What a run does and finds is its owner's.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.errors import StoreError, UnavailableError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.store.db import Database
from tillwatch.store.lifecycle import Lifecycle

_log = logging.getLogger(__name__)

#: A run that gave no sign of life for so long is given up. Renewed three times within it.
LEASE = timedelta(seconds=20)
#: Runs waiting for a worker that somebody asked for; more are refused.
MAX_WAITING = 100
#: Runs that somebody asked for carried out at the same time.
MAX_WORKERS = 2
T = TypeVar("T")


class WriteDown(Protocol):
    """Writes down that a run starts, in the table of its kind."""

    def __call__(
        self,
        connection: Connection,
        /,
        *,
        trigger: str,
        slot: datetime | None,
        owner: str,
        now: datetime,
        lease_until: datetime,
    ) -> int | None: ...


class Life:
    """Thread-safe. `kind` is the word for one, in messages: audit, validation."""

    def __init__(
        self,
        kind: str,
        records: Lifecycle,
        names: Iterable[str],
        *,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        owner: str,
        loop: str,
    ) -> None:
        """`owner` names this process among all on one store, `loop` counts runs that were lost."""
        self.kind, self.records, self.owner = kind, records, owner
        self._database, self._clock, self._metrics, self._loop = database, clock, metrics, loop
        self._turns = {name: threading.Lock() for name in names}
        #: Set when the process is told to stop.
        self.stopping = threading.Event()
        self._asked = threading.BoundedSemaphore(MAX_WAITING)
        #: Numbers of runs that were begun and wait for a worker.
        self._queued: set[int] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix=kind)

    def begin(self, write_down: WriteDown, trigger: str, slot: datetime | None) -> int | None:
        """Write a run of ours down, alive from now; None when another process has that slot."""
        now = self._clock.now()
        return self._database.write(
            lambda connection: write_down(
                connection, trigger=trigger, slot=slot, owner=self.owner, now=now, lease_until=now + LEASE
            )
        )

    def begun(self, write_down: WriteDown, trigger: str) -> int:
        """The number of a run without a slot, which nobody else can have."""
        run = self.begin(write_down, trigger, None)
        assert run is not None
        return run

    def in_background(self, name: str, begin: Callable[[], int], carry_out: Callable[[int], object]) -> int:
        """Begin a run, carry it out in the background, and return its number. Raises UsageError when too many wait."""
        if not self._asked.acquire(blocking=False):
            raise UsageError(f"{MAX_WAITING} {self.kind} runs are waiting; wait for them")
        try:
            run = begin()
            with self._lock:
                self._queued.add(run)
            self._pool.submit(self._carry_out, name, run, carry_out)
        except BaseException:
            self._asked.release()
            raise
        return run

    def alive(self, run: int) -> None:
        """Renew the lease of `run`, which works, and of those that wait for a worker: they wait because others work."""
        with self._lock:
            runs = sorted({run} | (set() if self.stopping.is_set() else self._queued))
        until = self._clock.now() + LEASE

        def job(connection: Connection) -> None:
            for one in runs:
                self.records.renew(connection, one, self.owner, until)

        try:
            self._database.write(job)
        except StoreError as error:
            _log.warning("%s runs %s could not say that they are alive: %s", self.kind, runs, error)

    def _carry_out(self, name: str, run: int, carry_out: Callable[[int], object]) -> None:
        try:
            with self._lock:
                self._queued.discard(run)
            # Those who renewed it may have been busy with storing for most of a lease.
            self.alive(run)
            carry_out(run)
        except Exception:
            _log.exception("%s run %s of %s was lost", self.kind, run, name)
            self._metrics.inc("tillwatch_loop_errors_total", loop=self._loop)
        finally:
            self._asked.release()

    @contextmanager
    def turn(self, name: str, run: int) -> Iterator["Beat"]:
        """Wait until no other run of `name` is under way here; alive meanwhile, and whenever the beat is called."""
        beat = Beat(self, run, self._clock)
        lock = self._turns[name]
        while not lock.acquire(timeout=LEASE.total_seconds() / 10):
            beat()
        try:
            yield beat
        finally:
            lock.release()

    def work(
        self,
        name: str,
        run: int,
        examine: Callable[[], T],
        *,
        defect: Callable[[Exception], T],
        failed: Callable[[T], bool],
        refusals: tuple[type[Exception], ...] = (),
    ) -> T:
        """What `examine` reports; a defect of ours is a report too. `refusals` pass.

        A report that failed because the process is told to stop is no finding, so nobody is alarmed: then the run is
        let go of and UnavailableError raised.
        """
        try:
            report = examine()
        except refusals:
            raise
        except Exception as error:
            _log.exception("%s %s failed by a defect of ours", self.kind, name)
            report = defect(error)
        except BaseException:
            self._let_go(run)
            raise
        if self.stopping.is_set() and failed(report):
            self._let_go(run)
            raise UnavailableError(f"{self.kind} '{name}' was stopped with its process; it is run again")
        return report

    def given_up(self, run: int) -> StoreError:
        """What to raise when the store does not take the result of `run`."""
        return StoreError(
            f"{self.kind} run {run} was given up as dead before it finished (no sign of life for {LEASE}); "
            f"its result is not used, the {self.kind} is run again"
        )

    def stop(self) -> None:
        """Let runs under way end early, unfinished; another process, or the next start, runs them again."""
        self.stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _let_go(self, run: int) -> None:
        now = self._clock.now()
        try:
            self._database.write(lambda connection: self.records.release(connection, run, self.owner, now))
        except StoreError as error:
            _log.warning("%s run %s is not released, it is given up after %s: %s", self.kind, run, LEASE, error)


class Beat:
    """Says that one run is alive, rarely, however often it is called."""

    def __init__(self, life: Life, run: int, clock: Clock) -> None:
        self._life, self._run, self._clock = life, run, clock
        self._next = clock.monotonic() + LEASE.total_seconds() / 3

    def __call__(self) -> None:
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + LEASE.total_seconds() / 3
        self._life.alive(self._run)
