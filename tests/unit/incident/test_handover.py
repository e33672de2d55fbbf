"""The digest at a hand-over: told once to whoever takes over, with what is open."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.incidents import Router, alert
from tests.support.people import people

from tillwatch.config.schema import Receiver
from tillwatch.incident.handover import LATE, Handovers
from tillwatch.model.notice import DeliveryRecord, NoticeKind
from tillwatch.store import outbox
from tillwatch.store.db import Database

Make = Callable[..., Router]
#: It is 11:00 in Shanghai; wang takes over from li at 09:00 tomorrow.
UNTIL_HANDOVER = timedelta(hours=22)


@pytest.fixture
def router(sqlite_database: Database, make_router: Make) -> Router:
    config = people()
    oncall = Receiver(id="oncall", channels=("group",), oncall="primary")
    return make_router(sqlite_database, replace(config, receivers=(config.receivers[0], oncall, config.receivers[2])))


def digests(router: Router) -> list[DeliveryRecord]:
    with router.database.read() as connection:
        found = outbox.latest(connection, 100)
    return [one for one in reversed(found) if one.kind is NoticeKind.MESSAGE]


def test_whoever_takes_over_hears_what_is_open_and_who_is_on_it(router: Router) -> None:
    now = router.clock.now()
    router.fire(alert("InterfaceDown", now, system="erp", site="hq", severity="critical", summary="no answer"))
    router.fire(alert("HostSaturated", now, system="hq-server", site="hq", summary="late"))
    router.desk.acknowledge(2, "li")
    handovers = Handovers(router.config, database=router.database)
    assert handovers.tick(now) == 0
    router.clock.advance(UNTIL_HANDOVER.total_seconds())
    assert handovers.tick(router.clock.now()) == 1
    [digest] = digests(router)
    assert (digest.person, digest.channel) == ("wang", "group")
    assert digest.text["en"].splitlines() == [
        "On-call hand-over, primary: Wang Wei takes over from Li Na",
        "Until 2026-11-26 09:00",
        "Open incidents: 2",
        "- #1 no answer (11-24 11:00, nobody is on it)",
        "- #2 late (11-24 11:00, acknowledged by li)",
        "http://127.0.0.1:8080/incidents",
    ]
    assert digest.text["zh"].startswith("值班交接（primary）：王伟 接替 李娜\n")


def test_any_number_of_processes_and_looks_tell_it_once(router: Router) -> None:
    router.clock.advance(UNTIL_HANDOVER.total_seconds())
    for _ in range(2):
        handovers = Handovers(router.config, database=router.database)
        for _ in range(3):
            handovers.tick(router.clock.now())
            router.clock.advance(60)
    assert len(digests(router)) == 1
    assert "Nothing is open." in digests(router)[0].text["en"]


def test_a_hand_over_that_was_long_ago_is_not_told_any_more(router: Router) -> None:
    router.clock.advance((UNTIL_HANDOVER + LATE).total_seconds() + 1)
    assert Handovers(router.config, database=router.database).tick(router.clock.now()) == 0


def test_a_process_that_runs_for_days_tells_every_hand_over(router: Router) -> None:
    handovers = Handovers(router.config, database=router.database)
    for _ in range(4 * 24 * 6):
        router.clock.advance(600)
        handovers.tick(router.clock.now())
    assert [one.person for one in digests(router)] == ["wang", "li", "wang", "li"]
