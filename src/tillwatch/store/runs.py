"""SQL of runbook runs. A worker writes only under its lease: every write names its epoch, and a lost lease raises."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, or_, select, update

from tillwatch.errors import RefusedError
from tillwatch.model.runbook import Phase, Run, RunState, StepRecord, StepState
from tillwatch.store.tables.runs import runbook_runs, runbook_steps

#: One page of runs; a caller that wants more asks again with `before`.
MAX_RUNS_LISTED = 500

_FINAL = tuple(state.value for state in RunState if state.is_final)


class LeaseLost(RefusedError):
    """Another worker took this run over; nothing of ours may be written to it any more."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to write to one run until the lease runs out."""

    run: int
    owner: str
    epoch: int


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """A run with what only the engine needs. `plan` is the snapshot as JSON."""

    run: Run
    plan: Mapping[str, Any]
    deadline_at: datetime
    lock: str | None
    ending: RunState | None
    waiting_since: datetime | None
    stop_requested_by: str
    wake_at: datetime | None
    owner: str
    lease_until: datetime | None


def insert(
    connection: Connection,
    *,
    runbook: str,
    title: Mapping[str, str],
    params: Mapping[str, str],
    plan: Mapping[str, Any],
    digest: str,
    lock: str,
    requested_by: str,
    incident: int | None,
    steps: Sequence[StepRecord],
    now: datetime,
    deadline_at: datetime,
) -> int:
    """A new run, queued. The unique lock refuses a second one on the same target (IntegrityError)."""
    values = {
        "runbook": runbook,
        "title": dict(title),
        "state": RunState.QUEUED.value,
        "reason": "",
        "params": dict(params),
        "plan": plan,
        "digest": digest,
        "requested_by": requested_by,
        "incident": incident,
        "created_at": now,
        "deadline_at": deadline_at,
        "lock": lock,
        "ending": "",
        "waiting": {},
        "stop_requested_by": "",
        "owner": "",
        "epoch": 0,
    }
    run: int = connection.execute(runbook_runs.insert().values(values)).inserted_primary_key[0]  # type: ignore[index]
    rows = [
        {
            "run": run,
            "number": number,
            "id": step.id,
            "title": dict(step.title),
            "action": step.action,
            "phase": step.phase.value,
            "state": step.state.value,
            "attempts": 0,
            "seconds": 0.0,
            "output": {},
            "error": "",
            "started_at": None,
        }
        for number, step in enumerate(steps)
    ]
    connection.execute(runbook_steps.insert(), rows)
    return run


def row(connection: Connection, run: int) -> RunRow | None:
    found = connection.execute(select(runbook_runs).where(runbook_runs.c.id == run)).one_or_none()
    if found is None:
        return None
    steps = connection.execute(
        select(runbook_steps).where(runbook_steps.c.run == run).order_by(runbook_steps.c.number)
    ).all()
    return _row(found, steps)


def listed(
    connection: Connection, *, incident: int | None = None, limit: int = MAX_RUNS_LISTED, before: int | None = None
) -> list[Run]:
    """Newest first."""
    query = select(runbook_runs).order_by(runbook_runs.c.id.desc()).limit(min(limit, MAX_RUNS_LISTED))
    if incident is not None:
        query = query.where(runbook_runs.c.incident == incident)
    if before is not None:
        query = query.where(runbook_runs.c.id < before)
    found = connection.execute(query).all()
    numbers = [item.id for item in found]
    steps: dict[int, list[Row[Any]]] = {number: [] for number in numbers}
    ordered = select(runbook_steps).where(runbook_steps.c.run.in_(numbers)).order_by(runbook_steps.c.number)
    for step in connection.execute(ordered) if numbers else ():
        steps[step.run].append(step)
    return [_row(item, steps[item.id]).run for item in found]


def holder(connection: Connection, lock: str) -> int | None:
    """The run that holds the target `lock`."""
    found: int | None = connection.execute(
        select(runbook_runs.c.id).where(runbook_runs.c.lock == lock)
    ).scalar_one_or_none()
    return found


def count_since(connection: Connection, runbook: str, since: datetime) -> int:
    query = select(func.count()).where(runbook_runs.c.runbook == runbook, runbook_runs.c.created_at > since)
    return int(connection.execute(query).scalar_one())


def waiting(connection: Connection) -> dict[RunState, int]:
    """How many runs wait for a person, by what for."""
    states = (RunState.WAITING_APPROVAL, RunState.WAITING_MANUAL, RunState.NEEDS_HUMAN)
    query = (
        select(runbook_runs.c.state, func.count())
        .where(runbook_runs.c.state.in_([state.value for state in states]))
        .group_by(runbook_runs.c.state)
    )
    found = {str(state): int(count) for state, count in connection.execute(query)}
    return {state: found.get(state.value, 0) for state in states}


def claimable(connection: Connection, now: datetime, limit: int) -> list[int]:
    """Runs nobody works on that have something to do now, oldest first."""
    query = (
        select(runbook_runs.c.id)
        .where(
            runbook_runs.c.state.not_in(_FINAL),
            or_(runbook_runs.c.wake_at.is_(None), runbook_runs.c.wake_at <= now),
            or_(runbook_runs.c.lease_until.is_(None), runbook_runs.c.lease_until <= now),
        )
        .order_by(runbook_runs.c.id)
        .limit(limit)
    )
    return list(connection.execute(query).scalars())


def claim(connection: Connection, run: int, *, owner: str, now: datetime, lease: timedelta) -> Claim | None:
    """Take the run if nobody holds it. The epoch rises, so that a former owner can write no more."""
    changed = connection.execute(
        update(runbook_runs)
        .where(
            runbook_runs.c.id == run,
            runbook_runs.c.state.not_in(_FINAL),
            or_(runbook_runs.c.lease_until.is_(None), runbook_runs.c.lease_until <= now),
        )
        .values(owner=owner, epoch=runbook_runs.c.epoch + 1, lease_until=now + lease)
        .returning(runbook_runs.c.epoch)
    ).scalar_one_or_none()
    return None if changed is None else Claim(run=run, owner=owner, epoch=changed)


def renew(connection: Connection, claim: Claim, *, now: datetime, lease: timedelta) -> None:
    """Raises LeaseLost."""
    update_run(connection, claim, lease_until=now + lease)


def release(connection: Connection, claim: Claim, *, wake_at: datetime | None) -> None:
    """Let go of the run; it is claimable again from `wake_at` on (None: at once). Raises LeaseLost."""
    update_run(connection, claim, owner="", lease_until=None, wake_at=wake_at)


def update_run(connection: Connection, claim: Claim, **values: Any) -> None:
    """Write to the run under the claim. Raises LeaseLost when another worker has it."""
    result = connection.execute(
        update(runbook_runs)
        .where(
            runbook_runs.c.id == claim.run,
            runbook_runs.c.epoch == claim.epoch,
            runbook_runs.c.owner == claim.owner,
        )
        .values({key: _plain(value) for key, value in values.items()} or {"epoch": claim.epoch})
    )
    if result.rowcount != 1:
        raise LeaseLost(f"run {claim.run} was taken over by another worker; this one stops")


def update_step(connection: Connection, claim: Claim, number: int, **values: Any) -> None:
    """Write to one step under the claim. Raises LeaseLost."""
    update_run(connection, claim)
    connection.execute(
        update(runbook_steps)
        .where(runbook_steps.c.run == claim.run, runbook_steps.c.number == number)
        .values({key: _plain(value) for key, value in values.items()})
    )


def change_unclaimed(connection: Connection, run: int, **values: Any) -> None:
    """What people may write at any time, whoever works on the run: a request to stop, a reason to wake up."""
    connection.execute(update(runbook_runs).where(runbook_runs.c.id == run).values(values))


def reopen(
    connection: Connection, run: int, number: int, *, step: Mapping[str, Any], values: Mapping[str, Any]
) -> None:
    """Put a run that needs a person back to work, as that person decided."""
    connection.execute(
        update(runbook_runs)
        .where(runbook_runs.c.id == run)
        .values(owner="", lease_until=None, wake_at=None, epoch=runbook_runs.c.epoch + 1, **_plainly(values))
    )
    connection.execute(
        update(runbook_steps)
        .where(runbook_steps.c.run == run, runbook_steps.c.number == number)
        .values(**_plainly(step))
    )


def confirm_step(connection: Connection, run: int, number: int, *, state: StepState, output: Any, error: str) -> bool:
    """Close a step a person had to do; False when it was not waiting for one any more."""
    changed = connection.execute(
        update(runbook_steps)
        .where(
            runbook_steps.c.run == run,
            runbook_steps.c.number == number,
            runbook_steps.c.state.in_([StepState.PENDING.value, StepState.RUNNING.value]),
        )
        .values(state=state.value, output=output, error=error)
    )
    return changed.rowcount == 1


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, RunState | StepState | Phase) else value


def _plainly(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in values.items()}


def _row(found: Row[Any], steps: Sequence[Row[Any]]) -> RunRow:
    run = Run(
        id=found.id,
        runbook=found.runbook,
        title=found.title,
        state=RunState(found.state),
        reason=found.reason,
        params=found.params,
        digest=found.digest,
        requested_by=found.requested_by,
        created_at=found.created_at,
        finished_at=found.finished_at,
        incident=found.incident,
        steps=tuple(
            StepRecord(
                id=step.id,
                title=step.title,
                action=step.action,
                phase=Phase(step.phase),
                state=StepState(step.state),
                attempts=step.attempts,
                seconds=step.seconds,
                output=step.output,
                error=step.error,
                started_at=step.started_at,
            )
            for step in steps
        ),
        waiting=found.waiting,
        epoch=found.epoch,
    )
    return RunRow(
        run=run,
        plan=found.plan,
        deadline_at=found.deadline_at,
        lock=found.lock,
        ending=RunState(found.ending) if found.ending else None,
        waiting_since=found.waiting_since,
        stop_requested_by=found.stop_requested_by,
        wake_at=found.wake_at,
        owner=found.owner,
        lease_until=found.lease_until,
    )
