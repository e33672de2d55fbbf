"""From alerts to incidents to the outbox, on the real store."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from tests.support.incidents import GROUP_INTERVAL, GROUP_WAIT, Router, alert

from tillwatch.clock import ManualClock
from tillwatch.metrics import Metrics
from tillwatch.model.alert import Alert, Episode
from tillwatch.model.incident import Component, IncidentState, RunbookLink, Severity
from tillwatch.store import alerts, incidents, outbox
from tillwatch.store.db import Database


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


def stale(at: datetime, ends_at: datetime | None = None) -> Alert:
    return alert(
        "SyncStale",
        at,
        ends_at=ends_at,
        interface="orders-chaoyang",
        system="till-chaoyang",
        site="chaoyang",
        probe="fresh",
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


def test_two_failing_probes_of_one_system_are_one_incident_and_one_notice(router: Router) -> None:
    now = router.clock.now()
    router.fire(erp_down(now))
    router.clock.advance(2)
    router.fire(erp_down(router.clock.now(), probe="erp-api"))
    [incident] = router.incidents()
    assert (str(incident.component), incident.state, incident.severity) == ("system:erp", "open", "critical")
    assert (incident.title, incident.titles["en"]) == ("中文 InterfaceDown", "InterfaceDown")
    assert router.outbox() == [("opened", "phone", "pending")]
    assert router.kinds() == ["opened", "alert_firing", "notified", "alert_firing"]


def test_the_opening_waits_for_group_wait(router: Router) -> None:
    router.fire(erp_down(router.clock.now()))
    with router.database.read() as connection:
        [record] = outbox.deliveries(connection, 1)
    assert record.not_before == router.clock.now() + GROUP_WAIT


def test_an_incident_resolves_when_its_last_alert_does_and_not_before(router: Router) -> None:
    start = router.clock.now()
    router.fire(erp_down(start), erp_down(start, probe="erp-api"))
    router.clock.advance(60)
    router.fire(erp_down(start, ends_at=router.clock.now()))
    assert router.incident().state is IncidentState.OPEN
    router.clock.advance(1)
    router.fire(erp_down(start, probe="erp-api", ends_at=router.clock.now()))
    incident = router.incident()
    assert (incident.state, incident.resolved_at) == (IncidentState.RESOLVED, router.clock.now())
    assert [kind for kind, _, _ in router.outbox()] == ["opened", "resolved"]
    assert router.kinds()[-4:] == ["alert_resolved", "alert_resolved", "resolved", "notified"]


def test_a_blip_within_group_wait_is_told_to_nobody_and_the_timeline_says_so(router: Router) -> None:
    start = router.clock.now()
    router.fire(erp_down(start))
    router.clock.advance(2)
    router.fire(erp_down(start, ends_at=router.clock.now()))
    assert router.incident().state is IncidentState.RESOLVED
    assert router.outbox() == [("opened", "phone", "cancelled")]
    assert router.kinds()[-1] == "notice_withdrawn"


def test_what_stands_behind_a_dead_system_joins_its_incident(router: Router) -> None:
    now = router.clock.now()
    router.fire(stale(now), erp_down(now))
    inconclusive = alert("AuditInconclusive", now, source="audit", audit="orders-chaoyang", interface="orders-chaoyang")
    router.fire(inconclusive)
    [incident] = router.incidents()
    assert str(incident.component) == "system:erp"
    with router.database.read() as connection:
        assert sorted(one.name for one in incidents.episodes(connection, 1)) == [
            "AuditInconclusive",
            "InterfaceDown",
            "SyncStale",
        ]


def test_while_the_system_comes_back_the_incident_keeps_its_words_though_a_milder_alert_outlives_them(
    router: Router,
) -> None:
    start = router.clock.now()
    router.fire(erp_down(start, summary="the ERP refuses connections"))
    late = alert("AuditInconclusive", start, source="audit", audit="orders-chaoyang", interface="orders-chaoyang")
    router.fire(late)
    router.clock.advance(60)
    router.fire(erp_down(start, ends_at=router.clock.now()))
    incident = router.incident()
    assert (incident.state, incident.titles["en"]) == (IncidentState.OPEN, "the ERP refuses connections")


def test_a_shadow_that_came_first_is_folded_when_its_cause_shows_and_its_notice_is_taken_back(router: Router) -> None:
    router.fire(stale(router.clock.now()))
    router.clock.advance(2)
    router.fire(erp_down(router.clock.now()))
    shadow, cause = router.incidents()
    assert (shadow.parent, shadow.state, cause.parent) == (cause.id, IncidentState.OPEN, None)
    assert router.outbox(shadow.id) == [("opened", "inbox", "cancelled")]
    assert router.kinds(shadow.id)[-2:] == ["folded", "notice_withdrawn"]
    assert router.outbox(cause.id) == [("opened", "phone", "pending")]


def test_a_shadow_that_outlives_its_cause_stands_for_itself_again_and_is_told(router: Router) -> None:
    start = router.clock.now()
    router.fire(stale(start))
    router.fire(erp_down(start))
    router.clock.advance(60)
    router.fire(erp_down(start, ends_at=router.clock.now()))
    shadow, cause = router.incidents()
    assert (cause.state, shadow.parent, shadow.state) == (IncidentState.RESOLVED, None, IncidentState.OPEN)
    assert router.outbox(shadow.id) == [("opened", "inbox", "cancelled"), ("opened", "inbox", "pending")]
    assert "unfolded" in router.kinds(shadow.id)


def test_drift_never_folds(router: Router) -> None:
    now = router.clock.now()
    router.fire(erp_down(now))
    router.fire(drift(now))
    cause, wrong = router.incidents()
    assert (str(wrong.component), wrong.parent) == ("interface:orders-chaoyang", None)
    assert router.outbox(wrong.id) == [("opened", "inbox", "pending")]
    assert cause.parent is None


def test_a_folded_shadow_that_turns_into_drift_is_told(router: Router) -> None:
    now = router.clock.now()
    router.fire(stale(now))
    router.fire(erp_down(now))
    assert router.incident(1).parent == 2
    router.fire(drift(now))
    assert router.incident(1).parent is None
    assert router.outbox(1)[-1] == ("opened", "inbox", "pending")


def test_drift_shows_the_money_and_the_keys_and_resolves_only_by_its_own_clean_run(router: Router) -> None:
    start = router.clock.now()
    router.fire(drift(start))
    incident = router.incident()
    assert incident.value_at_risk == Decimal("12.50")
    assert incident.evidence["differences"] == [{"key": {"order_ref": "CY-1"}}]
    router.clock.advance(60)
    stranger = drift(start, ends_at=router.clock.now())
    router.ingest.receive([replace(stranger, source="prometheus")], source="prometheus")
    assert router.incident().state is IncidentState.OPEN
    inconclusive = alert(
        "AuditInconclusive", start, source="audit", audit="orders-chaoyang", interface="orders-chaoyang"
    )
    router.fire(inconclusive)
    router.fire(replace(inconclusive, ends_at=router.clock.now()))
    assert router.incident().state is IncidentState.OPEN
    router.fire(drift(router.clock.now(), ends_at=router.clock.now()))
    assert router.incident().state is IncidentState.RESOLVED


def test_another_count_of_differences_is_written_down_and_a_newer_log_of_a_probe_is_not(router: Router) -> None:
    start = router.clock.now()
    router.fire(drift(start))
    before = router.kinds()
    router.fire(drift(start, summary="3 rows differ"))
    assert router.kinds() == before
    router.fire(drift(start, summary="5 rows differ", value="99.00"))
    assert router.kinds() == [*before, "alert_updated"]
    assert router.incident().value_at_risk == Decimal("99.00")


def test_severity_rises_at_once_tells_the_new_receiver_and_never_falls(router: Router) -> None:
    start = router.clock.now()
    router.fire(alert("ProbeFailing", start, system="erp", probe="a"))
    router.clock.advance(30)
    router.fire(erp_down(router.clock.now()))
    assert router.incident().severity is Severity.CRITICAL
    assert sorted(router.outbox()[1:]) == [("opened", "phone", "pending"), ("updated", "inbox", "pending")]
    router.fire(erp_down(start, ends_at=router.clock.now()))
    assert router.incident().severity is Severity.CRITICAL
    assert router.incident().state is IncidentState.OPEN


def test_news_in_a_known_incident_waits_for_group_interval_and_is_told_once(router: Router) -> None:
    start = router.clock.now()
    router.fire(erp_down(start))
    router.clock.advance(30)
    for probe in ("erp-api", "erp-login"):
        router.fire(erp_down(router.clock.now(), probe=probe))
    with router.database.read() as connection:
        opened, updated = outbox.deliveries(connection, 1)
    assert (updated.kind, updated.not_before) == ("updated", opened.not_before + GROUP_INTERVAL)


def test_a_defect_in_the_suggestions_does_not_cost_the_incident(
    sqlite_database: Database, make_router: Callable[..., Router]
) -> None:
    def broken(_component: Component, _episodes: object) -> tuple[RunbookLink, ...]:
        raise KeyError("param")

    router = make_router(sqlite_database, suggest=broken)
    router.fire(erp_down(router.clock.now()))
    assert router.outbox() == [("opened", "phone", "pending")]
    assert "runbooks_unavailable" in router.kinds()


def test_suggestions_see_the_incident_they_are_for(
    sqlite_database: Database, make_router: Callable[..., Router]
) -> None:
    def suggest(component: Component, episodes: list[Episode]) -> tuple[RunbookLink, ...]:
        url = f"/runbooks/erp-restart?incident={episodes[0].incident}"
        return (RunbookLink(id="erp-restart", url=url, params={"system": component.id}),)

    router = make_router(sqlite_database, suggest=suggest)
    router.fire(erp_down(router.clock.now()))
    [link] = router.incident().runbooks
    assert (link.url, link.params) == ("/runbooks/erp-restart?incident=1", {"system": "erp"})


def test_the_whole_story_is_the_same_on_both_databases(database: Database, make_router: Callable[..., Router]) -> None:
    router = make_router(database)
    start = router.clock.now()
    router.fire(stale(start))
    router.fire(erp_down(start))
    router.desk.acknowledge(2, "wang")
    router.desk.assign(2, "wang", "李")
    router.clock.advance(60)
    router.fire(erp_down(start, ends_at=router.clock.now()), stale(start, ends_at=router.clock.now()))
    assert [one.state.value for one in router.incidents()] == ["resolved", "resolved"]
    with router.database.read() as connection:
        document = incidents.document(connection, 2)
    assert document["component"] == "system:erp"
    assert document["assigned_to"] == "李"
    assert [one["alertname"] for one in document["alerts"]] == ["InterfaceDown"]
    assert [one["kind"] for one in document["notifications"]] == ["opened", "resolved"]
    assert document["timeline"][-1]["kind"] == "notified"


def test_one_open_incident_for_each_component_whatever_is_written(
    database: Database, make_router: Callable[..., Router]
) -> None:
    router = make_router(database)
    router.fire(erp_down(router.clock.now()))
    with pytest.raises(Exception, match=r"(?i)unique"):
        router.database.write(
            lambda connection: incidents.add(connection, [replace(incidents.get(connection, 1), id=2)])
        )


def test_an_alert_from_outside_without_any_known_label_still_becomes_an_incident(router: Router) -> None:
    router.fire(alert("TooManyLogins", router.clock.now(), source="prometheus"))
    assert str(router.incident().component) == "chain:demo"


def test_an_alert_that_opened_and_ended_in_one_batch_leaves_a_whole_story(router: Router) -> None:
    start = router.clock.now()
    router.clock.advance(30)
    over = alert("DiskFull", start, source="prometheus", instance="pos-7", ends_at=start + timedelta(seconds=20))
    firing = alert("DiskFull", start, source="prometheus", instance="pos-7")
    router.fire(firing, over)
    assert router.kinds() == ["opened", "alert_firing", "alert_resolved", "resolved"]
    with router.database.read() as connection:
        assert alerts.active(connection) == []


def test_a_clock_that_went_back_keeps_no_drift_open(router: Router, clock: ManualClock) -> None:
    router.fire(drift(clock.now()))
    clock.jump(-7200)
    router.fire(drift(clock.now(), ends_at=clock.now()))
    assert router.incident().state is IncidentState.RESOLVED


def test_open_incidents_are_counted_by_severity_and_the_folded_ones_with_their_parent(
    sqlite_database: Database, make_router: Callable[..., Router]
) -> None:
    metrics = Metrics()
    router = make_router(sqlite_database, metrics=metrics)
    start = router.clock.now()
    router.fire(stale(start))
    router.fire(erp_down(start))
    router.desk.tick(router.clock.now())
    assert metrics.value("tillwatch_incidents_open", severity="critical") == 1
    assert metrics.value("tillwatch_incidents_open", severity="warning") == 0
    router.fire(erp_down(start, ends_at=router.clock.now()))
    router.desk.tick(router.clock.now())
    assert metrics.value("tillwatch_incidents_open", severity="critical") == 0
    assert metrics.value("tillwatch_incidents_open", severity="warning") == 1


def test_two_servers_on_one_database_open_one_incident_for_one_trouble(
    postgres_database: Database, make_router: Callable[..., Router], clock: ManualClock
) -> None:
    url = postgres_database.url.render_as_string(hide_password=False)
    other = Database.open(url, clock=clock)
    routers = [make_router(postgres_database), make_router(other)]

    def storm(router: Router) -> None:
        for number in range(20):
            router.fire(erp_down(clock.now(), probe=f"{id(router)}-{number}"))

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(storm, router) for router in routers]:
            future.result(60)
    [incident] = routers[0].incidents()
    with other.read() as connection:
        assert len(incidents.episodes(connection, incident.id)) == 40
        assert [one.kind for one in outbox.deliveries(connection, incident.id)] == ["opened"]
    other.close()


def test_a_heartbeat_is_no_incident_its_absence_is_one_and_its_return_resolves_it(router: Router) -> None:
    def beat() -> None:
        lease = router.clock.now() + timedelta(minutes=4)
        router.fire(alert("Watchdog", start, source="prometheus", ends_at=lease, severity="none"))

    start = router.clock.now()
    beat()
    router.clock.advance(60)
    beat()
    router.ingest.lapse()
    assert router.incidents() == []
    router.clock.advance(240)
    assert router.ingest.lapse() == 1
    [incident] = router.incidents()
    assert (str(incident.component), incident.severity) == ("chain:demo", Severity.CRITICAL)
    assert "心跳告警 Watchdog 不再到达" in incident.title
    assert router.outbox() == [("opened", "phone", "pending")]
    router.clock.advance(30)
    beat()
    assert router.incident().state is IncidentState.RESOLVED


def test_a_heartbeat_that_ends_is_as_bad_as_one_that_falls_silent(router: Router) -> None:
    start = router.clock.now()
    router.fire(alert("Watchdog", start, source="prometheus"))
    router.clock.advance(60)
    router.fire(alert("Watchdog", start, source="prometheus", ends_at=router.clock.now()))
    assert [one.state for one in router.incidents()] == [IncidentState.OPEN]


def test_what_another_subject_adds_may_use_any_name(router: Router) -> None:
    router.fire(erp_down(router.clock.now()))
    [incident] = router.incidents()
    data = {"step": "corrected", "at": "2026-11-24T03:00:00+00:00", "kind": "manual", "actor": "li.na"}
    router.database.write(
        lambda connection: router.desk.timeline(connection, incident.id, "run_confirmed", "wang", data)
    )
    with router.database.read() as connection:
        last = incidents.timeline(connection, incident.id)[-1]
    assert (last.kind, last.actor, dict(last.data)) == ("run_confirmed", "wang", data)
