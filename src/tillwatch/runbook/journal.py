"""The journal of one run: every write under the lease, with an entry in the record, told to whoever watches."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from tillwatch.model.runbook import RunState
from tillwatch.runbook import engine
from tillwatch.runbook.snapshot import Snapshot
from tillwatch.store import run_records, runs
from tillwatch.store.db import Database
from tillwatch.store.runs import Claim, RunRow

#: What the timeline of an incident tells of a run.
_TOLD = {"started", "waiting_approval", "waiting_manual", "compensating", "finished"}
#: Who acts when no person does.
ENGINE = "runbook"

T = TypeVar("T")
#: (connection, incident, kind, actor, data): adds an entry to an incident's timeline in the caller's transaction.
Timeline = Callable[[Connection, int, str, str, Mapping[str, object]], object]


class Journal:
    """Every method raises LeaseLost when another worker has the run, and StoreError when nothing was stored."""

    def __init__(
        self,
        claim: Claim,
        plan: Snapshot,
        *,
        database: Database,
        timeline: Timeline,
        observe: Callable[[int, str], None],
    ) -> None:
        self._claim = claim
        self._plan = plan
        self._database = database
        self._timeline = timeline
        self._observe = observe

    def told(self, event: str) -> None:
        """Tell whoever watches where the run is; nothing is written."""
        self._observe(self._claim.run, event)

    def seconds_until(self, instant: datetime) -> float:
        with self._database.read() as connection:
            return (instant - self._database.now(connection)).total_seconds()

    def release(self) -> None:
        """Let go of the run for the next worker."""
        self._database.write(lambda connection: runs.release(connection, self._claim, wake_at=None))

    def look(self) -> tuple[RunRow, engine.Situation]:
        """The run as it stands, and what decides beside it."""
        with self._database.read() as connection:
            row = runs.row(connection, self._claim.run)
            assert row is not None
            switch = run_records.switched_off(connection, self._plan.runbook)
            situation = engine.Situation(
                now=self._database.now(connection),
                votes=run_records.votes(connection, self._claim.run),
                switched_off=f"switched off by {switch.actor}: {switch.reason}" if switch else "",
            )
        return row, situation

    def _write(
        self,
        kind: str,
        data: Mapping[str, object],
        job: Callable[[Connection, datetime], T],
        *,
        incident: int | None = None,
    ) -> T:
        def guarded(connection: Connection) -> T:
            now = self._database.now(connection)
            value = job(connection, now)
            run_records.record(connection, self._claim.run, at=now, actor=self._claim.owner, kind=kind, data=data)
            if incident is not None and kind in _TOLD:
                told = about(self._plan, self._claim.run, data)
                self._timeline(connection, incident, f"run_{kind}", ENGINE, told)
            return value

        value = self._database.write(guarded)
        self._observe(self._claim.run, f"{kind}:{data['step']}" if "step" in data else kind)
        return value

    def set_step(self, kind: str, number: int, **values: Any) -> None:
        """Write where a step stands."""

        def job(connection: Connection, _now: datetime) -> None:
            runs.update_step(connection, self._claim, number, **values)

        step = self._plan.steps[number]
        data = {"step": step.id, "error": values["error"]} if values.get("error") else {"step": step.id}
        self._write(kind, data, job)

    def leave_waiting(self, row: RunRow) -> datetime:
        """Back to work; the new deadline, because the time people took is not the run's."""
        if row.run.state is RunState.RUNNING and not row.run.waiting:
            return row.deadline_at
        first = row.run.state is RunState.QUEUED

        def job(connection: Connection, now: datetime) -> datetime:
            waited = now - row.waiting_since if row.waiting_since else timedelta(0)
            deadline_at = row.deadline_at + waited
            runs.update_run(
                connection,
                self._claim,
                state=RunState.RUNNING,
                waiting={},
                waiting_since=None,
                deadline_at=deadline_at,
                reason="",
            )
            return deadline_at

        kind = "started" if first else "resumed"
        return self._write(kind, {}, job, incident=row.run.incident)

    def park(
        self,
        state: RunState,
        decision: engine.AwaitApproval | engine.AwaitManual,
        waiting: Mapping[str, Any],
        row: RunRow,
        votes: int,
    ) -> RunState | None:
        """Let go of the run until people act or the time is up; None when they acted in the meantime."""
        moved = False

        def job(connection: Connection, now: datetime) -> None:
            nonlocal moved
            there = runs.row(connection, self._claim.run)
            assert there is not None
            moved = (
                len(run_records.votes(connection, self._claim.run)) != votes
                or there.stop_requested_by != row.stop_requested_by
                or there.run.steps != row.run.steps
            )
            if not moved:
                since = row.waiting_since or now
                runs.update_run(connection, self._claim, state=state, waiting=waiting, waiting_since=since)
                runs.release(connection, self._claim, wake_at=decision.until)

        if decision.is_new:
            incident = row.run.incident
            self._write(state.value, {"step": self._plan.steps[decision.number].id}, job, incident=incident)
        else:
            self._database.write(lambda connection: job(connection, self._database.now(connection)))
        return None if moved else state

    def turn_round(self, decision: engine.Compensate, row: RunRow) -> None:
        """From here on the run only goes back."""

        def job(connection: Connection, _now: datetime) -> None:
            runs.update_run(
                connection,
                self._claim,
                state=RunState.COMPENSATING,
                ending=decision.ending,
                reason=decision.reason,
                waiting={},
            )

        self._write("compensating", {"reason": decision.reason}, job, incident=row.run.incident)

    def finish(self, decision: engine.Finish, row: RunRow) -> RunState:
        """The end of the run."""

        def job(connection: Connection, now: datetime) -> None:
            values: dict[str, Any] = {} if decision.hold_lock else {"lock": None}
            runs.update_run(
                connection,
                self._claim,
                state=decision.state,
                reason=decision.reason,
                finished_at=now,
                waiting={},
                waiting_since=None,
                **values,
            )
            runs.release(connection, self._claim, wake_at=None)

        data = {"state": decision.state.value, "reason": decision.reason}
        self._write("finished", data, job, incident=row.run.incident)
        return decision.state


def about(plan: Snapshot, run: int, data: Mapping[str, object]) -> dict[str, object]:
    """What a timeline entry says about a run."""
    return {"run": run, "runbook": plan.runbook, "title": plan.title, **data}
