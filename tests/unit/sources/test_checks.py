"""A checklist times its steps and turns what went wrong into an outcome with a cause."""

from tillwatch.clock import ManualClock
from tillwatch.errors import AuthRefused, Cause, SourceUnavailable, UsageError
from tillwatch.sources.base import CheckOutcome
from tillwatch.sources.checks import Checklist, cause_of


def test_steps_are_timed_and_failures_are_kept_with_their_cause() -> None:
    clock = ManualClock()
    checks = Checklist(clock)
    with checks.step("reach"):
        clock.advance(0.25)
    with checks.step("login", fatal=True):
        raise AuthRefused("no")
    checks.skip(["dataset:a"])
    assert checks.broken
    assert [(check.name, check.outcome, check.cause, check.seconds, check.message) for check in checks.done()] == [
        ("reach", CheckOutcome.OK, Cause.NONE, 0.25, ""),
        ("login", CheckOutcome.FAIL, Cause.AUTH, 0.0, "no"),
        ("dataset:a", CheckOutcome.SKIPPED, Cause.NONE, 0.0, "an earlier step failed"),
    ]


def test_a_failure_that_is_not_fatal_does_not_stop_the_others() -> None:
    checks = Checklist(ManualClock())
    with checks.step("dataset:a"):
        raise SourceUnavailable("slow", cause=Cause.TIMEOUT)
    assert not checks.broken


def test_an_error_without_a_cause_is_the_applications() -> None:
    assert cause_of(UsageError("x")) is Cause.APPLICATION
