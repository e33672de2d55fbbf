"""How many failures make a failure."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.model.probe import Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.probers.threshold import Change, advance

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
K, F, U = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def run(outcomes: list[Outcome], *, fail_after: int = 3, recover_after: int = 2) -> tuple[ProbeState, list[Change]]:
    state = ProbeState(probe="erp-tcp")
    changes = []
    for number, outcome in enumerate(outcomes):
        result = ProbeResult(
            probe="erp-tcp", outcome=outcome, started_at=START + timedelta(seconds=number), seconds=0.1
        )
        step = advance(state, result, fail_after=fail_after, recover_after=recover_after)
        state = step.state
        changes.append(step.change)
    return state, changes


def test_the_third_failure_in_a_row_starts_failing_and_the_second_does_not() -> None:
    assert run([K, F, F])[0].status is ProbeStatus.OK
    assert run([K, F, F, F])[1][-1] is Change.STARTED_FAILING


def test_a_success_between_failures_starts_the_count_again() -> None:
    assert run([K, F, F, K, F, F])[0].status is ProbeStatus.OK


def test_recovery_needs_its_own_row_of_successes() -> None:
    assert run([F, F, F, K])[0].status is ProbeStatus.FAILING
    assert run([F, F, F, K, K])[1][-1] is Change.RECOVERED


def test_unknown_neither_raises_nor_closes() -> None:
    assert run([K, F, F, U, U])[0].status is ProbeStatus.OK
    assert run([F, F, F, U, U, U])[0].status is ProbeStatus.FAILING
    assert run([K, F, U, F, U, F])[0].status is ProbeStatus.FAILING


def test_failing_since_names_the_result_that_crossed_the_limit() -> None:
    assert run([K, F, F, F, F])[0].since == START + timedelta(seconds=3)


def test_a_late_result_changes_nothing() -> None:
    state, _ = run([F, F, F])
    late = ProbeResult(probe="erp-tcp", outcome=K, started_at=START, seconds=0.1)
    assert advance(state, late, fail_after=3, recover_after=1).state == state


@given(st.lists(st.sampled_from([K, F, U])), st.integers(1, 5), st.integers(1, 5))
def test_starting_to_fail_and_recovering_alternate(
    outcomes: list[Outcome], fail_after: int, recover_after: int
) -> None:
    _, changes = run(outcomes, fail_after=fail_after, recover_after=recover_after)
    turns = [change for change in changes if change in {Change.STARTED_FAILING, Change.RECOVERED}]
    assert turns == ([Change.STARTED_FAILING, Change.RECOVERED] * len(turns))[: len(turns)]
