"""From single results to a verdict: how many failures in a row make a failure, how many successes a recovery."""

import enum
from dataclasses import dataclass, replace

from tillwatch.model.probe import Outcome, ProbeResult, ProbeState, ProbeStatus


class Change(enum.StrEnum):
    """What one result did to the status of its probe."""

    NONE = "none"
    BECAME_OK = "became_ok"
    STARTED_FAILING = "started_failing"
    RECOVERED = "recovered"


@dataclass(frozen=True, kw_only=True)
class Step:
    """The state after a result, what changed, and a sentence that says why."""

    state: ProbeState
    change: Change
    reason: str


def advance(state: ProbeState, result: ProbeResult, *, fail_after: int, recover_after: int) -> Step:
    """Count `result` into `state`.

    1. `failed` counts as a failure; `ok` and `degraded` as a success.
    2. `unknown` counts as neither and breaks no row: a check that could not look proves nothing, so it can neither
       raise an alert nor close one.
    3. A result older than the last one counted is ignored, so that late results cannot undo newer ones.
    """
    if state.last is not None and result.started_at < state.last.started_at:
        return Step(state=state, change=Change.NONE, reason="older than the last result")
    if result.outcome is Outcome.UNKNOWN:
        return Step(state=replace(state, last=result), change=Change.NONE, reason="unknown proves nothing")
    if result.outcome is Outcome.FAILED:
        return _count_failure(state, result, fail_after)
    return _count_success(state, result, recover_after)


def _count_failure(state: ProbeState, result: ProbeResult, fail_after: int) -> Step:
    failures = state.failures_in_a_row + 1
    counted = replace(state, failures_in_a_row=failures, successes_in_a_row=0, last=result)
    if state.status is ProbeStatus.FAILING:
        return Step(state=counted, change=Change.NONE, reason="still failing")
    if failures < fail_after:
        return Step(state=counted, change=Change.NONE, reason=f"{failures} of {fail_after} failures in a row")
    failing = replace(counted, status=ProbeStatus.FAILING, since=result.started_at)
    return Step(state=failing, change=Change.STARTED_FAILING, reason=f"{failures} failures in a row")


def _count_success(state: ProbeState, result: ProbeResult, recover_after: int) -> Step:
    successes = state.successes_in_a_row + 1
    counted = replace(state, failures_in_a_row=0, successes_in_a_row=successes, last=result)
    if state.status is ProbeStatus.OK:
        return Step(state=counted, change=Change.NONE, reason="still ok")
    if state.status is ProbeStatus.FAILING and successes < recover_after:
        return Step(state=counted, change=Change.NONE, reason=f"{successes} of {recover_after} successes in a row")
    well = replace(counted, status=ProbeStatus.OK, since=result.started_at)
    change = Change.RECOVERED if state.status is ProbeStatus.FAILING else Change.BECAME_OK
    return Step(state=well, change=change, reason=f"{successes} successes in a row")
