"""The life of a run that a process carries out: written down before it starts, leased while it works, completed once.

Audits and validations live like this, each in a table of its own with the same columns for it. What a run found is
theirs; that it is run once, noticed when it dies, and forgotten when it is old is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, select, update

#: Values of the column `state`.
RUNNING, FINISHED = "running", "finished"
#: What a run interrupted by a crash says, and its verdict.
INTERRUPTED, FAILED = "interrupted", "failed"
#: Runs removed at most with each new one, so that finishing a run stays short.
MAX_PRUNED = 50


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """One kind of run."""

    runs: Table
    #: What a run is of: the column with the id of the audit or the validation.
    of: str
    #: What runs found; goes with its run. Its column `run` names it.
    found: Table

    def begin(
        self,
        connection: Connection,
        name: str,
        *,
        trigger: str,
        slot: datetime | None,
        owner: str,
        now: datetime,
        lease_until: datetime,
        blank: Mapping[str, object],
    ) -> int | None:
        """Write down that a run starts, with `blank` for what it will find. None when somebody else has this slot:
        then it must not be run again."""
        if slot is not None:
            taken = select(self.runs.c.id).where(self._of == name, self.runs.c.slot == slot)
            if connection.execute(taken).first() is not None:
                return None
        row = {
            self.of: name,
            "trigger": trigger,
            "slot": slot,
            "state": RUNNING,
            "owner": owner,
            "lease_until": lease_until,
            "started_at": now,
            "verdict": "",
            "reason": "",
            "strategy": "",
            "bytes_read": 0,
            "seconds": 0.0,
            **blank,
        }
        return int(connection.execute(insert(self.runs).values(row).returning(self.runs.c.id)).scalar_one())

    def renew(self, connection: Connection, run: int, owner: str, lease_until: datetime) -> bool:
        """Say that the run is alive. False when it was already given up."""
        return self._change(connection, run, owner, {"lease_until": lease_until})

    def release(self, connection: Connection, run: int, owner: str, now: datetime) -> None:
        """Let go of a run that is not finished, so that the next `give_up` takes it at once: its process stops."""
        self._change(connection, run, owner, {"lease_until": now})

    def is_ours(self, connection: Connection, run: int, owner: str) -> bool:
        """Whether the run is still believed to be alive and is `owner`'s."""
        return connection.execute(select(self.runs.c.id).where(self._running(run, owner))).first() is not None

    def withdraw(self, connection: Connection, run: int, owner: str) -> None:
        """Take back a run that could not begin as it was asked for: it never was."""
        connection.execute(delete(self.runs).where(self._running(run, owner)))

    def complete(
        self, connection: Connection, run: int, owner: str, now: datetime, values: Mapping[str, object]
    ) -> bool:
        """The run has ended by itself with `values`. False when it was given up meanwhile: nothing is stored."""
        ended = {"state": FINISHED, "lease_until": None, "finished_at": now}
        return self._change(connection, run, owner, {**ended, **values})

    def give_up(self, connection: Connection, now: datetime) -> list[int]:
        """Runs whose owner gave no sign of life until `now`, marked failed: `interrupted`, with nothing found."""
        dead = and_(self.runs.c.state == RUNNING, self.runs.c.lease_until <= now)
        numbers = list(connection.execute(select(self.runs.c.id).where(dead).order_by(self.runs.c.id)).scalars())
        if numbers:
            connection.execute(delete(self.found).where(self.found.c.run.in_(numbers)))
            ended = {"state": FINISHED, "lease_until": None, "finished_at": now}
            values = {**ended, "verdict": FAILED, "reason": INTERRUPTED}
            connection.execute(update(self.runs).where(self.runs.c.id.in_(numbers)).values(values))
        return numbers

    def in_vain(self, connection: Connection, name: str, limit: int, *, answers: Sequence[str]) -> int:
        """How many of the newest finished runs in a row ended without one of `answers`; counted up to `limit`."""
        query = (
            select(self.runs.c.verdict)
            .where(self._of == name, self.runs.c.state == FINISHED)
            .order_by(self.runs.c.id.desc())
            .limit(limit)
        )
        verdicts = connection.execute(query).scalars().all()
        return next((count for count, verdict in enumerate(verdicts) if verdict in answers), len(verdicts))

    def newest(self, *, verdicts: Sequence[str] = ()) -> ColumnElement[bool]:
        """Condition: the newest finished run of each, or the newest of each with one of `verdicts`."""
        numbers = select(func.max(self.runs.c.id)).where(self.runs.c.state == FINISHED)
        if verdicts:
            numbers = numbers.where(self.runs.c.verdict.in_(verdicts))
        return self.runs.c.id.in_(numbers.group_by(self._of))

    def last_slots(self, connection: Connection) -> dict[str, datetime]:
        """The last scheduled instant each was run for."""
        slot = func.max(self.runs.c.slot, type_=self.runs.c.slot.type)
        query = select(self._of, slot).where(self.runs.c.slot.is_not(None)).group_by(self._of)
        return {str(row[0]): row[1] for row in connection.execute(query)}

    def prune(self, connection: Connection, name: str, *, keep: int, unless: ColumnElement[bool] | None = None) -> None:
        """Remove runs beyond the newest `keep`, oldest first; never one that `unless` holds for."""
        mine = select(self.runs.c.id).where(self._of == name)
        boundary = connection.execute(mine.order_by(self.runs.c.id.desc()).offset(keep).limit(1)).scalar_one_or_none()
        if boundary is None:
            return
        old = mine.where(self.runs.c.id <= boundary, self.runs.c.state == FINISHED)
        if unless is not None:
            old = old.where(~unless)
        if numbers := list(connection.execute(old.order_by(self.runs.c.id).limit(MAX_PRUNED)).scalars()):
            connection.execute(delete(self.found).where(self.found.c.run.in_(numbers)))
            connection.execute(delete(self.runs).where(self.runs.c.id.in_(numbers)))

    @property
    def _of(self) -> Any:
        return self.runs.c[self.of]

    def _running(self, run: int, owner: str) -> ColumnElement[bool]:
        return and_(self.runs.c.id == run, self.runs.c.state == RUNNING, self.runs.c.owner == owner)

    def _change(self, connection: Connection, run: int, owner: str, values: Mapping[str, object]) -> bool:
        return connection.execute(update(self.runs).where(self._running(run, owner)).values(values)).rowcount == 1
