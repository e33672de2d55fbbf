"""The engine under every mix of failures, crashes and refusals: it always ends, and never breaks its promises."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.model.runbook import Effect, Phase, Run, RunState, StepRecord, StepState
from tillwatch.runbook import engine
from tillwatch.runbook.snapshot import Call, PlannedCheck, PlannedStep, PlannedUndo, Snapshot
from tillwatch.store.runs import RunRow

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
#: Far more decisions than any plan of this size needs.
MAX_DECISIONS = 500


def step(number: int, effect: Effect, *, undo: bool, human: bool) -> PlannedStep:
    call = Call(action="x", effect=effect, timeout_seconds=1)
    acts = effect is not Effect.READ
    return PlannedStep(
        id=f"s{number}",
        title={},
        call=call,
        check=PlannedCheck(condition="true") if acts else None,
        undo=PlannedUndo(call=call, check=PlannedCheck(condition="true")) if acts and undo else None,
        on_failure="human" if human else "undo",
    )


plans = st.lists(st.tuples(st.sampled_from(Effect), st.booleans(), st.booleans()), min_size=1, max_size=5).map(
    lambda kinds: [step(n, effect, undo=undo, human=human) for n, (effect, undo, human) in enumerate(kinds)]
)


class Machine:
    """Carries out decisions on a journal in memory; `fate` says how each call ends, also that its worker dies."""

    def __init__(self, steps: list[PlannedStep], fate: st.DataObject) -> None:
        self.fate = fate
        self.plan = Snapshot(
            runbook="r",
            title={},
            source_digest="",
            params={},
            targets={},
            lock="l",
            deadline_seconds=60,
            steps=tuple(steps),
        )
        records = tuple(
            StepRecord(id=one.id, title={}, action="x", phase=Phase.DO, state=StepState.PENDING) for one in steps
        )
        run = Run(
            id=1,
            runbook="r",
            title={},
            state=RunState.QUEUED,
            reason="",
            params={},
            digest="",
            requested_by="ann",
            created_at=NOW,
            finished_at=None,
            incident=None,
            steps=records,
        )
        self.row = RunRow(
            run=run,
            plan={},
            deadline_at=NOW + timedelta(hours=1),
            lock="l",
            ending=None,
            waiting_since=None,
            stop_requested_by="",
            wake_at=None,
            owner="",
            lease_until=None,
        )
        self.now = NOW
        #: Calls of each step that were not known to have failed before they acted.
        self.acted = [0] * len(steps)
        self.undone: list[int] = []

    def put(self, number: int, **values: object) -> None:
        steps = list(self.row.run.steps)
        steps[number] = replace(steps[number], **values)  # type: ignore[arg-type]
        self.row = replace(self.row, run=replace(self.row.run, steps=tuple(steps)))

    def draw(self, *ends: str) -> str:
        return self.fate.draw(st.sampled_from(ends))

    def carry_out(self, decision: engine.Decision) -> engine.Finish | None:
        match decision:
            case engine.Finish():
                return decision
            case engine.Compensate():
                run = replace(self.row.run, state=RunState.COMPENSATING, reason=decision.reason)
                self.row = replace(self.row, run=run, ending=decision.ending)
            case engine.Do():
                self.do(decision.number)
            case engine.AskHappened():
                self.ask(decision.number)
            case engine.Check():
                if (end := self.draw("ok", "fails", "dies")) != "dies":
                    self.put(decision.number, state=StepState.DONE if end == "ok" else StepState.FAILED)
            case engine.Fail():
                self.put(decision.number, state=StepState.FAILED, error=decision.reason)
            case engine.UndoStep():
                self.undo(decision.number)
            case engine.CheckUndo():
                if (end := self.draw("ok", "fails", "dies")) != "dies":
                    self.put(decision.number, state=StepState.UNDONE if end == "ok" else StepState.FAILED)
            case _:
                raise AssertionError(decision)
        return None

    def do(self, number: int) -> None:
        record, planned = self.row.run.steps[number], self.plan.steps[number]
        self.put(number, phase=Phase.DO, state=StepState.RUNNING, attempts=record.attempts + 1)
        end = self.draw("ok", "says no", "dies before", "dies after")
        if end in {"ok", "dies after"}:
            self.acted[number] += 1
        if end == "ok":
            self.did(number)
        elif end == "says no":
            self.put(number, state=StepState.FAILED, error="no")
        assert planned.call.effect is not Effect.ONCE or self.acted[number] <= 1, "an effect happened twice"

    def did(self, number: int) -> None:
        if self.plan.steps[number].check is not None:
            self.put(number, phase=Phase.VERIFY, state=StepState.RUNNING)
        else:
            self.put(number, state=StepState.DONE)

    def ask(self, number: int) -> None:
        if self.draw("answers", "does not know") == "does not know":
            self.put(number, state=StepState.UNKNOWN)
        elif self.acted[number]:
            self.did(number)
        else:
            self.put(number, state=StepState.PENDING)

    def undo(self, number: int) -> None:
        record = self.row.run.steps[number]
        later = [n for n in self.undone if n < number]
        assert later == [], "undone out of order"
        attempts = record.attempts + 1 if record.phase is Phase.UNDO else 1
        self.put(number, phase=Phase.UNDO, state=StepState.RUNNING, attempts=attempts)
        end = self.draw("ok", "fails", "dies")
        if end == "ok":
            self.undone.append(number)
            self.put(number, phase=Phase.VERIFY_UNDO, state=StepState.RUNNING)
        elif end == "fails":
            self.put(number, state=StepState.FAILED, error="stuck")


@settings(max_examples=400, deadline=None)
@given(plans, st.data())
def test_whatever_happens_a_run_ends_and_says_the_truth(steps: list[PlannedStep], fate: st.DataObject) -> None:
    machine = Machine(steps, fate)
    went_back = False
    for _ in range(MAX_DECISIONS):
        if machine.row.ending is None and fate.draw(st.integers(0, 19)) == 0:
            machine.row = replace(machine.row, stop_requested_by="ben")
        if fate.draw(st.integers(0, 29)) == 0:
            machine.now += timedelta(minutes=40)
        decision = engine.decide(machine.row, machine.plan, engine.Situation(now=machine.now))
        if went_back:
            assert not isinstance(decision, engine.Do | engine.Check | engine.AskHappened), "went forward again"
        went_back = went_back or isinstance(decision, engine.Compensate)
        finish = machine.carry_out(decision)
        if finish is not None:
            break
    else:
        raise AssertionError("the run never ends")
    states = [record.state for record in machine.row.run.steps]
    if finish.state is RunState.SUCCEEDED:
        assert set(states) <= {StepState.DONE, StepState.SKIPPED}
        return
    effects = [
        number
        for number, planned in enumerate(steps)
        if planned.call.effect is not Effect.READ and machine.acted[number] and states[number] is not StepState.UNDONE
    ]
    if effects:
        assert finish.state is RunState.NEEDS_HUMAN, "an effect stands and nobody is told"
    if StepState.UNKNOWN in states:
        assert finish.state is RunState.NEEDS_HUMAN


def test_a_step_that_kills_every_worker_is_given_up() -> None:
    one = step(0, Effect.IDEMPOTENT, undo=True, human=False)
    machine = Machine([one], None)  # type: ignore[arg-type]
    machine.put(0, state=StepState.RUNNING, attempts=engine.MAX_ATTEMPTS_OVER_CRASHES)
    decision = engine.decide(machine.row, machine.plan, engine.Situation(now=NOW))
    assert decision == engine.Fail(number=0, reason="its worker died or was stopped 5 times in this step")
