"""A storm loses nothing: beyond what people can read one by one, alerts share one incident, and the worst still stands out."""

from datetime import datetime, timedelta

import pytest
from tests.support.incidents import Router, alert

from tillwatch.incident.placement import STORM_CRITICAL, STORM_INCIDENTS, STORM_WINDOW
from tillwatch.incident.state import TOLD_ONE_BY_ONE_AMONG_MANY
from tillwatch.model.alert import Alert
from tillwatch.model.incident import ComponentKind, IncidentState
from tillwatch.store import alerts, incidents


def disk(router: Router, number: int, severity: str = "warning", ends_at: datetime | None = None) -> Alert:
    return alert("DiskFilling", router.clock.now(), ends_at=ends_at, instance=f"pos-{number}", severity=severity)


def storm(router: Router, size: int) -> None:
    router.fire(*(disk(router, number) for number in range(size)))


def test_what_is_too_much_shares_one_incident(router: Router) -> None:
    storm(router, STORM_INCIDENTS + 40)
    found = router.incidents()
    assert len(found) == STORM_INCIDENTS + 1
    assert found[-1].component.kind is ComponentKind.STORM
    assert found[-1].titles["zh"].startswith("告警风暴")
    with router.database.read() as connection:
        assert alerts.count_of_incidents(connection, [found[-1].id]) == {found[-1].id: 40}
    assert [kind for kind, *_ in router.outbox(found[-1].id)] == ["opened"]


def test_it_does_not_matter_whether_they_come_at_once_or_one_by_one(router: Router) -> None:
    for number in range(STORM_INCIDENTS + 3):
        router.fire(disk(router, number))
    assert len(router.incidents()) == STORM_INCIDENTS + 1


def test_a_critical_alert_in_a_storm_of_warnings_is_an_incident_of_its_own_and_told(router: Router) -> None:
    storm(router, STORM_INCIDENTS + 40)
    router.fire(disk(router, 9000, "critical"))
    last = router.incidents()[-1]
    assert str(last.component) == "host:pos-9000"
    assert [kind for kind, *_ in router.outbox(last.id)] == ["opened"]


def test_a_storm_of_critical_alerts_is_folded_too(router: Router) -> None:
    router.fire(*(disk(router, number, "critical") for number in range(STORM_CRITICAL + 5)))
    assert len(router.incidents()) == STORM_CRITICAL + 1


def test_after_the_storm_every_trouble_has_its_own_incident_again(router: Router) -> None:
    storm(router, STORM_INCIDENTS + 2)
    router.clock.advance((STORM_WINDOW + timedelta(seconds=1)).total_seconds())
    router.fire(disk(router, 9000))
    assert str(router.incidents()[-1].component) == "host:pos-9000"


def test_the_storm_is_over_when_its_last_alert_is(router: Router) -> None:
    storm(router, STORM_INCIDENTS + 2)
    folded = router.incidents()[-1].id
    for number in range(STORM_INCIDENTS + 2):
        router.fire(disk(router, number, ends_at=router.clock.now()))
        last = number == STORM_INCIDENTS + 1
        assert (router.incident(folded).state is IncidentState.RESOLVED) is last


def test_the_timeline_of_a_storm_stays_readable_and_says_how_many_more(router: Router) -> None:
    storm(router, STORM_INCIDENTS + TOLD_ONE_BY_ONE_AMONG_MANY + 47)
    folded = router.incidents()[-1].id
    with router.database.read() as connection:
        entries = incidents.timeline(connection, folded)
    assert sum(1 for one in entries if one.kind == "alert_firing") == TOLD_ONE_BY_ONE_AMONG_MANY
    assert [one.data for one in entries if one.kind == "alerts_more"] == [{"count": 47}]


@pytest.mark.parametrize("size", [alerts.MAX_WEIGHED - 1, alerts.MAX_WEIGHED, alerts.MAX_WEIGHED + 30])
def test_the_worst_alert_gives_the_words_however_many_there_are(router: Router, size: int) -> None:
    now = router.clock.now()
    router.fire(*(alert("DiskFilling", now, instance="pos-1", disk=str(number)) for number in range(size)))
    router.fire(alert("DiskFilling", now, instance="pos-1", disk="x", severity="critical", summary="the worst"))
    [incident] = router.incidents()
    assert (incident.titles["en"], incident.severity.value) == ("the worst", "critical")


def test_of_very_many_alerts_the_worst_are_shown_and_all_are_counted(router: Router) -> None:
    now = router.clock.now()
    router.fire(*(alert("Full", now, instance="pos-1", disk=str(number)) for number in range(alerts.MAX_SHOWN + 9)))
    router.fire(alert("Full", now, instance="pos-1", disk="x", severity="critical"))
    with router.database.read() as connection:
        shown = alerts.of_incidents(connection, [1])[1]
        document = incidents.document(connection, 1)
    assert len(shown) == len(document["alerts"]) == alerts.MAX_SHOWN
    assert shown[0].labels["disk"] == "x"
    assert document["alerts_total"] == alerts.MAX_SHOWN + 10
