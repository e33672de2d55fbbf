"""How loud every state of everything is, in one place; templates see it as `levels`."""

import enum
from collections.abc import Mapping

from tillwatch.model.alert import AlertState
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.model.incident import Severity
from tillwatch.model.notice import DeliveryState
from tillwatch.model.probe import Outcome
from tillwatch.model.runbook import RunState, StepState
from tillwatch.model.validation import ValidationVerdict


class Level(enum.StrEnum):
    """The order is the order of attention."""

    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    NOTICE = "notice"
    PENDING = "pending"
    OK = "ok"

    @property
    def rank(self) -> int:
        """0 is the worst."""
        return list(Level).index(self)


OF_SEVERITY: Mapping[Severity, Level] = {
    Severity.CRITICAL: Level.CRITICAL,
    Severity.WARNING: Level.WARNING,
    Severity.INFO: Level.NOTICE,
}
OF_OUTCOME: Mapping[Outcome, Level] = {
    Outcome.OK: Level.OK,
    Outcome.DEGRADED: Level.NOTICE,
    Outcome.FAILED: Level.CRITICAL,
    Outcome.UNKNOWN: Level.UNKNOWN,
}
OF_ALERT: Mapping[AlertState, Level] = {
    AlertState.FIRING: Level.CRITICAL,
    AlertState.SILENT: Level.UNKNOWN,
    AlertState.RESOLVED: Level.OK,
}
OF_VERDICT: Mapping[Verdict, Level] = {
    Verdict.CLEAN: Level.OK,
    Verdict.DRIFT: Level.CRITICAL,
    Verdict.SYNC_LAG: Level.WARNING,
    Verdict.INCONCLUSIVE: Level.UNKNOWN,
    Verdict.FAILED: Level.UNKNOWN,
}
OF_VALIDATION: Mapping[ValidationVerdict, Level] = {
    ValidationVerdict.CLEAN: Level.OK,
    ValidationVerdict.INVALID: Level.WARNING,
    ValidationVerdict.INCONCLUSIVE: Level.UNKNOWN,
    ValidationVerdict.FAILED: Level.UNKNOWN,
}
OF_DELIVERY: Mapping[DeliveryState, Level] = {
    DeliveryState.PENDING: Level.PENDING,
    DeliveryState.SENDING: Level.NOTICE,
    DeliveryState.DELIVERED: Level.OK,
    DeliveryState.REJECTED: Level.CRITICAL,
    DeliveryState.UNKNOWN: Level.UNKNOWN,
    DeliveryState.CANCELLED: Level.PENDING,
}
OF_STEP: Mapping[StepState, Level] = {
    StepState.PENDING: Level.PENDING,
    StepState.RUNNING: Level.NOTICE,
    StepState.DONE: Level.OK,
    StepState.FAILED: Level.CRITICAL,
    StepState.SKIPPED: Level.PENDING,
    StepState.UNDONE: Level.WARNING,
    StepState.UNKNOWN: Level.UNKNOWN,
}
OF_RUN: Mapping[RunState, Level] = {
    RunState.QUEUED: Level.PENDING,
    RunState.WAITING_APPROVAL: Level.WARNING,
    RunState.WAITING_MANUAL: Level.WARNING,
    RunState.RUNNING: Level.NOTICE,
    RunState.COMPENSATING: Level.WARNING,
    RunState.SUCCEEDED: Level.OK,
    RunState.ROLLED_BACK: Level.WARNING,
    RunState.NEEDS_HUMAN: Level.CRITICAL,
    RunState.KILLED: Level.UNKNOWN,
    RunState.EXPIRED: Level.UNKNOWN,
}


def of_report(report: AuditReport) -> Level:
    """Drift that its audit lives with is worth a look, never a start."""
    return Level.NOTICE if report.tolerated else OF_VERDICT[report.verdict]


TABLES = {
    "severity": OF_SEVERITY,
    "outcome": OF_OUTCOME,
    "alert": OF_ALERT,
    "verdict": OF_VERDICT,
    "valid": OF_VALIDATION,
    "delivery": OF_DELIVERY,
    "step": OF_STEP,
    "run": OF_RUN,
}
