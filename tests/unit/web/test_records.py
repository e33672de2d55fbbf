"""The questions of the pages on a real store, on both databases."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.incidents import Router, alert
from tests.support.web_night import LOST, night_world

from tillwatch.clock import ManualClock
from tillwatch.errors import StoreError, UsageError
from tillwatch.model.audit import AuditReport, DifferenceKind
from tillwatch.model.probe import ProbeState, ProbeStatus
from tillwatch.store import audits, probes
from tillwatch.store.db import Database
from tillwatch.web.records import StoreRecords
from tillwatch.web.services import Records


@pytest.fixture
def records(router: Router) -> StoreRecords:
    return StoreRecords(router.database)


def _fire(router: Router) -> None:
    router.fire(alert("InterfaceDown", router.clock.now(), severity="critical", system="erp", probe="erp-tcp"))


def test_an_alert_is_an_incident_with_its_timeline_its_alerts_and_its_deliveries(
    router: Router, records: StoreRecords
) -> None:
    _fire(router)
    [incident] = records.open_incidents()
    assert records.incident(incident.id) == incident
    assert [entry.kind for entry in records.timeline(incident.id)][:2] == ["opened", "alert_firing"]
    assert [item.name for item in records.episodes([incident.id])[incident.id]] == ["InterfaceDown"]
    assert [item.name for item in records.active_alerts()] == ["InterfaceDown"]
    assert {item.incident for item in records.deliveries(limit=10)} == {incident.id}
    document = records.incident_document(incident.id)
    assert (document["state"], document["similar"]) == ("open", [])


def test_deliveries_of_one_incident_are_paged_newest_first(router: Router, records: StoreRecords) -> None:
    _fire(router)
    router.clock.advance(60)
    router.desk.acknowledge(1, "ann")
    found = records.deliveries(incident=1, limit=10)
    assert [item.id for item in found] == sorted((item.id for item in found), reverse=True)
    assert records.deliveries(incident=1, limit=10, before=found[-1].id) == []


def test_what_does_not_exist_is_a_usage_error(records: StoreRecords) -> None:
    for ask in (lambda: records.incident(99), lambda: records.audit_report(99, differences=1)):
        with pytest.raises(UsageError, match="99"):
            ask()


def test_a_report_and_its_differences_come_back_exactly(database: Database, clock: ManualClock) -> None:
    records = StoreRecords(database)
    run = _store(database, night_world(clock).reports[7], clock)
    report = records.audit_report(run, differences=2)
    assert (report.missing, report.changed, len(report.differences)) == (3, 1, 2)
    rows = records.differences(run, kind=DifferenceKind.MISSING, offset=1, limit=5)
    assert [row.key["order_ref"] for row in rows] == list(LOST[1:])
    assert records.latest_audits()["orders-chaoyang"].run == run
    assert [item.run for item in records.audit_reports(audit="orders-chaoyang", limit=5)] == [run]
    assert records.audit_reports(audit="stock-chaoyang", limit=5) == []


def test_a_run_that_has_not_finished_is_in_no_list(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    before = _store(database, night_world(clock).reports[7], clock)
    database.write(
        lambda connection: audits.begin(
            connection,
            audit="orders-chaoyang",
            trigger="page",
            slot=None,
            owner="me",
            now=now,
            lease_until=now + timedelta(seconds=20),
        )
    )
    records = StoreRecords(database)
    assert [report.run for report in records.audit_reports(limit=1)] == [before]
    assert records.latest_audits()["orders-chaoyang"].run == before


CHANGES: tuple[tuple[str, Callable[[Router], object]], ...] = (
    ("an alert", _fire),
    ("an acknowledgement", lambda router: router.desk.acknowledge(1, "ann")),
    ("a note", lambda router: router.desk.note(1, "ann", "seen")),
)


def test_every_change_moves_the_revision_and_silence_does_not(router: Router, records: StoreRecords) -> None:
    seen = [records.revision()]
    for what, change in CHANGES:
        assert records.revision() == seen[-1]
        router.clock.advance(1)
        change(router)
        seen.append(records.revision())
        assert seen[-1] not in seen[:-1], what


def test_a_probe_result_and_an_audit_run_move_the_revision(database: Database, clock: ManualClock) -> None:
    records = StoreRecords(database)
    world = night_world(clock)
    first = records.revision()
    last = world.histories["erp-tcp"][0]
    state = ProbeState(probe="erp-tcp", status=ProbeStatus.FAILING, failures_in_a_row=3, since=clock.now(), last=last)
    database.write(lambda connection: probes.save_result(connection, state, last))
    second = records.revision()
    assert records.probe_states()["erp-tcp"].last == last
    assert records.probe_history("erp-tcp", 5) == [last]
    _store(database, world.reports[7], clock)
    assert len({first, second, records.revision()}) == 3


def test_a_store_that_cannot_answer_is_a_store_error(tmp_path: Path, clock: ManualClock) -> None:
    without_tables = Database.open(f"sqlite:///{tmp_path / 'empty.db'}", clock=clock)
    records: Records = StoreRecords(without_tables)
    with pytest.raises(StoreError):
        records.revision()
    without_tables.close()


def _store(database: Database, report: AuditReport, clock: ManualClock) -> int:
    """Store a finished run with the content of `report`; returns its number."""
    now = clock.now()
    run = database.write(
        lambda connection: audits.begin(
            connection,
            audit=report.audit,
            trigger="cli",
            slot=None,
            owner="me",
            now=now,
            lease_until=now + timedelta(seconds=20),
        )
    )
    assert run is not None
    database.write(lambda connection: audits.finish(connection, replace(report, run=run), owner="me", now=now))
    return run
