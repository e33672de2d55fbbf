"""What a worker must know while it works on a run: is the run still mine, and should I stop?"""

import enum
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.errors import StoreError
from tillwatch.store import run_records, runs
from tillwatch.store.db import Database
from tillwatch.store.runs import Claim, LeaseLost

_LOG = logging.getLogger(__name__)

#: An action may ask before every item; the store is asked at most this often.
LOOK_SECONDS = 0.5


class Halt(enum.StrEnum):
    """Why work on a run stops before its end."""

    NONE = ""
    PERSON = "stopped by a person"
    SWITCH = "the kill switch is on"
    DEADLINE = "the deadline passed"
    LOST = "another worker took the run over"
    SHUTDOWN = "the process is shutting down"


class Leash:
    """Renews the lease from a thread of its own, and answers `stop()` for actions."""

    def __init__(
        self,
        claim: Claim,
        *,
        runbook: str,
        deadline_at: datetime,
        going_back: bool,
        database: Database,
        clock: Clock,
        lease: timedelta,
        shutting_down: Callable[[], bool],
    ) -> None:
        self._claim = claim
        self._runbook = runbook
        self._database = database
        self._clock = clock
        self._lease = lease
        self._shutting_down = shutting_down
        self._ended = threading.Event()
        self._looked = float("-inf")
        self.halt = Halt.NONE
        #: Moved on when people let the run wait; kept here so that an action notices it in time.
        self.deadline_at = deadline_at
        #: A run that goes back undoes, whatever the deadline or a person says; only the kill switch ends it.
        self.going_back = going_back
        self._thread = threading.Thread(target=self._renew, name=f"runbook-lease-{claim.run}", daemon=True)

    def __enter__(self) -> "Leash":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def turn_round(self) -> None:
        """From here on the run goes back: what made it turn does not keep it from undoing."""
        self.going_back = True
        if self.halt in {Halt.PERSON, Halt.DEADLINE}:
            self.halt = Halt.NONE

    def stop(self) -> bool:
        """True once the action should end; looks at the store itself, at most every LOOK_SECONDS."""
        if self.halt in {Halt.LOST, Halt.SWITCH}:
            return True
        if self._shutting_down():
            self.halt = Halt.SHUTDOWN
            return True
        now = self._clock.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self.halt is not Halt.NONE

    def _look(self) -> None:
        def read(connection: Connection) -> Halt:
            row = runs.row(connection, self._claim.run)
            if row is None or row.run.epoch != self._claim.epoch or row.owner != self._claim.owner:
                return Halt.LOST
            if run_records.switched_off(connection, self._runbook) is not None:
                return Halt.SWITCH
            if self.going_back:
                return Halt.NONE
            if row.stop_requested_by:
                return Halt.PERSON
            return Halt.DEADLINE if self._database.now(connection) >= self.deadline_at else Halt.NONE

        try:
            with self._database.read() as connection:
                self.halt = read(connection)
        except StoreError:
            # Not knowing is no reason to stop in the middle; the lease decides who goes on.
            _LOG.warning("run %s: cannot ask whether to stop, the store does not answer", self._claim.run)

    def _renew(self) -> None:
        while not self._ended.wait(self._lease.total_seconds() / 3):
            try:
                self._database.write(
                    lambda connection: runs.renew(
                        connection, self._claim, now=self._database.now(connection), lease=self._lease
                    )
                )
            except LeaseLost:
                self.halt = Halt.LOST
                return
            except StoreError:
                _LOG.warning("run %s: the lease cannot be renewed, the store does not answer", self._claim.run)
