"""What outlives a run: suspects that are not decided yet. The next run of the audit goes on where this one stopped."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from tillwatch.audit.suspects import Standing
from tillwatch.clock import Clock
from tillwatch.model.audit import Remembered
from tillwatch.store import suspects as records
from tillwatch.store.db import Database

#: Suspects remembered of one audit. When more rows differ than this, waiting for them once more is the least trouble.
MAX_REMEMBERED = 2_000


class Ledger(Protocol):
    """Where suspects are kept between two looks of the store."""

    def load(self) -> Sequence[Remembered]:
        """Suspects an earlier run did not decide."""
        ...

    def save(self, suspects: Sequence[Remembered]) -> None:
        """These, and no others, are undecided now."""
        ...


class Forgetful:
    """Keeps nothing: for comparisons without a store."""

    def load(self) -> Sequence[Remembered]:
        return ()

    def save(self, suspects: Sequence[Remembered]) -> None:
        """Nothing to keep."""


class StoredLedger:
    """The suspects of one audit in the store, written by one run."""

    def __init__(self, database: Database, *, audit: str, run: int, owner: str) -> None:
        self._database, self._audit, self._run, self._owner = database, audit, run, owner
        self._empty = False

    def load(self) -> Sequence[Remembered]:
        with self._database.read() as connection:
            found = records.suspects(connection, self._audit)
        self._empty = not found
        return found

    def save(self, suspects: Sequence[Remembered]) -> None:
        """Raises StoreError. A run that was given up meanwhile changes nothing: another one has taken its suspects."""
        if self._empty and not suspects:
            return
        self._empty = not suspects
        self._database.write(
            lambda connection: records.replace(
                connection, audit=self._audit, run=self._run, owner=self._owner, suspects=suspects
            )
        )


def remembered(key: bytes, standing: Standing, clock: Clock) -> Remembered:
    """A suspect as the store keeps it: in wall time, because the next process has another monotonic clock."""
    now, monotonic = clock.now(), clock.monotonic()
    return Remembered(
        key=key.decode(),
        first_seen=now - timedelta(seconds=monotonic - standing.first),
        since=now - timedelta(seconds=monotonic - standing.since),
        windows=standing.windows,
        left=standing.left,
        right=standing.right,
    )


def standing(kept: Remembered, clock: Clock) -> Standing:
    """The suspect again, in this process's monotonic time. A wall clock that was set back makes nobody wait longer
    than a fresh suspect would."""
    now, monotonic = clock.now(), clock.monotonic()

    def ago(moment: datetime) -> float:
        return monotonic - max(0.0, (now - moment).total_seconds())

    return Standing(
        first=ago(kept.first_seen),
        since=ago(kept.since),
        windows=kept.windows,
        left=kept.left,
        right=kept.right,
        moved=True,
    )
