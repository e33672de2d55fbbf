"""The questions of the pages, answered by the store: one short read transaction each."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from tillwatch.clock import Clock, SystemClock
from tillwatch.incident.explain import explain
from tillwatch.incident.statistics import Statistics, statistics
from tillwatch.model.alert import Episode
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, SignOff
from tillwatch.model.incident import Incident, TimelineEntry
from tillwatch.model.notice import DeliveryRecord
from tillwatch.model.probe import ProbeResult, ProbeState
from tillwatch.model.runbook import Run
from tillwatch.oncall.duty import NOBODY, Duty
from tillwatch.store import alerts, audits, incidents, outbox, probes, proofs, revision, runs, signoffs, similar
from tillwatch.store import differences as stored_differences
from tillwatch.store import statistics as counted
from tillwatch.store.db import Database
from tillwatch.store.similar import Similar

#: Alerts answered at once by Alertmanager's API; a chain with more has one problem, not ten thousand.
MAX_ACTIVE_ALERTS = 10_000


class StoreRecords:
    """`services.Records` on a database."""

    def __init__(self, database: Database, *, duty: Duty = NOBODY, clock: Clock | None = None) -> None:
        self._database = database
        self._duty = duty
        self._clock = clock or SystemClock()

    def probe_states(self) -> Mapping[str, ProbeState]:
        with self._database.read() as connection:
            return probes.load_states(connection)

    def probe_history(self, probe: str, limit: int) -> Sequence[ProbeResult]:
        with self._database.read() as connection:
            return probes.history(connection, probe, limit)

    def open_incidents(self) -> Sequence[Incident]:
        with self._database.read() as connection:
            return incidents.list_open(connection)

    def incidents(self, *, limit: int, before: int | None = None) -> Sequence[Incident]:
        with self._database.read() as connection:
            return incidents.latest(connection, limit=limit, before=before)

    def incident(self, incident: int) -> Incident:
        with self._database.read() as connection:
            return incidents.get(connection, incident)

    def timeline(self, incident: int) -> Sequence[TimelineEntry]:
        with self._database.read() as connection:
            return incidents.timeline(connection, incident)

    def episodes(self, incidents: Sequence[int]) -> Mapping[int, Sequence[Episode]]:
        with self._database.read() as connection:
            return alerts.of_incidents(connection, incidents)

    def incident_document(self, incident: int) -> Mapping[str, object]:
        with self._database.read() as connection:
            document = incidents.document(connection, incident)
            known = incidents.get(connection, incident)
            past = similar.document(similar.of(connection, known))
        return {**document, "similar": past, "explain": explain(known, self._duty, self._clock.now()).document()}

    def similar(self, incident: Incident) -> Sequence[Similar]:
        with self._database.read() as connection:
            return similar.of(connection, incident)

    def active_alerts(self) -> Sequence[Episode]:
        with self._database.read() as connection:
            return alerts.active(connection, limit=MAX_ACTIVE_ALERTS)

    def deliveries(
        self, *, incident: int | None = None, limit: int, before: int | None = None
    ) -> Sequence[DeliveryRecord]:
        """Newest first."""
        with self._database.read() as connection:
            if incident is None:
                return outbox.latest(connection, limit, before=before)
            found = reversed(outbox.deliveries(connection, incident))
            return [item for item in found if before is None or item.id < before][:limit]

    def latest_audits(self) -> Mapping[str, AuditReport]:
        with self._database.read() as connection:
            return audits.latest(connection)

    def oldest_verified(self) -> Mapping[str, datetime]:
        with self._database.read() as connection:
            return proofs.oldest_verified(connection)

    def audit_reports(self, *, audit: str | None = None, limit: int) -> Sequence[AuditReport]:
        with self._database.read() as connection:
            found = audits.runs(connection, audit=audit, limit=limit, finished=True)
        return [run.report for run in found if run.report is not None]

    def audit_report(self, run: int, *, differences: int) -> AuditReport:
        with self._database.read() as connection:
            return audits.report(connection, run, limit=differences)

    def differences(self, run: int, *, kind: DifferenceKind | None, offset: int, limit: int) -> Sequence[Difference]:
        with self._database.read() as connection:
            return stored_differences.page(connection, run, kind=kind, offset=offset, limit=limit)

    def by_field(self, run: int) -> Mapping[tuple[DifferenceKind, str], int]:
        with self._database.read() as connection:
            return stored_differences.by_field(connection, run)

    def sign_offs(self, runs: Collection[int]) -> Mapping[int, Sequence[SignOff]]:
        with self._database.read() as connection:
            return signoffs.of_runs(connection, runs)

    def runs(self, *, incident: int | None = None, limit: int) -> Sequence[Run]:
        with self._database.read() as connection:
            return runs.listed(connection, incident=incident, limit=limit)

    def statistics(self, since: datetime) -> Statistics:
        with self._database.read() as connection:
            cases, pages = counted.cases(connection, since), counted.pages(connection, since)
            return statistics(since, cases, pages, counted.actions(connection, since))

    def revision(self) -> str:
        with self._database.read() as connection:
            return revision.current(connection)
