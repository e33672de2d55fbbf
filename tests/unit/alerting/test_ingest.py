"""Stored before acknowledged; one bad alert costs nobody else; a store that fails acknowledges nothing."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text
from tests.support.incidents import Router, alert

from tillwatch.alerting.ingest import Ingest
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Webhook
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics
from tillwatch.model.alert import AlertState, ChangeKind, EpisodeChange
from tillwatch.store import alerts
from tillwatch.store.db import Database


def body(*items: object) -> bytes:
    return json.dumps(items).encode()


def disk(pos: int, **more: object) -> dict[str, object]:
    return {"labels": {"alertname": "DiskFilling", "instance": f"pos-{pos}"}, **more}


def test_what_is_received_is_stored_and_leads_to_an_incident_each(
    database: Database, make_router: Callable[..., Router]
) -> None:
    router = make_router(database)
    receipt = router.ingest.v2(body(*(disk(number) for number in range(70))))
    assert (receipt.stored, receipt.quarantined) == (70, 0)
    assert len(router.incidents()) == 70


def test_a_batch_sent_again_changes_nothing(database: Database, make_router: Callable[..., Router]) -> None:
    router = make_router(database)
    batch = body(*(disk(number, startsAt="2026-11-24T02:59:00Z", endsAt="2026-11-24T03:04:00Z") for number in range(5)))
    router.ingest.v2(batch)
    before = [(one.id, one.version) for one in router.incidents()]
    router.ingest.v2(batch)
    router.ingest.v2(batch)
    assert [(one.id, one.version) for one in router.incidents()] == before


def test_poison_is_kept_with_its_reason_and_the_rest_is_stored(
    database: Database, make_router: Callable[..., Router]
) -> None:
    router = make_router(database)
    receipt = router.ingest.v2(body(disk(1), {"labels": {"a": "\ud800"}}, {"labels": {"a": "x\x00"}}, disk(2)))
    assert (receipt.stored, receipt.quarantined, len(receipt.reasons)) == (2, 2, 2)
    with router.database.read() as connection:
        kept = alerts.quarantined(connection, limit=10)
    assert [one["reason"] for one in kept] == list(reversed(receipt.reasons))
    assert kept[1]["body"] == '{"labels": {"a": "\\ud800"}}'


def test_an_alert_that_breaks_its_consequences_is_set_aside_alone(database: Database, clock: ManualClock) -> None:
    def picky(_connection: Connection, changes: Sequence[EpisodeChange], _now: datetime) -> None:
        if any(change.episode.labels.get("instance") == "pos-2" for change in changes):
            raise KeyError("no such thing")

    ingest = Ingest(database, clock=clock, on_changes=picky)
    receipt = ingest.v2(body(disk(1), disk(2), disk(3)))
    assert (receipt.stored, receipt.quarantined) == (2, 1)
    assert receipt.reasons == ("alert 'DiskFilling': KeyError: 'no such thing'",)
    with database.read() as connection:
        assert sorted(one.labels["instance"] for one in alerts.active(connection)) == ["pos-1", "pos-3"]


def test_our_own_alert_inside_a_transaction_is_stored_with_it_or_not_at_all(
    database: Database, make_router: Callable[..., Router], clock: ManualClock
) -> None:
    router = make_router(database)
    drift = alert("Drift", clock.now(), source="audit", interface="orders-chaoyang")

    def report_then_fail(connection: Connection) -> None:
        router.ingest.apply(connection, [drift], clock.now())
        raise ValueError("the report could not be written")

    with pytest.raises(ValueError, match="could not be written"):
        database.write(report_then_fail)
    assert router.incidents() == []
    changes = database.write(lambda connection: router.ingest.apply(connection, [drift], clock.now()))
    assert [change.kind for change in changes] == [ChangeKind.OPENED]
    assert len(router.incidents()) == 1


def test_a_store_that_fails_acknowledges_nothing(database: Database, make_router: Callable[..., Router]) -> None:
    router = make_router(database)
    database.write(lambda connection: connection.execute(text("DROP TABLE outbox_attempts")))
    database.write(lambda connection: connection.execute(text("DROP TABLE outbox")))
    with pytest.raises(Exception, match="outbox"):
        router.ingest.v2(body(disk(1)))
    with database.read() as connection:
        assert alerts.active(connection) == []


def test_a_closed_store_is_an_error_and_not_a_receipt(sqlite_database: Database, router: Router) -> None:
    sqlite_database.close()
    with pytest.raises(StoreError, match="stopped"):
        router.ingest.v2(body(disk(1)))


def test_a_lapsed_lease_is_silence(database: Database, make_router: Callable[..., Router], clock: ManualClock) -> None:
    router = make_router(database)
    start = clock.now()
    leased = {"startsAt": start.isoformat(), "endsAt": (start + timedelta(minutes=4)).isoformat()}
    router.ingest.v2(body(disk(1, **leased), disk(2, startsAt=start.isoformat())))
    clock.advance(239)
    assert router.ingest.lapse() == 0
    clock.advance(1)
    assert router.ingest.lapse() == 1
    with database.read() as connection:
        states = {one.labels["instance"]: one.state for one in alerts.active(connection)}
    assert states == {"pos-1": AlertState.SILENT, "pos-2": AlertState.FIRING}


def test_the_quarantine_is_bounded_by_its_oldest(
    sqlite_database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "MAX_QUARANTINED", 3)

    def job(connection: Connection) -> None:
        for number in range(5):
            alerts.set_aside(connection, source="s", reason=f"reason {number}", body="", now=clock.now())

    sqlite_database.write(job)
    with sqlite_database.read() as connection:
        kept = alerts.quarantined(connection, limit=10)
    assert [one["reason"] for one in kept] == ["reason 4", "reason 3", "reason 2"]


def test_what_was_stored_and_what_was_set_aside_is_counted(sqlite_database: Database, clock: ManualClock) -> None:
    metrics = Metrics()
    ingest = Ingest(sqlite_database, clock=clock, on_changes=lambda *_: None, metrics=metrics)
    ingest.v2(body(disk(1), disk(2), {"labels": {}}))
    exposed = metrics.render().decode()
    assert 'tillwatch_alerts_received_total{result="stored",source="prometheus"} 2.0' in exposed
    assert 'tillwatch_alerts_received_total{result="quarantined",source="prometheus"} 1.0' in exposed


def test_after_a_restart_sources_get_time_to_repeat_themselves(
    sqlite_database: Database, make_router: Callable[..., Router], clock: ManualClock
) -> None:
    lease = (clock.now() + timedelta(minutes=4)).isoformat()
    make_router(sqlite_database).ingest.v2(body(disk(1, startsAt=clock.now().isoformat(), endsAt=lease)))
    clock.advance(3600)
    restarted = make_router(sqlite_database)
    assert restarted.ingest.lapse() == 0
    clock.advance(119)
    assert restarted.ingest.lapse() == 0
    clock.advance(1)
    assert restarted.ingest.lapse() == 1


def test_another_systems_webhook_is_stored_and_what_it_cannot_say_is_kept(
    database: Database, make_router: Callable[..., Router]
) -> None:
    router = make_router(database)
    declared = Webhook.model_validate({"id": "nagios", "labels": {"alertname": "$.service", "site": "$.site"}})
    receipt = router.ingest.generic(
        body({"service": "Backup", "site": "chaoyang"}, {"site": "haidian"}), declared, router.config.chain.timezone
    )
    assert (receipt.stored, receipt.quarantined) == (1, 1)
    [incident] = router.incidents()
    with router.database.read() as connection:
        assert [one.source for one in alerts.of_incidents(connection, [incident.id])[incident.id]] == ["webhook/nagios"]
        [kept] = alerts.quarantined(connection, limit=10)
    assert (kept["source"], kept["reason"]) == (
        "webhook/nagios",
        "the label 'alertname' is empty: there is nothing at $.service",
    )


_STORY = [
    ("v2", {"startsAt": "2026-11-24T02:50:00Z", "endsAt": "2026-11-24T03:04:00Z"}),
    ("v2", {"startsAt": "2026-11-24T02:50:00Z", "endsAt": "2026-11-24T03:05:00Z"}),
    ("v4", {"startsAt": "2026-11-24T02:50:00Z", "status": "firing"}),
    ("v2", {"startsAt": "2026-11-24T02:50:00Z", "endsAt": "2026-11-24T02:55:00Z"}),
    ("v4", {"startsAt": "2026-11-24T02:50:00Z", "endsAt": "2026-11-24T02:55:00Z", "status": "resolved"}),
    ("v2", {"startsAt": "2026-11-24T02:58:00Z", "endsAt": "2026-11-24T03:06:00Z"}),
    ("v4", {"startsAt": "2026-11-24T02:58:00Z", "status": "firing"}),
]
_run = count()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_the_stored_end_depends_on_what_arrived_and_not_on_when_or_through_which_door(
    sqlite_database: Database, make_router: Callable[..., Router], data: st.DataObject
) -> None:
    router, name = make_router(sqlite_database), f"Alert{next(_run)}"
    copies = _STORY + data.draw(st.lists(st.sampled_from(_STORY), max_size=4))
    for door, item in data.draw(st.permutations(copies)):
        alert = {"labels": {"alertname": name}, **item}
        if door == "v2":
            router.ingest.v2(body(alert))
        else:
            router.ingest.webhook(json.dumps({"version": "4", "alerts": [alert]}).encode())
    with router.database.read() as connection:
        kept = [one for one in alerts.latest(connection, limit=4) if one.name == name]
    assert sorted(
        (f"{one.starts_at:%H:%M}", one.state.value, one.ends_at and f"{one.ends_at:%H:%M}") for one in kept
    ) == [
        ("02:50", "resolved", "02:55"),
        ("02:58", "firing", None),
    ]
