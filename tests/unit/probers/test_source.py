"""The first broken stage of a source decides."""

import pytest

from tillwatch.errors import Cause
from tillwatch.model.probe import Outcome
from tillwatch.probers.source import judge
from tillwatch.sources.base import Check, CheckOutcome

REACHED = Check(name="connect", outcome=CheckOutcome.OK)
REFUSED = Check(name="login", outcome=CheckOutcome.FAIL, cause=Cause.AUTH, message="wrong password")
SKIPPED = Check(name="stock", outcome=CheckOutcome.SKIPPED)
OLD = Check(name="version", outcome=CheckOutcome.WARN, message="7.0 is no longer maintained")


@pytest.mark.parametrize(
    ("checks", "outcome", "cause", "message"),
    [
        ([REACHED], Outcome.OK, Cause.NONE, ""),
        ([REACHED, REFUSED, SKIPPED], Outcome.FAILED, Cause.AUTH, "login: wrong password"),
        ([OLD, REFUSED], Outcome.FAILED, Cause.AUTH, "login: wrong password"),
        ([REACHED, OLD], Outcome.DEGRADED, Cause.NONE, "version: 7.0 is no longer maintained"),
        ([SKIPPED], Outcome.UNKNOWN, Cause.NONE, "the source checked nothing"),
        ([], Outcome.UNKNOWN, Cause.NONE, "the source checked nothing"),
    ],
)
def test_checks_are_judged(checks: list[Check], outcome: Outcome, cause: Cause, message: str) -> None:
    finding = judge(checks)
    assert (finding.outcome, finding.cause, finding.message) == (outcome, cause, message)


def test_a_failed_check_without_a_cause_is_the_applications() -> None:
    assert judge([Check(name="x", outcome=CheckOutcome.FAIL)]).cause is Cause.APPLICATION
