"""One worker's way through one run: read, decide, write what is about to happen, do it, write what happened."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tillwatch.clock import Clock
from tillwatch.errors import ActionError
from tillwatch.model.runbook import Phase, RunState, StepRecord, StepState
from tillwatch.runbook import engine, template
from tillwatch.runbook.actions.base import Happened
from tillwatch.runbook.calling import Answer, Caller, Ended
from tillwatch.runbook.journal import Journal
from tillwatch.runbook.leash import Halt, Leash
from tillwatch.runbook.plan import preview
from tillwatch.runbook.snapshot import PlannedCheck, PlannedStep, Snapshot
from tillwatch.store.runs import Claim, LeaseLost, RunRow

#: A wait is cut into pieces, so that a stop is noticed in between.
WAIT_SLICE_SECONDS = 0.5
#: A run that goes back has no deadline of its own; each undo has its timeout.
_NO_DEADLINE = float("inf")


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
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._claim = claim
        self._plan = plan
        self._caller = caller
        self._leash = leash
        self._journal = journal
        self._clock = clock

    def go(self) -> RunState:
        """Work until the run is over or waits for people. Raises LeaseLost and StoreError."""
        while True:
            if self._leash.stop() and self._leash.halt in {Halt.LOST, Halt.SHUTDOWN}:
                self._let_go()
            row, situation = self._journal.look()
            state = self._carry_out(engine.decide(row, self._plan, situation), row, len(situation.votes))
            if state is not None:
                return state

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
                self._journal.set_step("skipped", decision.number, state=StepState.SKIPPED, error=decision.reason)
            case engine.Fail():
                self._journal.set_step("failed", decision.number, state=StepState.FAILED, error=decision.reason)
            case engine.AwaitApproval():
                return self._await_approval(decision, row, votes)
            case engine.AwaitManual():
                return self._await_manual(decision, row, votes)
            case engine.Compensate():
                self._journal.turn_round(decision, row)
                self._leash.turn_round()
            case engine.UndoStep():
                self._undo(decision.number, row)
            case engine.CheckUndo():
                self._check_undo(decision.number, row)
            case engine.Finish():
                return self._journal.finish(decision, row)
        return None

    def _context(self, row: RunRow, number: int) -> template.Context:
        return self._plan.context(engine.outputs(row.run.steps[: number + 1]))

    def _key(self, step: PlannedStep, phase: Phase) -> str:
        return f"run-{self._claim.run}-{step.id}-{phase}"

    def _seconds_left(self) -> float:
        if self._leash.going_back:
            return _NO_DEADLINE
        return self._journal.seconds_until(self._leash.deadline_at)

    def _do(self, number: int, row: RunRow) -> None:
        step, record = self._plan.steps[number], row.run.steps[number]
        self._leash.deadline_at = self._journal.leave_waiting(row)
        answer = Answer(ended=Ended.FAILED, error="not tried")
        for attempt in range(1, step.tries + 1):
            self._journal.set_step(
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
            self._journal.told(f"acted:{step.id}")
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
            self._journal.set_step("done", number, phase=Phase.VERIFY, state=StepState.RUNNING, **values)
        elif answer.ended is Ended.DONE:
            self._journal.set_step("done", number, state=StepState.DONE, **values)
        else:
            state = StepState.UNKNOWN if answer.ended is Ended.UNKNOWN else StepState.FAILED
            self._journal.set_step(answer.ended.value, number, state=state, **values)

    def _ask(self, number: int, row: RunRow) -> None:
        """After a crash in the middle of an effect that must not happen twice. Never a blind second time."""
        step, record = self._plan.steps[number], row.run.steps[number]
        happened, told = self._caller.ask(step.call, self._context(row, number), key=self._key(step, Phase.DO))
        if happened is Happened.NOT_DONE:
            self._journal.set_step("not_done", number, state=StepState.PENDING, error="")
            return
        self._acted(number, record, told)

    def _check(self, number: int, row: RunRow) -> None:
        step, record = self._plan.steps[number], row.run.steps[number]
        assert step.check is not None
        self._journal.told(f"verifying:{step.id}")
        error, found, seconds = self._until_true(step, step.check, Phase.VERIFY, self._context(row, number))
        values: dict[str, Any] = {"seconds": record.seconds + seconds}
        if found:
            values["output"] = {**record.output, "verify": found}
        if error:
            self._journal.set_step("not_verified", number, state=StepState.FAILED, error=error, **values)
        else:
            self._journal.set_step("verified", number, state=StepState.DONE, error="", **values)

    def _until_true(
        self, step: PlannedStep, check: PlannedCheck, phase: Phase, context: template.Context
    ) -> tuple[str, Mapping[str, Any], float]:
        """Try the check until it holds or its time is up: (why not, the last output, seconds)."""
        began = self._clock.monotonic()
        while True:
            error, found = self._once(step, check, phase, context)
            self._journal.told(f"checked:{step.id}")
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
        self._journal.set_step("undo", number, phase=Phase.UNDO, state=StepState.RUNNING, attempts=attempts)
        answer = self._caller.do(
            step.undo.call,
            self._undo_context(row, number),
            key=self._key(step, Phase.UNDO),
            seconds_left=_NO_DEADLINE,
        )
        self._journal.told(f"undid:{step.id}")
        self._let_go_if_ended_by_us(answer)
        if answer.ended is not Ended.DONE:
            self._journal.set_step("undo_failed", number, state=StepState.FAILED, error=answer.error)
            return
        output = {**record.output, "undo": dict(answer.output)}
        if step.undo.check is not None:
            self._journal.set_step("undo_done", number, phase=Phase.VERIFY_UNDO, state=StepState.RUNNING, output=output)
        else:
            self._journal.set_step("undone", number, state=StepState.UNDONE, output=output)

    def _check_undo(self, number: int, row: RunRow) -> None:
        step = self._plan.steps[number]
        assert step.undo is not None
        assert step.undo.check is not None
        self._journal.told(f"verifying_undo:{step.id}")
        error, _, _ = self._until_true(step, step.undo.check, Phase.VERIFY_UNDO, self._undo_context(row, number))
        if error:
            self._journal.set_step("undo_failed", number, state=StepState.FAILED, error=error)
        else:
            self._journal.set_step("undone", number, state=StepState.UNDONE)

    def _undo_context(self, row: RunRow, number: int) -> template.Context:
        return self._plan.context(engine.outputs(row.run.steps[: number + 1]))

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
        return self._journal.park(RunState.WAITING_APPROVAL, decision, waiting, row, votes)

    def _await_manual(self, decision: engine.AwaitManual, row: RunRow, votes: int) -> RunState | None:
        step = self._plan.steps[decision.number]
        waiting = dict(row.run.waiting)
        if decision.is_new:
            arguments = template.fill(
                step.call.arguments, self._plan.context(engine.outputs(row.run.steps[: decision.number]))
            )
            waiting = {"step": step.id, "expires_at": decision.until.isoformat(), "ask": arguments}
        return self._journal.park(RunState.WAITING_MANUAL, decision, waiting, row, votes)

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
        self._journal.release()
        raise LetGo


def _after_asking(happened: Happened, told: Answer, first: Answer) -> Answer:
    """What a cut-off effect turned out to be. Not done after a timeout is a failure, not a reason to try again."""
    if happened is Happened.DONE:
        return dataclasses.replace(told, seconds=first.seconds)
    if happened is Happened.NOT_DONE:
        return dataclasses.replace(first, ended=Ended.FAILED, retryable=False)
    reason = "; ".join(part for part in (first.error, told.error) if part)
    return dataclasses.replace(first, ended=Ended.UNKNOWN, error=reason)
