"""Runs from request to end: approvals, people, limits, stops, the kill switch and what a person decides."""

import threading
from collections.abc import Callable

import pytest
from tests.support.runbook_chain import Bench, Hold, markdown

from tillwatch.errors import RefusedError, UsageError
from tillwatch.model.runbook import RunState, StepState
from tillwatch.runbook import execute
from tillwatch.runbook.desk import TargetHeld
from tillwatch.store.run_records import first_broken

Open = Callable[..., Bench]

SET = """
id: {id}
do: test.set
with: {{name: {id}, value: new}}
verify: {{do: test.is, with: {{name: {id}, value: new}}}}
undo: {{do: test.set, with: {{name: {id}, value: old}}, verify: {{do: test.is, with: {{name: {id}, value: old}}}}}}
{more}
"""


def change(id: str, more: str = "") -> str:
    return SET.format(id=id, more=more)


KEEP = "undo: {keep: {zh: 保留, en: kept}}"
APPROVE = "approve: {role: oncall, within: 10m}"
FAIL = """
id: last
do: test.set
with: {name: last, value: x, error: broken on purpose}
verify: {do: test.is, with: {name: last, value: x}}
undo: {do: test.set, with: {name: last, value: old}, verify: {do: test.is, with: {name: last, value: old}}}
"""
MANUAL = "id: tell\ndo: manual\nwith: {ask: {zh: 已通知, en: told}, evidence: required}\ntimeout: 10m"


def test_a_run_does_verifies_and_succeeds(bench: Open) -> None:
    it = bench(markdown(change("a"), change("b")))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.SUCCEEDED
    assert [step.state for step in run.steps] == [StepState.DONE, StepState.DONE]
    assert run.steps[0].output == {"name": "a", "value": "new", "verify": {"value": "new"}}
    assert it.world.get("b") == "new"


def test_a_failed_run_is_taken_back_in_reverse_order_and_verified(bench: Open) -> None:
    it = bench(markdown(change("a"), change("b"), FAIL))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.ROLLED_BACK
    assert "step 'last' failed: broken on purpose; taken back: a, b, last" in run.reason
    undone = [entry[1] for entry in it.world.log() if entry[0] == "begin" and str(entry[1]).endswith("-undo")]
    assert undone == ["run-1-last-undo", "run-1-b-undo", "run-1-a-undo"]
    assert [it.world.get(name) for name in "ab"] == ["old", "old"]


def test_a_failed_run_with_an_effect_that_is_kept_needs_a_person(bench: Open) -> None:
    kept = change("a").replace(change("a")[change("a").index("undo:") :], KEEP)
    it = bench(markdown(kept, FAIL))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.NEEDS_HUMAN
    assert "the effect of 'a' may stand" in run.reason


def test_a_failing_undo_stops_everything_and_keeps_the_target_locked(bench: Open) -> None:
    broken = change("b").replace("{name: b, value: old}", "{name: b, value: old, error: stuck}", 1)
    it = bench(markdown(change("a"), broken, FAIL))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.NEEDS_HUMAN
    assert "undo of step 'b' failed: stuck" in run.reason
    assert it.world.get("a") == "new", "undoing went on past a failure"
    with pytest.raises(TargetHeld, match="run 1 works on 'target' already; join it at /runs/1"):
        it.desk.start("test", {}, actor="ben")
    it.desk.resume(run.id, "ben", decision="done")
    assert it.desk.run_now(run.id).state is RunState.ROLLED_BACK
    assert it.world.get("a") == "old"


def test_an_approval_binds_to_the_plan_and_the_run_goes_on(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE)))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.WAITING_APPROVAL
    assert run.waiting["preview"]["proposed"] == "new"  # type: ignore[index]
    assert it.world.get("a") is None
    with pytest.raises(RefusedError, match="approved by role 'oncall', not 'chef'"):
        it.desk.approve(run.id, "ben", "chef")
    with pytest.raises(RefusedError, match="changed since it was shown"):
        it.desk.approve(run.id, "ben", "oncall", digest="0" * 64)
    it.desk.approve(run.id, "ben", "oncall", digest=str(run.waiting["digest"]))
    with pytest.raises(RefusedError, match="ben has voted on this plan already"):
        it.desk.approve(run.id, "ben", "oncall")
    assert it.desk.run_now(run.id).state is RunState.SUCCEEDED


def test_the_requester_does_not_count_where_a_second_person_is_asked_for(bench: Open) -> None:
    it = bench(markdown(change("a", "approve: {role: oncall, count: 2, not: requester, within: 10m}")))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    with pytest.raises(RefusedError, match="ann asked for this run; a second person has to approve it"):
        it.desk.approve(run.id, "ann", "oncall")
    it.desk.approve(run.id, "ben", "oncall")
    assert it.desk.run_now(run.id).state is RunState.WAITING_APPROVAL
    it.desk.approve(run.id, "cem", "oncall")
    assert it.desk.run_now(run.id).state is RunState.SUCCEEDED


def test_a_refusal_ends_the_run_with_nothing_changed(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE)))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    it.desk.approve(run.id, "ben", "oncall", "reject", reason="not now")
    run = it.desk.run_now(run.id)
    assert (run.state, run.reason) == (RunState.KILLED, "step 'a' was refused by ben: not now; nothing was changed")


def test_an_approval_expires_and_what_was_done_before_is_taken_back(bench: Open) -> None:
    it = bench(markdown(change("a"), change("b", APPROVE)))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert it.desk.worker().step() is None, "a waiting run has nothing to do"
    it.clock.advance(601)
    with pytest.raises(RefusedError, match="expired"):
        it.desk.approve(run.id, "ben", "oncall")
    assert it.desk.worker().step() == run.id
    run = it.desk.get(run.id)
    assert run.state is RunState.EXPIRED
    assert (it.world.get("a"), it.world.get("b")) == ("old", None)


def test_time_that_people_take_is_not_the_runs(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE), change("b"), more="limits: {deadline: 5m}"))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    it.clock.advance(590)
    it.desk.approve(run.id, "ben", "oncall")
    assert it.desk.run_now(run.id).state is RunState.SUCCEEDED


def test_a_person_confirms_with_evidence_or_says_that_it_could_not_be_done(bench: Open) -> None:
    it = bench(markdown(change("a"), MANUAL))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.WAITING_MANUAL
    assert run.waiting["ask"] == {"ask": {"zh": "已通知", "en": "told"}, "evidence": "required"}
    with pytest.raises(UsageError, match="asks for evidence"):
        it.desk.confirm_manual(run.id, "tell", "ben", " ")
    it.desk.confirm_manual(run.id, "tell", "ben", "called the shop")
    run = it.desk.run_now(run.id)
    assert run.state is RunState.SUCCEEDED
    assert run.steps[1].output["text"] == "called the shop"
    again = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    it.desk.confirm_manual(again.id, "tell", "ben", "nobody there", done=False)
    assert it.desk.run_now(again.id).state is RunState.ROLLED_BACK
    assert it.world.get("a") == "old"


def test_a_condition_that_is_false_skips_the_step(bench: Open) -> None:
    it = bench(
        markdown("id: look\ndo: test.is\nwith: {name: x, value: seen}", change("a", 'when: s.look.value == "other"'))
    )
    it.world.set("x", "seen")
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.SUCCEEDED
    assert run.steps[1].state is StepState.SKIPPED
    assert it.world.get("a") is None


def test_only_errors_that_can_pass_are_tried_again_under_the_same_key(bench: Open) -> None:
    passing = FAIL.replace("error: broken on purpose", "error: busy, retryable: 'true'") + "retry: {times: 2, wait: 1s}"
    it = bench(markdown(passing), markdown(FAIL + "retry: {times: 2, wait: 1s}", id="hard", serves="Hard", lock="b"))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert it.world.count("begin", f"run-{run.id}-last-do") == 3
    hard = it.desk.run_now(it.desk.start("hard", {}, actor="ann").id)
    assert it.world.count("begin", f"run-{hard.id}-last-do") == 1


def test_a_verify_is_tried_until_its_time_is_up(bench: Open) -> None:
    never = change("a").replace("value: new}}", "value: other}, within: 10s, every: 2s}", 1)
    it = bench(markdown(never))
    began = it.clock.monotonic()
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert it.clock.monotonic() - began >= 10
    assert "a is new, not other" in run.reason


HOLD = """
id: hold
do: test.hold
with: {name: hold, value: VALUE}
timeout: TIMEOUT
verify: {do: test.is, with: {name: hold, value: x}}
undo: {do: test.set, with: {name: hold, value: old}, verify: {do: test.is, with: {name: hold, value: old}}}
"""


@pytest.fixture
def during() -> object:
    yield lambda call: setattr(Hold, "during", staticmethod(call))
    Hold.during = None


def test_a_stop_reaches_an_action_in_the_middle_and_the_run_goes_back(
    bench: Open, during: Callable[[Callable[[], object]], None]
) -> None:
    it = bench(markdown(change("a"), HOLD.replace("VALUE", "x").replace("TIMEOUT", "5m")))
    run = it.desk.start("test", {}, actor="ann")
    asked = threading.Event()

    def stop_once() -> None:
        if not asked.is_set():
            asked.set()
            it.desk.stop(run.id, "ben")

    during(stop_once)
    run = it.desk.run_now(run.id)
    assert run.state is RunState.KILLED
    assert run.reason == "stopped by ben; taken back: a, hold"
    assert it.world.get("a") == "old"


def test_a_step_and_a_run_end_when_their_time_is_up(bench: Open) -> None:
    step = HOLD.replace("VALUE", "x").replace("TIMEOUT", "3s")
    long = HOLD.replace("VALUE", "x").replace("TIMEOUT", "10m")
    it = bench(markdown(step), markdown(long, id="late", serves="Late", lock="b", more="limits: {deadline: 4s}"))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    assert run.state is RunState.ROLLED_BACK
    late = it.desk.run_now(it.desk.start("late", {}, actor="ann").id)
    assert late.state is RunState.EXPIRED
    assert "not done within 0:00:04" in late.reason


def test_an_action_that_does_not_end_is_never_undone_behind_its_back(
    bench: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "GRACE_SECONDS", 0.2)
    it = bench(markdown(HOLD.replace("VALUE", "deaf").replace("TIMEOUT", "2s")))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    it.world.set("release", "now")
    assert run.state is RunState.NEEDS_HUMAN
    assert "still running" in run.reason
    assert it.world.get("hold") is None, "undone while the action could still act"
    with pytest.raises(UsageError, match="nobody knows whether step 'hold' of run 1 happened"):
        it.desk.resume(run.id, "ben")


def test_the_kill_switch_lets_nothing_start_and_ends_what_runs(
    bench: Open, during: Callable[[Callable[[], object]], None]
) -> None:
    it = bench(markdown(change("a"), HOLD.replace("VALUE", "x").replace("TIMEOUT", "5m")))
    run = it.desk.start("test", {}, actor="ann")
    during(lambda: it.desk.switch("*", is_on=True, actor="cem", reason="too risky now"))
    run = it.desk.run_now(run.id)
    assert run.state is RunState.NEEDS_HUMAN
    assert "switched off by cem: too risky now; nothing was taken back, the effect of a, hold may stand" in run.reason
    assert it.world.get("a") == "new"
    with pytest.raises(RefusedError, match="'test' is switched off by cem: too risky now"):
        it.desk.start("test", {}, actor="ann")
    it.desk.switch("*", is_on=False, actor="cem")
    it.desk.stop(run.id, "cem")
    assert it.desk.start("test", {}, actor="ann").state is RunState.QUEUED


def test_a_waiting_run_that_is_stopped_ends_with_nothing_changed(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE)))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    it.desk.stop(run.id, "ben")
    assert it.desk.worker().step() == run.id
    assert it.desk.get(run.id).reason == "stopped by ben; nothing was changed"
    with pytest.raises(RefusedError, match="is over"):
        it.desk.stop(run.id, "ben")


def test_of_many_requests_on_one_target_one_is_accepted(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE)))
    outcomes: list[str] = []

    def ask() -> None:
        try:
            it.desk.start("test", {}, actor="ann")
            outcomes.append("accepted")
        except RefusedError:
            outcomes.append("refused")

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted", *["refused"] * 19]


def test_a_runbook_that_ran_too_often_today_is_refused(bench: Open) -> None:
    it = bench(markdown(change("a"), more="limits: {max_runs_per_day: 1}"))
    it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    with pytest.raises(RefusedError, match="ran 1 times in a day already, its limit"):
        it.desk.start("test", {}, actor="ann")
    it.clock.advance(86_401)
    assert it.desk.start("test", {}, actor="ann").state is RunState.QUEUED


def test_a_run_executes_what_was_planned_whatever_happens_to_the_file(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE)))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    (it.folder / "runbooks" / "test.md").write_text("garbage")
    it.desk.approve(run.id, "ben", "oncall")
    assert it.desk.run_now(run.id).state is RunState.SUCCEEDED
    assert it.world.get("a") == "new"


def test_the_record_shows_who_did_what_and_any_change_to_it(bench: Open) -> None:
    it = bench(markdown(change("a", APPROVE)))
    run = it.desk.run_now(it.desk.start("test", {}, actor="ann").id)
    it.desk.approve(run.id, "ben", "oncall")
    it.desk.run_now(run.id)
    entries = it.desk.records(run.id)
    kinds = [entry.kind for entry in entries]
    assert kinds == ["requested", "waiting_approval", "voted", "resumed", "do", "done", "verified", "finished"]
    assert [entry.actor for entry in entries][:3:2] == ["ann", "ben"]
    assert first_broken(run.id, entries) is None
    assert first_broken(run.id, [*entries[:2], *entries[3:]]) == 3


PARAMS = """params:
  system: {type: system, title: {zh: 系统, en: System}, from: alert.labels.system}
  rows: {type: integer, title: {zh: 行数, en: Rows}, maximum: 10, default: "5"}
  word: {type: string, title: {zh: 词, en: Word}, pattern: "[a-z]+", default: abc}"""


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({}, "'system' is missing; give system=VALUE"),
        ({"system": "epr"}, "there is no system 'epr'; did you mean 'erp'?"),
        ({"system": "erp", "rows": "11"}, "'rows': 11 is more than 10"),
        ({"system": "erp", "rows": "many"}, "'rows': 'many' is not a whole number"),
        ({"system": "erp", "word": "a; b"}, "'word': 'a; b' does not have the form"),
        ({"system": "erp", "nope": "1"}, "unknown parameter 'nope'"),
    ],
)
def test_parameters_are_checked_and_looked_up(bench: Open, params: dict[str, str], problem: str) -> None:
    it = bench(markdown(change("a"), more=PARAMS))
    with pytest.raises(UsageError, match=problem.replace("?", r"\?")):
        it.desk.start("test", params, actor="ann")
    dry = it.desk.plan("test", params)
    assert any(problem in message for message in dry.problems.values())
    assert dry.steps == ()


def test_a_dry_run_changes_nothing_and_says_what_it_cannot_know(bench: Open) -> None:
    it = bench(markdown(change("a"), change("b").replace("value: new", "value: '{{ s.a.value }}'", 1)))
    dry = it.desk.plan("test", {})
    assert [step.previewed for step in dry.steps] == [True, False]
    assert not dry.is_complete
    assert dry.steps[1].summary["en"] == "depends on the result of step a"
    assert it.world.log() == []
    assert it.desk.list() == []


def test_the_card_answers_the_five_questions(bench: Open) -> None:
    card = bench(markdown(change("a", APPROVE))).desk.card("test")
    assert set(card.facts) == {"what", "safe", "duration", "stop", "decides"}
    assert card.steps[0].approval["role"] == "oncall"
    assert card.steps[0].undo["en"] == "taken back by test.set"


def test_what_does_not_exist_is_said_with_a_suggestion(bench: Open) -> None:
    it = bench(markdown(change("a")))
    with pytest.raises(UsageError, match="unknown runbook 'tets'; did you mean 'test'"):
        it.desk.card("tets")
    with pytest.raises(UsageError, match="there is no run 9"):
        it.desk.get(9)
    with pytest.raises(UsageError, match="who asks"):
        it.desk.start("test", {}, actor=" ")
