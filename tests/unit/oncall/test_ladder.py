"""The next step: never too early, never twice, never an end while nobody has acknowledged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.config.schema import Escalation, Step, Target
from tillwatch.model.incident import Climb
from tillwatch.oncall.ladder import Why, next_step

NOW = datetime(2026, 9, 24, 2, 0, tzinfo=UTC)
MINUTES_10 = timedelta(minutes=10)


def policy(*waits: int, repeat: int = 1) -> Escalation:
    steps = tuple(
        Step(notify=Target(person=f"p{number}"), wait_for_ack=timedelta(minutes=wait))
        for number, wait in enumerate(waits, 1)
    )
    return Escalation(id="default", steps=steps, repeat=repeat)


def climb(**changes: object) -> Climb:
    begun = Climb(receiver="ops", policy="default", next_at=NOW, afterwards=timedelta(hours=4))
    return replace(begun, **changes)  # type: ignore[arg-type]


def test_steps_come_in_order_each_after_its_wait_and_then_all_again_and_then_the_last_for_ever() -> None:
    at, one, seen = NOW, climb(), []
    for _ in range(7):
        decision = next_step(one, policy(10, 20), at)
        assert decision.target is not None and decision.climb.next_at is not None
        seen.append((decision.step, decision.why, (at - NOW) // timedelta(minutes=1)))
        one, at = decision.climb, decision.climb.next_at
    assert seen == [
        (1, Why.BEGINS, 0),
        (2, Why.NOT_ACKNOWLEDGED, 10),
        (1, Why.AGAIN, 30),
        (2, Why.NOT_ACKNOWLEDGED, 40),
        (2, Why.EXHAUSTED, 60),
        (2, Why.EXHAUSTED, 300),
        (2, Why.EXHAUSTED, 540),
    ]


def test_nothing_is_done_before_its_time_or_while_somebody_is_on_it() -> None:
    early, paused = climb(next_at=NOW + timedelta(seconds=1)), climb(next_at=None, step=1)
    assert next_step(early, policy(10), NOW).why is Why.NOT_YET
    assert next_step(paused, policy(10, 10), NOW).why is Why.PAUSED
    assert next_step(paused, policy(10, 10), NOW).climb == paused


def test_a_policy_that_is_gone_ends_the_escalation_and_says_so() -> None:
    decision = next_step(climb(), None, NOW)
    assert (decision.target, decision.why, decision.climb.next_at) == (None, Why.NO_POLICY, None)


def test_a_policy_that_became_shorter_goes_on_with_its_last_step() -> None:
    assert next_step(climb(step=5, taken=5), policy(10, 10), NOW).step == 2


@given(
    waits=st.lists(st.integers(1, 120), min_size=1, max_size=5),
    repeat=st.integers(0, 3),
    late=st.lists(st.integers(0, 100_000), min_size=1, max_size=30),
)
def test_however_late_anybody_looks_one_look_is_one_step_and_there_is_always_a_next_one_ahead(
    waits: list[int], repeat: int, late: list[int]
) -> None:
    one, rules = climb(), policy(*waits, repeat=repeat)
    for number, seconds in enumerate(late, 1):
        assert one.next_at is not None
        now = one.next_at + timedelta(seconds=seconds)
        decision = next_step(one, rules, now)
        assert decision.target is not None
        assert decision.climb.taken == number
        assert decision.climb.next_at is not None and decision.climb.next_at > now
        assert next_step(decision.climb, rules, now).why is Why.NOT_YET
        one = decision.climb
