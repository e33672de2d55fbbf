"""What metrics say of a validation. A run without an answer leaves the last known state in place."""

from tillwatch.config.declared import ChainConfig
from tillwatch.metrics import Metrics
from tillwatch.model.validation import ValidationReport, ValidationVerdict
from tillwatch.validation.declare import Declared, place_of


def finished(metrics: Metrics, report: ValidationReport, declared: Declared, config: ChainConfig) -> None:
    """After every run that ended by itself."""
    metrics.inc("tillwatch_validation_runs_total", validation=report.validation, verdict=report.verdict.value)
    metrics.set("tillwatch_validation_duration_seconds", report.seconds, validation=report.validation)
    if report.verdict in {ValidationVerdict.CLEAN, ValidationVerdict.INVALID}:
        answered(metrics, report, declared, config)


def answered(metrics: Metrics, report: ValidationReport, declared: Declared, config: ChainConfig) -> None:
    """The state a run has shown."""
    where = {"interface": "", "system": "", "site": ""} | place_of(declared.spec, config)
    for rule in declared.spec.rules:
        count = report.counts.get(rule.name, 0)
        metrics.set("tillwatch_validation_rows", count, validation=report.validation, rule=rule.name, **where)
    ended = report.started_at.timestamp() + report.seconds
    metrics.set("tillwatch_validation_last_success_timestamp_seconds", ended, validation=report.validation)
