"""What comes and goes all the time is one incident that people are told of once, not a message every minute."""

from datetime import timedelta

from tests.support.incidents import Router, alert

from tillwatch.incident.state import FLAP_HOLD, FLAP_WINDOW, FLAPS
from tillwatch.model.incident import IncidentState

MINUTE = timedelta(minutes=1)


def wait(router: Router, time: timedelta) -> None:
    router.clock.advance(time.total_seconds())
    router.desk.tick(router.clock.now())


def comes(router: Router) -> None:
    router.fire(alert("InterfaceDown", router.clock.now(), system="erp", severity="critical"))


def goes(router: Router) -> None:
    now = router.clock.now()
    router.fire(alert("InterfaceDown", now, ends_at=now, system="erp", severity="critical"))


def flap(router: Router, times: int) -> None:
    for _ in range(times):
        comes(router)
        wait(router, MINUTE)
        goes(router)
        wait(router, MINUTE)


def test_a_few_short_troubles_are_incidents_of_their_own(router: Router) -> None:
    flap(router, FLAPS - 1)
    assert [one.state for one in router.incidents()] == [IncidentState.RESOLVED] * (FLAPS - 1)


def test_what_keeps_coming_back_stays_one_open_incident(router: Router) -> None:
    flap(router, FLAPS + 6)
    found = router.incidents()
    assert len(found) == FLAPS
    assert found[-1].state is IncidentState.OPEN
    kinds = router.kinds(found[-1].id)
    assert kinds.count("flapping") == 7
    assert [kind for kind, *_ in router.outbox(found[-1].id)].count("opened") == 1
    assert "updated" not in [kind for kind, *_ in router.outbox(found[-1].id)]


def test_it_is_over_once_it_has_been_quiet_for_long_enough(router: Router) -> None:
    flap(router, FLAPS)
    held = router.incidents()[-1].id
    wait(router, FLAP_HOLD - MINUTE - timedelta(seconds=1))
    assert router.incident(held).state is IncidentState.OPEN
    wait(router, timedelta(seconds=1))
    assert router.incident(held).state is IncidentState.RESOLVED
    assert "resolved" in [kind for kind, *_ in router.outbox(held)]


def test_coming_back_during_the_hold_begins_it_anew(router: Router) -> None:
    flap(router, FLAPS)
    held = router.incidents()[-1].id
    wait(router, FLAP_HOLD - 2 * MINUTE)
    comes(router)
    wait(router, FLAP_HOLD)
    assert router.incident(held).settles_at is None
    goes(router)
    wait(router, FLAP_HOLD - timedelta(seconds=1))
    assert router.incident(held).state is IncidentState.OPEN
    wait(router, timedelta(seconds=1))
    assert router.incident(held).state is IncidentState.RESOLVED


def test_a_person_need_not_wait(router: Router) -> None:
    flap(router, FLAPS)
    held = router.incidents()[-1].id
    router.desk.resolve(held, "li", "the switch was replaced")
    assert router.incident(held).state is IncidentState.RESOLVED


def test_after_a_quiet_half_hour_an_end_is_believed_at_once(router: Router) -> None:
    flap(router, FLAPS)
    wait(router, FLAP_WINDOW)
    flap(router, 1)
    assert router.incidents()[-1].state is IncidentState.RESOLVED


def test_nobody_is_reminded_of_what_is_over_for_now(router: Router) -> None:
    flap(router, FLAPS)
    held = router.incidents()[-1].id
    before = len(router.outbox(held))
    router.clock.advance((FLAP_HOLD - MINUTE - timedelta(seconds=1)).total_seconds())
    router.desk.tick(router.clock.now())
    assert len(router.outbox(held)) == before
