"""Who was told and who is next, read off an incident's state: the same answer the machine will act on."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.incidents import GROUP_WAIT, Router, alert
from tests.support.people import people

from tillwatch.config.schema import Calendar, Receiver
from tillwatch.incident.explain import Explanation, Kind, Quiet, explain
from tillwatch.oncall.duty import Duty
from tillwatch.store.db import Database

MINUTES = timedelta(minutes=1)
Make = Callable[..., Router]


@pytest.fixture
def climbing(sqlite_database: Database, make_router: Make) -> Router:
    router = make_router(sqlite_database, people())
    router.fire(alert("InterfaceDown", router.clock.now(), system="erp", site="hq", severity="critical"))
    return router


def explained(router: Router) -> Explanation:
    return explain(router.incident(), Duty.of(router.config), router.clock.now())


def escalated(router: Router) -> list[tuple[str, str]]:
    return [(channel, person) for kind, channel, person in router.told() if kind == "escalated"]


def at(router: Router, span: timedelta) -> None:
    router.clock.advance(span.total_seconds())
    router.desk.tick(router.clock.now())


def test_before_the_opening_leaves_nobody_has_heard_and_the_opening_is_next(climbing: Router) -> None:
    found = explained(climbing)
    assert (found.heard, found.quiet) == ((), None)
    assert [(one.kind, one.person) for one in found.coming[:2]] == [(Kind.OPENING, ""), (Kind.OPENING, "li")]


def test_what_is_said_to_come_next_is_what_happens(climbing: Router) -> None:
    at(climbing, GROUP_WAIT)
    for _ in range(4):
        ahead = next(one for one in explained(climbing).coming if one.kind is Kind.STEP)
        told = len(escalated(climbing))
        climbing.clock.advance((ahead.at - climbing.clock.now()).total_seconds() - 1)
        climbing.desk.tick(climbing.clock.now())
        assert len(escalated(climbing)) == told
        at(climbing, timedelta(seconds=1))
        assert escalated(climbing)[told:] == [(channel, ahead.person) for channel in ahead.channels]


def test_an_acknowledgement_is_the_reason_for_silence_and_its_end_is_ahead(climbing: Router) -> None:
    at(climbing, MINUTES)
    climbing.desk.acknowledge(1, "li", lasting=60 * MINUTES)
    found = explained(climbing)
    assert found.quiet is Quiet.ACKNOWLEDGED
    assert [(one.kind, one.at - climbing.clock.now()) for one in found.coming] == [
        (Kind.ACKNOWLEDGEMENT_OVER, 60 * MINUTES)
    ]
    assert {(one.person, one.channels) for one in found.heard} == {("", ("group",)), ("li", ("li-phone",))}


def test_during_a_snooze_what_would_have_come_waits_for_its_end(climbing: Router) -> None:
    at(climbing, MINUTES)
    climbing.desk.snooze(1, "li", 60 * MINUTES)
    found = explained(climbing)
    assert found.quiet is Quiet.SNOOZED
    assert [one.at - climbing.clock.now() for one in found.coming][:2] == [60 * MINUTES, 60 * MINUTES]


def test_a_reminder_names_whoever_will_be_on_call_then(sqlite_database: Database, make_router: Make) -> None:
    config = people()
    oncall = Receiver(id="oncall", channels=("group",), oncall="primary")
    router = make_router(sqlite_database, replace(config, receivers=(config.receivers[0], oncall, config.receivers[2])))
    router.fire(alert("InterfaceDown", router.clock.now(), system="erp", site="hq", severity="critical"))
    at(router, 22 * 60 * MINUTES - 5 * MINUTES)
    [ahead] = explained(router).coming
    assert (ahead.kind, ahead.person, ahead.channels) == (Kind.REMINDER, "wang", ("group",))


def test_what_waits_for_the_morning_says_so(sqlite_database: Database, make_router: Make) -> None:
    router = make_router(sqlite_database, replace(people(), calendar=Calendar(quiet_hours="22:00-08:00")))
    router.clock.advance(12 * 60 * 60)
    router.fire(alert("SyncStale", router.clock.now(), interface="stock-chaoyang", site="chaoyang"))
    [ahead] = explained(router).coming
    assert (ahead.kind, ahead.held) == (Kind.OPENING, True)
    assert explained(router).document()["next"][0]["held"] == "quiet_hours"


def test_nobody_is_left_to_tell_when_no_receiver_has_a_channel(sqlite_database: Database, make_router: Make) -> None:
    config = people()
    mute = tuple(one.model_copy(update={"channels": (), "escalation": ""}) for one in config.receivers)
    router = make_router(sqlite_database, replace(config, receivers=mute))
    router.fire(alert("InterfaceDown", router.clock.now(), system="erp", site="hq", severity="critical"))
    assert explained(router) == Explanation(heard=(), coming=(), quiet=Quiet.NOBODY)


def test_the_document_holds_nothing_but_json(climbing: Router) -> None:
    at(climbing, GROUP_WAIT)
    document: dict[str, Any] = explained(climbing).document()
    assert document["told"][1]["by"] == "escalation"
    assert {one["kind"] for one in document["next"]} == {"step", "reminder"}
    assert document["next"][0] == {
        "at": (climbing.clock.now() + 10 * MINUTES).isoformat(),
        "kind": "step",
        "receiver": "oncall",
        "person": "boss",
        "channels": ["boss-phone"],
        "policy": "default",
        "step": 2,
        "target": "person:boss",
        "why": "not_acknowledged",
        "held": "",
    }
