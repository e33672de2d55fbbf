"""One worker's way through one run: read, decide, write what is about to happen, do it, write what happened."""

import dataclasses
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.errors import ActionError
from tillwatch.model.runbook import Phase, RunState, StepRecord, StepState
from tillwatch.runbook import engine, template
from tillwatch.runbook.actions.base import Happened
from tillwatch.runbook.calling import Answer, Caller, Ended
from tillwatch.runbook.leash import Halt, Leash
from tillwatch.runbook.plan import preview
from tillwatch.runbook.snapshot import PlannedCheck, PlannedStep, Snapshot
from tillwatch.store import run_records, runs
from tillwatch.store.db import Database
from tillwatch.store.runs import Claim, LeaseLost, RunRow

#: A wait is cut into pieces, so that a stop is noticed in between.
WAIT_SLICE_SECONDS = 0.5
#: A run that goes back has no deadline of its own; each undo has its timeout.
_NO_DEADLINE = float("inf")
#: What the timeline of an incident tells of a run.
_TOLD = {"started", "waiting_approval", "waiting_manual", "compensating", "finished"}

#: Who acts when no person does.
ENGINE = "runbook"

T = TypeVar("T")
#: (connection, incident, kind, actor, data): adds an entry to an incident's timeline in the caller's transaction.
Timeline = Callable[[Connection, int, str, str, Mapping[str, object]], object]


class LetGo(Exception):
    """Stop working on the run without writing a result: whoever takes over decides."""


class Journey:
    def __init__(
        self,
        claim: Claim,
        plan: Snapshot,
        *,
        caller: Caller,
        leash: Leash,
        database: Database,
        clock: Clock,
        timeline: Timeline,
        observe: Callable[[int, str], None],
    ) -> None:
        self._claim = claim
        self._plan = plan
        self._caller = caller
        self._leash = leash
        self._database = database
        self._clock = clock
        self._timeline = timeline
        self._observe = observe

    def go(self) -> RunState:
        """Work until the run is over or waits for people. Raises LeaseLost and StoreError."""
        while True:
            if self._leash.stop() and self._leash.halt in {Halt.LOST, Halt.SHUTDOWN}:
                self._let_go()
            row, situation = self._look()
            state = self._carry_out(engine.decide(row, self._plan, situation), row, len(situation.votes))
            if state is not None:
                return state

    def _look(self) -> tuple[RunRow, engine.Situation]:
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

    def _carry_out(self, decision: engine.Decision, row: RunRow, votes: int) -> RunState | None:
        """None: go on. A state: the run rests in it."""
        match decision:
            case engine.Do():
                self._do(decision.number, row)
            case engine.AskHappened():
                self._ask(decision.number, row)
            case engine.Check():
                self._check(decision.number, row)
            case engine.Skip():
                self._close(decision.number, "skipped", state=StepState.SKIPPED, error=decision.reason)
            case engine.Fail():
                self._close(decision.number, "failed", state=StepState.FAILED, error=decision.reason)
            case engine.AwaitApproval():
                return self._await_approval(decision, row, votes)
            case engine.AwaitManual():
                return self._await_manual(decision, row, votes)
            case engine.Compensate():
                self._turn_round(decision)
            case engine.UndoStep():
                self._undo(decision.number, row)
            case engine.CheckUndo():
                self._check_undo(decision.number, row)
            case engine.Finish():
                return self._finish(decision, row)
        return None

    # Every write below goes through here: guarded by the lease, with an entry in the record, told to whoever watches.
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

    def _set_step(self, kind: str, number: int, *, run: Mapping[str, Any] | None = None, **values: Any) -> None:
        def job(connection: Connection, _now: datetime) -> None:
            runs.update_step(connection, self._claim, number, **values)
            if run:
                runs.update_run(connection, self._claim, **run)

        step = self._plan.steps[number]
        data = {"step": step.id, "error": values["error"]} if values.get("error") else {"step": step.id}
        self._write(kind, data, job)

    def _close(self, number: int, kind: str, **values: Any) -> None:
        self._set_step(kind, number, **values)

    def _context(self, row: RunRow, number: int) -> template.Context:
        return self._plan.context(engine.outputs(row.run.steps[: number + 1]))

    def _key(self, step: PlannedStep, phase: Phase) -> str:
        return f"run-{self._claim.run}-{step.id}-{phase}"

    def _seconds_left(self) -> float:
        if self._leash.going_back:
            return _NO_DEADLINE
        with self._database.read() as connection:
            now = self._database.now(connection)
        return (self._leash.deadline_at - now).total_seconds()

    def _do(self, number: int, row: RunRow) -> None:
        step, record = self._plan.steps[number], row.run.steps[number]
        self._leave_waiting(row)
        answer = Answer(ended=Ended.FAILED, error="not tried")
        for attempt in range(1, step.tries + 1):
            self._set_step(
                "do",
                number,
                phase=Phase.DO,
                state=StepState.RUNNING,
                attempts=record.attempts + attempt,
                started_at=record.started_at or self._clock.now(),
                error="",
            )
            context = self._plan.context(engine.outputs(row.run.steps[:number]))
            answer = self._caller.do(
                step.call, context, key=self._key(step, Phase.DO), seconds_left=self._seconds_left()
            )
            self._observe(self._claim.run, f"acted:{step.id}")
            self._let_go_if_ended_by_us(answer)
            if answer.ended is not Ended.FAILED or not answer.retryable or attempt == step.tries:
                break
            if not self._wait(step.retry_wait_seconds):
                break
        if answer.ended is Ended.ASK:
            happened, told = self._caller.ask(step.call, self._context(row, number), key=self._key(step, Phase.DO))
            answer = _after_asking(happened, told, answer)
        self._acted(number, record, answer)

    def _acted(self, number: int, record: StepRecord, answer: Answer) -> None:
        step = self._plan.steps[number]
        values: dict[str, Any] = {
            "seconds": record.seconds + answer.seconds,
            "output": dict(answer.output),
            "error": answer.error if answer.ended is not Ended.DONE else "",
        }
        if answer.ended is Ended.DONE and step.check is not None:
            self._set_step("done", number, phase=Phase.VERIFY, state=StepState.RUNNING, **values)
        elif answer.ended is Ended.DONE:
            self._set_step("done", number, state=StepState.DONE, **values)
        else:
            state = StepState.UNKNOWN if answer.ended is Ended.UNKNOWN else StepState.FAILED
            self._set_step(answer.ended.value, number, state=state, **values)

    def _ask(self, number: int, row: RunRow) -> None:
        """After a crash in the middle of an effect that must not happen twice. Never a blind second time."""
        step, record = self._plan.steps[number], row.run.steps[number]
        happened, told = self._caller.ask(step.call, self._context(row, number), key=self._key(step, Phase.DO))
        if happened is Happened.NOT_DONE:
            self._set_step("not_done", number, state=StepState.PENDING, error="")
            return
        self._acted(number, record, told)

    def _check(self, number: int, row: RunRow) -> None:
        step, record = self._plan.steps[number], row.run.steps[number]
        assert step.check is not None
        self._observe(self._claim.run, f"verifying:{step.id}")
        error, found, seconds = self._until_true(step, step.check, Phase.VERIFY, self._context(row, number))
        values: dict[str, Any] = {"seconds": record.seconds + seconds}
        if found:
            values["output"] = {**record.output, "verify": found}
        if error:
            self._set_step("not_verified", number, state=StepState.FAILED, error=error, **values)
        else:
            self._set_step("verified", number, state=StepState.DONE, error="", **values)

    def _until_true(
        self, step: PlannedStep, check: PlannedCheck, phase: Phase, context: template.Context
    ) -> tuple[str, Mapping[str, Any], float]:
        """Try the check until it holds or its time is up: (why not, the last output, seconds)."""
        began = self._clock.monotonic()
        while True:
            error, found = self._once(step, check, phase, context)
            self._observe(self._claim.run, f"checked:{step.id}")
            taken = self._clock.monotonic() - began
            if not error or taken >= check.within_seconds or not self._wait(check.every_seconds):
                return error, found, self._clock.monotonic() - began

    def _once(
        self, step: PlannedStep, check: PlannedCheck, phase: Phase, context: template.Context
    ) -> tuple[str, Mapping[str, Any]]:
        words = f"{check.message['zh']} / {check.message['en']}" if check.message else ""
        if check.call is None:
            try:
                held = template.holds(check.condition, context)
            except ActionError as error:
                return str(error), {}
            return "" if held else words or f"not true: {check.condition}", {}
        answer = self._caller.do(check.call, context, key=self._key(step, phase), seconds_left=self._seconds_left())
        self._let_go_if_ended_by_us(answer)
        if answer.ended is Ended.DONE:
            return "", answer.output
        return f"{words}: {answer.error}" if words else answer.error, answer.output

    def _undo(self, number: int, row: RunRow) -> None:
        step, record = self._plan.steps[number], row.run.steps[number]
        assert step.undo is not None
        attempts = record.attempts + 1 if record.phase is Phase.UNDO else 1
        # The error of the step stays readable while it is taken back.
        self._set_step("undo", number, phase=Phase.UNDO, state=StepState.RUNNING, attempts=attempts)
        answer = self._caller.do(
            step.undo.call,
            self._undo_context(row, number),
            key=self._key(step, Phase.UNDO),
            seconds_left=_NO_DEADLINE,
        )
        self._observe(self._claim.run, f"undid:{step.id}")
        self._let_go_if_ended_by_us(answer)
        if answer.ended is not Ended.DONE:
            self._set_step("undo_failed", number, state=StepState.FAILED, error=answer.error)
            return
        output = {**record.output, "undo": dict(answer.output)}
        if step.undo.check is not None:
            self._set_step("undo_done", number, phase=Phase.VERIFY_UNDO, state=StepState.RUNNING, output=output)
        else:
            self._set_step("undone", number, state=StepState.UNDONE, output=output)

    def _check_undo(self, number: int, row: RunRow) -> None:
        step = self._plan.steps[number]
        assert step.undo is not None
        assert step.undo.check is not None
        self._observe(self._claim.run, f"verifying_undo:{step.id}")
        error, _, _ = self._until_true(step, step.undo.check, Phase.VERIFY_UNDO, self._undo_context(row, number))
        if error:
            self._set_step("undo_failed", number, state=StepState.FAILED, error=error)
        else:
            self._set_step("undone", number, state=StepState.UNDONE)

    def _undo_context(self, row: RunRow, number: int) -> template.Context:
        return self._plan.context(engine.outputs(row.run.steps[: number + 1]))

    def _turn_round(self, decision: engine.Compensate) -> None:
        def job(connection: Connection, _now: datetime) -> None:
            runs.update_run(
                connection,
                self._claim,
                state=RunState.COMPENSATING,
                ending=decision.ending,
                reason=decision.reason,
                waiting={},
            )

        with self._database.read() as connection:
            row = runs.row(connection, self._claim.run)
        self._write("compensating", {"reason": decision.reason}, job, incident=row.run.incident if row else None)
        self._leash.turn_round()

    def _leave_waiting(self, row: RunRow) -> None:
        """Back to work; the time people took is not the run's."""
        if row.run.state is RunState.RUNNING and not row.run.waiting:
            return
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
        self._leash.deadline_at = self._write(kind, {}, job, incident=row.run.incident)

    def _await_approval(self, decision: engine.AwaitApproval, row: RunRow, votes: int) -> RunState | None:
        step = self._plan.steps[decision.number]
        waiting = dict(row.run.waiting)
        if decision.is_new:
            assert step.approval is not None
            shown = preview(
                step,
                self._plan.context(engine.outputs(row.run.steps[: decision.number])),
                self._caller.registry,
                self._caller.services,
                run=self._claim.run,
                incident=row.run.incident,
                actor=row.run.requested_by,
            )
            waiting = {
                "step": step.id,
                "role": step.approval.role,
                "count": step.approval.count,
                "not_requester": step.approval.not_requester,
                "expires_at": decision.until.isoformat(),
                "digest": decision.signed,
                "preview": self._caller.kept(dataclasses.asdict(shown)),
            }
        return self._park(RunState.WAITING_APPROVAL, decision, waiting, row, votes)

    def _await_manual(self, decision: engine.AwaitManual, row: RunRow, votes: int) -> RunState | None:
        step = self._plan.steps[decision.number]
        waiting = dict(row.run.waiting)
        if decision.is_new:
            arguments = template.fill(
                step.call.arguments, self._plan.context(engine.outputs(row.run.steps[: decision.number]))
            )
            waiting = {"step": step.id, "expires_at": decision.until.isoformat(), "ask": arguments}
        return self._park(RunState.WAITING_MANUAL, decision, waiting, row, votes)

    def _park(
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

    def _finish(self, decision: engine.Finish, row: RunRow) -> RunState:
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

    def _wait(self, seconds: float) -> bool:
        """Wait, unless told to stop; False when told."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            if self._leash.stop():
                break
            self._clock.sleep(min(left, WAIT_SLICE_SECONDS))
        if not self._leash.stop():
            return True
        if self._leash.halt in {Halt.LOST, Halt.SHUTDOWN}:
            self._let_go()
        return False

    def _let_go_if_ended_by_us(self, answer: Answer) -> None:
        """A call our own shutdown ended proves nothing: the journal says it runs, so it is taken up again."""
        if answer.ended is not Ended.DONE and self._leash.halt in {Halt.LOST, Halt.SHUTDOWN}:
            self._let_go()

    def _let_go(self) -> None:
        if self._leash.halt is Halt.LOST:
            raise LeaseLost(f"run {self._claim.run} was taken over by another worker; this one stops")
        self._database.write(lambda connection: runs.release(connection, self._claim, wake_at=None))
        raise LetGo


def _after_asking(happened: Happened, told: Answer, first: Answer) -> Answer:
    """What a cut-off effect turned out to be. Not done after a timeout is a failure, not a reason to try again."""
    if happened is Happened.DONE:
        return dataclasses.replace(told, seconds=first.seconds)
    if happened is Happened.NOT_DONE:
        return dataclasses.replace(first, ended=Ended.FAILED, retryable=False)
    reason = "; ".join(part for part in (first.error, told.error) if part)
    return dataclasses.replace(first, ended=Ended.UNKNOWN, error=reason)


def about(plan: Snapshot, run: int, data: Mapping[str, object]) -> dict[str, object]:
    """What a timeline entry says about a run."""
    return {"run": run, "runbook": plan.runbook, "title": plan.title, **data}
