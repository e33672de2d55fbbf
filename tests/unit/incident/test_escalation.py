"""From an alert through the person on call to the last step of a policy, and what stops it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta

import pytest
from tests.support.incidents import GROUP_WAIT, REPEAT_INTERVAL, Router, alert
from tests.support.people import people

from tillwatch.clock import ManualClock
from tillwatch.config.schema import Calendar, Receiver
from tillwatch.errors import RefusedError, UsageError
from tillwatch.incident.desk import IncidentDesk
from tillwatch.model.incident import IncidentState
from tillwatch.store import incidents as store
from tillwatch.store.db import Database

MINUTES = timedelta(minutes=1)
CRITICAL = {"system": "erp", "site": "hq", "severity": "critical"}
Make = Callable[..., Router]


@pytest.fixture
def climbing(sqlite_database: Database, make_router: Make) -> Router:
    return make_router(sqlite_database, people())


def break_down(router: Router, **labels: str) -> None:
    router.fire(alert("InterfaceDown", router.clock.now(), **{**CRITICAL, **labels}))


def passes(router: Router, span: timedelta) -> None:
    """Time goes by with a look every minute, as the server's loop does every second."""
    end = router.clock.now() + span
    while router.clock.now() < end:
        router.clock.advance(min(MINUTES, end - router.clock.now()).total_seconds())
        router.desk.tick(router.clock.now())


def facts(router: Router, kind: str) -> list[dict[str, object]]:
    with router.database.read() as connection:
        return [dict(one.data) for one in store.timeline(connection, 1) if one.kind == kind]


def test_the_first_step_goes_out_with_the_opening_and_the_next_ones_after_their_waits(climbing: Router) -> None:
    break_down(climbing)
    opening = [("opened", "group", ""), ("opened", "li-phone", "li")]
    assert climbing.told() == opening
    passes(climbing, GROUP_WAIT + 10 * MINUTES)
    assert climbing.told() == [*opening, ("escalated", "boss-phone", "boss")]
    passes(climbing, 10 * MINUTES)
    assert climbing.told()[3:] == [("escalated", "vendor-mail", "")]
    reasons = [(one["step"], one["target"], one["person"], one["reason"]) for one in facts(climbing, "escalated")]
    assert reasons == [
        (1, "rota:primary", "li", "begins"),
        (2, "person:boss", "boss", "not_acknowledged"),
        (3, "receiver:vendor", "", "not_acknowledged"),
    ]


def test_after_the_last_round_the_last_step_goes_on_at_the_routes_interval(climbing: Router) -> None:
    break_down(climbing)
    passes(climbing, GROUP_WAIT + 40 * MINUTES + REPEAT_INTERVAL)
    assert climbing.told().count(("escalated", "vendor-mail", "")) == 3
    [one] = climbing.incident().climbs
    assert one.next_at is not None and one.next_at > climbing.clock.now()


def test_an_acknowledgement_stops_it_and_giving_back_goes_on_where_it_stood(climbing: Router) -> None:
    break_down(climbing)
    passes(climbing, 5 * MINUTES)
    climbing.desk.acknowledge(1, "li")
    passes(climbing, 60 * MINUTES)
    assert len(climbing.told()) == 2
    climbing.desk.unacknowledge(1, "li", "has to leave")
    climbing.desk.tick(climbing.clock.now())
    assert climbing.told()[2:] == [("escalated", "boss-phone", "boss")]
    assert climbing.incident().state is IncidentState.OPEN


def test_an_acknowledgement_for_a_while_runs_out_by_itself(climbing: Router) -> None:
    break_down(climbing)
    climbing.desk.acknowledge(1, "li", lasting=30 * MINUTES)
    passes(climbing, 29 * MINUTES)
    assert (climbing.incident().state, len(climbing.told())) == (IncidentState.ACKNOWLEDGED, 2)
    passes(climbing, MINUTES)
    assert climbing.incident().state is IncidentState.OPEN
    assert climbing.told()[2:] == [("escalated", "boss-phone", "boss")]
    assert facts(climbing, "acknowledgement_over") == [{"by": "li"}]


def test_a_snooze_is_quiet_until_it_ends_or_the_severity_rises(climbing: Router) -> None:
    break_down(climbing)
    passes(climbing, MINUTES)
    climbing.desk.snooze(1, "li", 60 * MINUTES, "wait for the carrier")
    passes(climbing, 59 * MINUTES)
    assert len(climbing.told()) == 2
    passes(climbing, MINUTES)
    assert climbing.told()[2:] == [("escalated", "boss-phone", "boss")]


def test_a_raised_severity_breaks_a_snooze(climbing: Router) -> None:
    break_down(climbing, severity="warning")
    passes(climbing, MINUTES)
    climbing.desk.snooze(1, "li", 60 * MINUTES)
    break_down(climbing, severity="critical", probe="other")
    assert climbing.incident().snoozed_until is None
    assert ("opened", "li-phone", "li") in climbing.told()


def test_orders_that_make_no_sense_are_refused(climbing: Router) -> None:
    break_down(climbing)
    with pytest.raises(RefusedError, match="not acknowledged"):
        climbing.desk.unacknowledge(1, "li")
    with pytest.raises(UsageError, match="more than 7 days"):
        climbing.desk.acknowledge(1, "li", lasting=timedelta(days=8))
    with pytest.raises(UsageError, match="passed already"):
        climbing.desk.snooze(1, "li", timedelta(0))
    climbing.desk.acknowledge(1, "li")
    with pytest.raises(RefusedError, match="quiet already"):
        climbing.desk.snooze(1, "li", MINUTES)


def test_the_end_is_told_once_to_everybody_who_was_told(climbing: Router) -> None:
    began = climbing.clock.now()
    break_down(climbing)
    passes(climbing, GROUP_WAIT + 10 * MINUTES)
    climbing.fire(alert("InterfaceDown", began, ends_at=climbing.clock.now(), **CRITICAL))
    ends = [one for one in climbing.told() if one[0] == "resolved"]
    assert ends == [("resolved", "group", ""), ("resolved", "li-phone", "li"), ("resolved", "boss-phone", "boss")]
    count = len(climbing.told())
    passes(climbing, 60 * MINUTES)
    assert len(climbing.told()) == count


def test_a_blip_wakes_nobody(climbing: Router) -> None:
    began = climbing.clock.now()
    break_down(climbing)
    climbing.clock.advance(2)
    climbing.fire(alert("InterfaceDown", began, ends_at=climbing.clock.now(), **CRITICAL))
    assert climbing.told() == []


def test_a_step_that_reaches_nobody_is_not_waited_for(sqlite_database: Database, make_router: Make) -> None:
    config = people()
    before_the_rota = config.rotas[0].model_copy(
        update={"rotations": (config.rotas[0].rotations[0].model_copy(update={"start": date(2027, 1, 1)}),)}
    )
    silent = Receiver(id="oncall", escalation="default")
    receivers = (config.receivers[0], silent, config.receivers[2])
    router = make_router(sqlite_database, replace(config, rotas=(before_the_rota,), receivers=receivers))
    break_down(router)
    assert router.told() == [("opened", "boss-phone", "boss")]
    [vain] = facts(router, "step_in_vain")
    assert (vain["target"], vain["turn"]) == ("rota:primary", "not_begun")


def test_a_receiver_with_a_rota_calls_the_person_on_call_in_its_own_channels_and_in_theirs(
    sqlite_database: Database, make_router: Make
) -> None:
    config = people()
    oncall = Receiver(id="oncall", channels=("group",), oncall="primary")
    router = make_router(sqlite_database, replace(config, receivers=(config.receivers[0], oncall, config.receivers[2])))
    break_down(router)
    assert router.told() == [("opened", "group", "li"), ("opened", "li-phone", "li")]
    passes(router, timedelta(hours=25))
    reminders = [one for one in router.told() if one[0] == "reminder"]
    # From 11:00 every four hours; at the hand-over at 09:00 the turn passes on to wang.
    assert reminders[:4] == [("reminder", "group", "li"), ("reminder", "li-phone", "li")] * 2
    assert reminders[-1] == ("reminder", "group", "wang")


def test_with_nobody_on_call_the_shared_channels_are_told_and_the_gap_is_on_record(
    sqlite_database: Database, make_router: Make
) -> None:
    config = people()
    empty = config.rotas[0].model_copy(
        update={"rotations": (config.rotas[0].rotations[0].model_copy(update={"start": date(2027, 1, 1)}),)}
    )
    oncall = Receiver(id="oncall", channels=("group",), oncall="primary")
    receivers = (config.receivers[0], oncall, config.receivers[2])
    router = make_router(sqlite_database, replace(config, rotas=(empty,), receivers=receivers))
    break_down(router)
    assert router.told() == [("opened", "group", "")]
    [gap] = facts(router, "nobody_oncall")
    assert (gap["rota"], gap["reason"]) == ("primary", "not_begun")


def test_what_is_not_critical_waits_for_the_morning_and_is_told_at_once_when_it_becomes_critical(
    sqlite_database: Database, make_router: Make, clock: ManualClock
) -> None:
    night = replace(people(), calendar=Calendar(quiet_hours="22:00-08:00"))
    router = make_router(sqlite_database, night)
    clock.advance(timedelta(hours=12).total_seconds())  # 23:00 in Shanghai
    break_down(router, severity="warning")
    [entry] = facts(router, "notified")
    assert entry["not_before"] == "2026-11-25T00:00:00+00:00"
    assert (entry["reason"], entry["held"]) == ("first alert, after group_wait", "quiet_hours")
    passes(router, 10 * MINUTES)
    break_down(router, severity="critical", probe="other")
    at = {(one["channels"][0], one["not_before"]) for one in facts(router, "notified")[1:]}  # type: ignore[index]
    soon = (clock.now() + GROUP_WAIT).isoformat()
    assert at == {("inbox", soon), ("group", soon)}
    assert [one[0] for one in router.told()] == ["opened"] * 3


def test_after_a_restart_with_another_policy_an_incident_that_waited_for_nobody_is_told_anew(
    sqlite_database: Database, make_router: Make, clock: ManualClock
) -> None:
    config = people()
    mute = (config.receivers[0], Receiver(id="oncall"), config.receivers[2])
    before = make_router(sqlite_database, replace(config, receivers=mute))
    break_down(before)
    assert before.told() == []
    after = make_router(sqlite_database, config)
    after.desk.tick(clock.now())
    assert after.told() == [("opened", "group", ""), ("opened", "li-phone", "li")]


def test_two_desks_on_one_store_take_one_step_between_them(
    database: Database, make_router: Make, clock: ManualClock
) -> None:
    first, second = make_router(database, people()), make_router(database, people())
    assert isinstance(second.desk, IncidentDesk)
    break_down(first)
    clock.advance((GROUP_WAIT + 10 * MINUTES).total_seconds())
    first.desk.tick(clock.now())
    second.desk.tick(clock.now())
    assert first.told()[2:] == [("escalated", "boss-phone", "boss")]


def test_an_incident_that_another_one_explains_stays_quiet_when_it_is_given_back(climbing: Router) -> None:
    climbing.fire(alert("SyncStale", climbing.clock.now(), interface="orders-chaoyang", site="chaoyang"))
    passes(climbing, MINUTES)
    climbing.desk.acknowledge(1, "li")
    break_down(climbing)
    assert climbing.incident(1).parent == 2
    climbing.desk.unacknowledge(1, "li")
    passes(climbing, REPEAT_INTERVAL)
    assert [one for one in climbing.told(1) if one[0] == "reminder"] == []
    assert all(one.remind_at is None for one in climbing.incident(1).told)
