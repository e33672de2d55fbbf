"""What is audited about ourselves: an incident nobody will hear of, one that is overdue, a message that does not leave."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.incidents import Router, alert
from tests.support.people import people

from tillwatch.incident.invariants import (
    CHECK_SECONDS,
    LEASE,
    OUTBOX_BOUND,
    OVERDUE_AFTER,
    TELL_AGAIN,
    Invariant,
    InvariantAuditor,
)
from tillwatch.metrics import Metrics
from tillwatch.model.notice import Attempt
from tillwatch.store import outbox
from tillwatch.store.db import Database

Make = Callable[..., Router]


class Auditing:
    """An auditor whose messages are kept instead of sent; `refusing` channels take none."""

    def __init__(self, router: Router, owner: str = "one", refusing: tuple[str, ...] = ()) -> None:
        self.sent: list[tuple[str, str]] = []
        self.metrics = Metrics()
        self.refusing = refusing
        self.auditor = InvariantAuditor(
            router.database,
            clock=router.clock,
            metrics=self.metrics,
            owner=owner,
            channels=[channel.id for channel in router.config.channels],
            send=self.send,
        )

    def send(self, channel: str, text: Mapping[str, str], key: str) -> bool:
        assert key.startswith("invariant:")
        if channel in self.refusing:
            return False
        self.sent.append((channel, text["en"]))
        return True

    def round(self) -> list[Invariant]:
        return [breach.invariant for breach in self.auditor.round()]


def break_down(router: Router) -> None:
    router.fire(alert("InterfaceDown", router.clock.now(), system="erp", site="hq", severity="critical"))


def passes(router: Router, span: timedelta) -> None:
    router.clock.advance(span.total_seconds())


def deliver_everything(router: Router) -> None:
    now = router.clock.now()
    done = Attempt(number=1, at=now, result="delivered", code="", detail="", seconds=0.0, possible_repeat=False)
    for record in router.database.write(lambda c: outbox.claim(c, "w", now, timedelta(minutes=1), 99, per_channel=9)):
        router.database.write(lambda c, record=record: outbox.delivered(c, record, done, "w"))  # type: ignore[misc]


def test_a_sound_night_breaches_nothing(router: Router) -> None:
    watch = Auditing(router)
    break_down(router)
    passes(router, timedelta(minutes=1))
    deliver_everything(router)
    assert watch.round() == []
    assert watch.metrics.value("tillwatch_invariant_breaches", invariant="outbox_age") == 0
    assert watch.sent == []


def test_an_incident_nobody_will_hear_of_is_found_and_told_once_an_hour(
    sqlite_database: Database, make_router: Make
) -> None:
    config = people()
    mute = tuple(one.model_copy(update={"channels": (), "escalation": ""}) for one in config.receivers)
    router = make_router(sqlite_database, replace(config, receivers=mute))
    watch = Auditing(router)
    break_down(router)
    for _ in range(3):
        passes(router, timedelta(seconds=CHECK_SECONDS))
        assert watch.round() == [Invariant.FORGOTTEN]
    assert watch.sent == [("inbox", "nobody will hear again of #1")]
    assert watch.metrics.value("tillwatch_invariant_breaches", invariant="forgotten_incident") == 1
    passes(router, TELL_AGAIN)
    watch.round()
    assert len(watch.sent) == 2


@pytest.mark.parametrize("quiet", ["acknowledged", "snoozed"])
def test_an_incident_somebody_has_seen_to_breaches_nothing(router: Router, quiet: str) -> None:
    watch = Auditing(router)
    break_down(router)
    passes(router, timedelta(minutes=1))
    deliver_everything(router)
    if quiet == "acknowledged":
        router.desk.acknowledge(1, "li")
    else:
        router.desk.snooze(1, "li", timedelta(hours=8))
    passes(router, timedelta(hours=5))
    assert watch.round() == []


def test_a_reminder_whose_time_has_passed_long_ago_means_that_the_loop_does_not_run(router: Router) -> None:
    watch = Auditing(router)
    break_down(router)
    passes(router, timedelta(minutes=1))
    deliver_everything(router)
    passes(router, timedelta(hours=4) + OVERDUE_AFTER)
    assert watch.round() == [Invariant.OVERDUE]
    router.desk.tick(router.clock.now())
    assert watch.round() == []


def test_messages_that_do_not_leave_are_told_through_another_channel(router: Router) -> None:
    watch = Auditing(router)
    break_down(router)
    passes(router, OUTBOX_BOUND + timedelta(minutes=1))
    assert watch.round() == [Invariant.OUTBOX]
    # The message waits on `phone`; `inbox` is the other one.
    assert watch.sent == [("inbox", "messages have been waiting for more than 5 min on: phone")]


def test_a_channel_that_refuses_again_and_again_is_stuck_although_every_retry_is_recent(router: Router) -> None:
    watch = Auditing(router)
    break_down(router)
    passes(router, timedelta(seconds=10))
    for number in range(1, 5):
        now = router.clock.now()
        [record] = router.database.write(lambda c, now=now: outbox.claim(c, "w", now, timedelta(minutes=1), 9))  # type: ignore[misc]
        said = Attempt(number=number, at=now, result="retry", code="503", detail="", seconds=0.0, possible_repeat=False)
        again = now + timedelta(minutes=2)
        router.database.write(
            lambda c, record=record, said=said, again=again: outbox.retry(c, record, said, "w", again, in_doubt=False)  # type: ignore[misc]
        )
        passes(router, timedelta(minutes=2))
    assert watch.round() == [Invariant.OUTBOX]


def test_when_every_other_channel_refuses_the_one_in_trouble_is_the_last_way(router: Router) -> None:
    watch = Auditing(router, refusing=("inbox",))
    break_down(router)
    passes(router, OUTBOX_BOUND + timedelta(minutes=1))
    watch.round()
    assert [channel for channel, _ in watch.sent] == ["phone"]


def test_of_two_processes_one_looks_and_the_other_takes_over_when_it_is_gone(router: Router) -> None:
    first, second = Auditing(router, "one"), Auditing(router, "two")
    break_down(router)
    passes(router, OUTBOX_BOUND + timedelta(minutes=1))
    assert (first.round(), second.round()) == ([Invariant.OUTBOX], [])
    passes(router, LEASE)
    assert second.round() == [Invariant.OUTBOX]
    assert first.round() == []


def test_what_waited_while_we_were_down_is_no_breach_in_the_first_moments(router: Router) -> None:
    break_down(router)
    passes(router, OUTBOX_BOUND + timedelta(minutes=1))
    assert Auditing(router).round() == []
