"""A source's own check as a list of named steps: the first failure explains, what follows is skipped."""

from collections.abc import Iterator
from contextlib import contextmanager

from tillwatch.clock import Clock
from tillwatch.errors import Cause, SourceError, SourceUnavailable, TillwatchError
from tillwatch.sources.base import Check, CheckOutcome


class Checklist:
    """Collects steps. A failed step does not stop the caller's code, it makes later `step` bodies not run."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._checks: list[Check] = []
        self._broken = False

    @contextmanager
    def step(self, name: str, *, fatal: bool = False) -> Iterator[None]:
        """Time the body and turn its error into a failed check; `fatal` stops the steps that need this one."""
        started = self._clock.monotonic()
        try:
            yield
        except TillwatchError as error:
            self._broken = self._broken or fatal
            self._add(name, CheckOutcome.FAIL, started, cause=cause_of(error), message=str(error))
        else:
            self._add(name, CheckOutcome.OK, started)

    def warn(self, name: str, message: str) -> None:
        self._add(name, CheckOutcome.WARN, self._clock.monotonic(), message=message)

    def skip(self, names: list[str]) -> None:
        for name in names:
            self._add(name, CheckOutcome.SKIPPED, self._clock.monotonic(), message="an earlier step failed")

    @property
    def broken(self) -> bool:
        return self._broken

    def done(self) -> list[Check]:
        return list(self._checks)

    def _add(
        self, name: str, outcome: CheckOutcome, started: float, *, cause: Cause = Cause.NONE, message: str = ""
    ) -> None:
        seconds = self._clock.monotonic() - started
        self._checks.append(Check(name=name, outcome=outcome, cause=cause, seconds=seconds, message=message))


def cause_of(error: TillwatchError) -> Cause:
    """The cause an error carries; an error without one is the application's."""
    return error.cause if isinstance(error, SourceUnavailable | SourceError) else Cause.APPLICATION
