"""Asks a source to check itself: reach, log in, look at each dataset, in the order that names the broken stage."""

from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel

from tillwatch.errors import Cause
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, NoOptions, Recorder, Target
from tillwatch.probers.workers import Workers
from tillwatch.sources.base import Check, CheckOutcome


class SourceProber:
    kind: ClassVar[str] = "source"
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def problems(self, target: Target) -> Sequence[str]:
        if target.system is None:
            return ("a source probe needs the key 'system'",)
        if target.source is None:
            return (f"system '{target.system.id}' ({target.system.source}) has no connection that can be checked",)
        return ()

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        assert target.source is not None
        recorder.current_phase = "check"
        checks = await self._workers.call(target.probe.id, target.source.check)
        for check in checks:
            if check.outcome is not CheckOutcome.SKIPPED:
                recorder.phase(check.name, check.seconds)
            cause = f" ({check.cause})" if check.cause else ""
            recorder.log(f"{check.name}: {check.outcome}{cause} {check.message}".rstrip())
        recorder.evidence("checks", [_shown(check) for check in checks])
        return judge(checks)


def judge(checks: Sequence[Check]) -> Finding:
    """The first failed check decides, else the first warning; when nothing could be looked at, unknown."""
    for wanted, outcome in ((CheckOutcome.FAIL, Outcome.FAILED), (CheckOutcome.WARN, Outcome.DEGRADED)):
        for check in checks:
            if check.outcome is wanted:
                cause = check.cause or (Cause.APPLICATION if wanted is CheckOutcome.FAIL else Cause.NONE)
                return Finding(outcome=outcome, cause=cause, message=f"{check.name}: {check.message}")
    if not any(check.outcome is CheckOutcome.OK for check in checks):
        return Finding(
            outcome=Outcome.UNKNOWN, message="the source checked nothing", message_zh="数据源没有执行任何检查"
        )
    return OK


def _shown(check: Check) -> dict[str, object]:
    return {
        "name": check.name,
        "outcome": check.outcome.value,
        "cause": check.cause.value,
        "seconds": round(check.seconds, 6),
        "message": check.message,
    }
