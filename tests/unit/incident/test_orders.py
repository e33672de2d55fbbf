"""What people order and what the clock brings: acknowledge, assign, note, resolve, reminders."""

from datetime import datetime, timedelta

import pytest
from tests.support.incidents import GROUP_WAIT, REPEAT_INTERVAL, Router, alert

from tillwatch.errors import RefusedError, UsageError
from tillwatch.model.alert import Alert
from tillwatch.model.incident import IncidentState
from tillwatch.store import incidents


def erp_down(at: datetime, probe: str = "erp-tcp", ends_at: datetime | None = None, **more: str) -> Alert:
    return alert(
        "InterfaceDown",
        at,
        ends_at=ends_at,
        severity="critical",
        system="erp",
        site="hq",
        probe=probe,
        cause="tcp",
        **more,
    )


def drift(at: datetime, ends_at: datetime | None = None, value: str = "12.50", summary: str = "3 rows differ") -> Alert:
    evidence = {"value_at_risk": value, "missing": 3, "differences": [{"key": {"order_ref": "CY-1"}}]}
    return alert(
        "Drift",
        at,
        ends_at=ends_at,
        source="audit",
        evidence=evidence,
        summary=summary,
        audit="orders-chaoyang",
        interface="orders-chaoyang",
        site="chaoyang",
    )


def test_reminders_come_every_repeat_interval_until_somebody_acknowledges(router: Router) -> None:
    router.fire(erp_down(router.clock.now()))
    router.clock.advance(GROUP_WAIT.total_seconds())
    assert router.desk.tick(router.clock.now()) == 0
    for number in (1, 2):
        router.clock.advance(REPEAT_INTERVAL.total_seconds())
        assert router.desk.tick(router.clock.now()) == 1
        assert router.desk.tick(router.clock.now()) == 0
        assert [kind for kind, _, _ in router.outbox()] == ["opened", *["reminder"] * number]
    acknowledged = router.desk.acknowledge(1, "wang")
    assert (acknowledged.state, acknowledged.acknowledged_by) == (IncidentState.ACKNOWLEDGED, "wang")
    router.clock.advance(REPEAT_INTERVAL.total_seconds() * 3)
    assert router.desk.tick(router.clock.now()) == 0


def test_missed_reminders_are_made_up_for_by_one(router: Router) -> None:
    router.fire(erp_down(router.clock.now()))
    router.clock.advance(REPEAT_INTERVAL.total_seconds() * 10)
    assert router.desk.tick(router.clock.now()) == 1
    assert router.desk.tick(router.clock.now()) == 0
    assert [kind for kind, _, _ in router.outbox()] == ["opened", "reminder"]


def test_nobody_resolves_by_hand_what_still_fires(router: Router) -> None:
    router.fire(drift(router.clock.now()))
    with pytest.raises(RefusedError, match=r"incident 1 cannot be resolved by hand while alerts fire \(Drift\)"):
        router.desk.resolve(1, "wang", "looks fine")
    assert router.incident().state is IncidentState.OPEN


def test_a_silent_source_resolves_nothing_but_a_person_may_with_a_reason(router: Router) -> None:
    now = router.clock.now()
    router.fire(alert("DiskFilling", now, source="prometheus", ends_at=now + timedelta(minutes=4), instance="pos-7"))
    router.clock.advance(241)
    assert router.ingest.lapse() == 1
    assert router.ingest.lapse() == 0
    assert router.incident().state is IncidentState.OPEN
    assert router.kinds()[-2:] == ["alert_silent", "notified"]
    with pytest.raises(UsageError, match="a reason is needed"):
        router.desk.resolve(1, "wang", "  ")
    resolved = router.desk.resolve(1, "wang", "the shop has closed for good")
    assert (resolved.state, resolved.resolved_at) == (IncidentState.RESOLVED, router.clock.now())


def test_a_silent_source_that_fires_again_after_that_opens_a_new_incident(router: Router) -> None:
    now = router.clock.now()
    router.fire(alert("DiskFilling", now, source="prometheus", ends_at=now + timedelta(minutes=4), instance="pos-7"))
    router.clock.advance(241)
    router.ingest.lapse()
    router.desk.resolve(1, "wang", "gone")
    back = router.clock.now() + timedelta(minutes=4)
    router.fire(alert("DiskFilling", now, source="prometheus", ends_at=back, instance="pos-7"))
    assert [one.state.value for one in router.incidents()] == ["resolved", "open"]
    assert router.kinds(2)[:2] == ["opened", "alert_firing_again"]


def test_orders_on_a_resolved_incident_are_refused_but_a_note_is_kept(router: Router) -> None:
    start = router.clock.now()
    router.fire(erp_down(start))
    router.clock.advance(10)
    router.fire(erp_down(start, ends_at=router.clock.now()))
    for order in (
        lambda: router.desk.acknowledge(1, "wang"),
        lambda: router.desk.assign(1, "wang", "li"),
        lambda: router.desk.resolve(1, "wang", "done"),
    ):
        with pytest.raises(RefusedError, match="incident 1 is resolved"):
            order()
    router.desk.note(1, "wang", "原因：交换机断电")
    with router.database.read() as connection:
        last = incidents.timeline(connection, 1)[-1]
    assert (last.kind, last.actor, last.data) == ("note", "wang", {"text": "原因：交换机断电"})


def test_an_unknown_incident_is_named(router: Router) -> None:
    with pytest.raises(UsageError, match="there is no incident 7"):
        router.desk.acknowledge(7, "wang")
