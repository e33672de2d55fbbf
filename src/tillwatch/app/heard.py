"""The alerts of a report, ingested in the transaction that stores the report."""

from collections.abc import Callable

from sqlalchemy import Connection

from tillwatch.alerting.ingest import Ingest
from tillwatch.audit.verdict import alerts as audit_alerts
from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit, Validation
from tillwatch.model.audit import AuditReport
from tillwatch.model.validation import ValidationReport
from tillwatch.store import audits as stored_audits
from tillwatch.store import validations as stored_validations
from tillwatch.validation.verdict import alerts as validation_alerts


def audited(config: ChainConfig, ingest: Ingest, clock: Clock) -> Callable[[Connection, AuditReport, Audit], None]:
    def heard(connection: Connection, report: AuditReport, audit: Audit) -> None:
        in_vain = stored_audits.in_vain(connection, audit.id, audit.fail_after)
        ingest.apply(connection, audit_alerts(report, audit, config, in_vain=in_vain), clock.now())

    return heard


def validated(
    config: ChainConfig, ingest: Ingest, clock: Clock
) -> Callable[[Connection, ValidationReport, Validation], None]:
    def heard(connection: Connection, report: ValidationReport, spec: Validation) -> None:
        in_vain = stored_validations.in_vain(connection, spec.id, spec.fail_after)
        ingest.apply(connection, validation_alerts(report, spec, config, in_vain=in_vain), clock.now())

    return heard
