"""What a silence does to who is told: nobody while it holds, whoever has to be once it ends."""

from datetime import timedelta

import pytest
from tests.support.incidents import GROUP_INTERVAL, GROUP_WAIT, REPEAT_INTERVAL, Router, alert

from tillwatch.alerting.silences import Draft, Silences
from tillwatch.config.matcher import parse_matcher
from tillwatch.model.incident import IncidentState

SILENCED = timedelta(hours=1)


@pytest.fixture
def silences(router: Router) -> Silences:
    return Silences(router.database, clock=router.clock)


def mute(router: Router, silences: Silences, matcher: str = 'system="erp"', lasts: timedelta = SILENCED) -> str:
    now = router.clock.now()
    wanted = Draft(
        matchers=(parse_matcher(matcher),), starts_at=now, ends_at=now + lasts, created_by="li", comment="works"
    )
    return silences.set(wanted)


def tick(router: Router, after: timedelta = timedelta()) -> None:
    router.clock.advance(after.total_seconds())
    router.desk.tick(router.clock.now())


def test_a_silenced_alert_opens_an_incident_that_is_told_to_nobody(router: Router, silences: Silences) -> None:
    mute(router, silences)
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router, GROUP_WAIT + SILENCED / 2)
    assert router.outbox() == []
    assert router.incident().state is IncidentState.OPEN
    assert "silenced" in router.kinds()


def test_the_end_of_the_silence_tells_what_still_fires(router: Router, silences: Silences) -> None:
    mute(router, silences)
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router, SILENCED - timedelta(seconds=1))
    assert router.outbox() == []
    tick(router, timedelta(seconds=1))
    assert router.outbox() == [("opened", "inbox", "pending")]
    assert router.kinds()[-2:] == ["unsilenced", "notified"]
    tick(router)
    assert len(router.outbox()) == 1


def test_expiring_a_silence_tells_at_the_next_round(router: Router, silences: Silences) -> None:
    id = mute(router, silences)
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router)
    silences.expire(id)
    tick(router)
    assert router.outbox() == [("opened", "inbox", "pending")]


def test_a_silence_within_group_wait_takes_the_opening_back(router: Router, silences: Silences) -> None:
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    assert router.outbox() == [("opened", "inbox", "pending")]
    mute(router, silences)
    tick(router)
    assert [state for _, _, state in router.outbox()] != ["pending"]
    assert "notice_withdrawn" in router.kinds()


def test_a_silenced_incident_is_not_repeated(router: Router, silences: Silences) -> None:
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router, GROUP_WAIT)
    mute(router, silences, lasts=2 * REPEAT_INTERVAL)
    tick(router)
    tick(router, REPEAT_INTERVAL + GROUP_INTERVAL)
    assert [kind for kind, _, _ in router.outbox()] == ["opened"]
    tick(router, REPEAT_INTERVAL)
    assert [kind for kind, _, _ in router.outbox()] == ["opened", "updated"]


def test_news_that_is_muted_is_no_news_to_those_who_know_the_incident(router: Router, silences: Silences) -> None:
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router, GROUP_WAIT + GROUP_INTERVAL)
    mute(router, silences, 'alertname="DiskFilling"')
    router.fire(alert("DiskFilling", router.clock.now(), system="erp", severity="critical"))
    tick(router)
    assert [kind for kind, _, _ in router.outbox()] == ["opened"]
    assert "silenced" not in router.kinds()


def test_an_alert_that_no_silence_matches_makes_a_quiet_incident_speak(router: Router, silences: Silences) -> None:
    mute(router, silences, 'alertname="SyncStale"')
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router)
    assert router.outbox() == []
    router.fire(alert("DiskFilling", router.clock.now(), system="erp"))
    tick(router)
    assert router.outbox() == [("opened", "inbox", "pending")]


def test_what_ends_while_it_is_silenced_is_never_told(router: Router, silences: Silences) -> None:
    mute(router, silences)
    begun = router.clock.now()
    router.fire(alert("SyncStale", begun, system="erp"))
    tick(router, timedelta(minutes=1))
    router.fire(alert("SyncStale", begun, ends_at=router.clock.now(), system="erp"))
    tick(router, SILENCED)
    assert router.incident().state is IncidentState.RESOLVED
    assert router.outbox() == []


def test_a_silence_that_matches_something_else_changes_nothing(router: Router, silences: Silences) -> None:
    mute(router, silences, 'system="pos"')
    router.fire(alert("SyncStale", router.clock.now(), system="erp"))
    tick(router)
    assert router.outbox() == [("opened", "inbox", "pending")]
    assert "silenced" not in router.kinds()
