"""The outbox on both databases: told once, in order, under a lease, and never settled by the wrong worker."""

from datetime import datetime, timedelta

import pytest

from tillwatch.clock import ManualClock
from tillwatch.model.notice import Attempt, DeliveryRecord, DeliveryState, Notice, NoticeKind
from tillwatch.store import outbox, queues
from tillwatch.store.db import Database

LEASE = timedelta(seconds=60)


def notice(now: datetime, **changes: object) -> Notice:
    given = {
        "kind": NoticeKind.OPENED,
        "incident": 1,
        "version": 1,
        "receiver": "ops",
        "channels": ("ops",),
        "not_before": now,
    }
    return Notice(**{**given, **changes})  # type: ignore[arg-type]


def attempt(now: datetime, **changes: object) -> Attempt:
    given = {
        "number": 1,
        "at": now,
        "result": "delivered",
        "code": "200",
        "detail": "ok",
        "seconds": 0.1,
        "possible_repeat": False,
    }
    return Attempt(**{**given, **changes})  # type: ignore[arg-type]


def put(database: Database, *notices: Notice) -> int:
    return database.write(lambda connection: sum(outbox.enqueue(connection, one) for one in notices))


def take(database: Database, clock: ManualClock, owner: str = "a", **options: object) -> list[DeliveryRecord]:
    now = clock.now()
    return database.write(lambda connection: outbox.claim(connection, owner, now, LEASE, 10, **options))  # type: ignore[arg-type]


def the(database: Database, id: int) -> DeliveryRecord:
    with database.read() as connection:
        return outbox.get(connection, id)


def test_a_notice_is_one_row_per_channel_however_often_it_is_enqueued(database: Database, clock: ManualClock) -> None:
    one = notice(clock.now(), channels=("ops", "mail", "ops"))
    assert put(database, one) == 2
    assert put(database, one) == 0
    with database.read() as connection:
        found = outbox.deliveries(connection, 1)
    assert [(row.channel, row.key) for row in found] == [("ops", "1:opened:1:ops"), ("mail", "1:opened:1:mail")]


def test_reminders_and_messages_have_keys_of_their_own(clock: ManualClock) -> None:
    now = clock.now()
    assert notice(now, kind=NoticeKind.REMINDER, repeat=2).key("ops") == "1:reminder:1:2:ops"
    said = notice(now, kind=NoticeKind.MESSAGE, incident=None, origin="run:7:tell-shop")
    assert said.key("ops") == "run:7:tell-shop:ops"


def test_nothing_is_claimed_before_its_time(database: Database, clock: ManualClock) -> None:
    put(database, notice(clock.now() + timedelta(seconds=5)))
    assert take(database, clock) == []
    clock.advance(5)
    assert [row.state for row in take(database, clock)] == [DeliveryState.SENDING]


def test_a_claimed_message_is_nobody_elses_until_its_lease_ends(database: Database, clock: ManualClock) -> None:
    put(database, notice(clock.now()))
    (first,) = take(database, clock, "a")
    assert database.write(lambda c: outbox.begin(c, first, {}))
    clock.advance(59)
    assert take(database, clock, "b") == []
    clock.advance(1)
    again = take(database, clock, "b")
    assert [(row.epoch, row.possible_repeat, row.unknown_results) for row in again] == [(2, True, 1)]


def test_the_log_says_that_a_worker_was_lost(database: Database, clock: ManualClock) -> None:
    put(database, notice(clock.now()))
    (lost,) = take(database, clock, "a")
    database.write(lambda c: outbox.begin(c, lost, {}))
    clock.advance(60)
    (row,) = take(database, clock, "b")
    assert [(one.number, one.result, one.code) for one in row.log] == [(1, "unknown", "worker_lost")]


def test_a_worker_lost_before_its_send_began_has_certainly_sent_nothing(database: Database, clock: ManualClock) -> None:
    put(database, notice(clock.now()))
    take(database, clock, "a")
    clock.advance(60)
    assert [(row.possible_repeat, row.unknown_results, row.log) for row in take(database, clock, "b")] == [
        (False, 0, ())
    ]


def test_a_clock_that_went_back_keeps_nothing_waiting(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    put(database, notice(now), notice(now, incident=2))
    first, second = take(database, clock, per_channel=2)
    database.write(lambda c: outbox.begin(c, first, {}))
    database.write(lambda c: outbox.retry(c, second, attempt(now), "a", now + timedelta(seconds=5), in_doubt=False))
    clock.jump(-3600)
    assert [(row.incident, row.possible_repeat) for row in take(database, clock, "b", per_channel=2)] == [
        (1, True),
        (2, False),
    ]


def test_a_worker_whose_lease_was_taken_over_settles_nothing(database: Database, clock: ManualClock) -> None:
    put(database, notice(clock.now()))
    (late,) = take(database, clock, "a")
    clock.advance(61)
    (current,) = take(database, clock, "b")
    now = clock.now()
    assert not database.write(lambda c: outbox.delivered(c, late, attempt(now), "a"))
    assert not database.write(lambda c: outbox.retry(c, late, attempt(now), "a", now, in_doubt=False))
    assert not database.write(lambda c: outbox.begin(c, late, {"title": "late"}))
    assert not database.write(lambda c: outbox.release(c, late))
    assert the(database, late.id).state is DeliveryState.SENDING
    assert database.write(lambda c: outbox.delivered(c, current, attempt(now), "b"))
    # What the late worker did happened all the same, so the log has it.
    assert [one.result for one in the(database, late.id).log] == ["delivered", "delivered", "delivered"]


def test_resolved_waits_for_opened_on_the_same_channel_only(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    put(
        database,
        notice(now, channels=("ops", "mail")),
        notice(now, kind=NoticeKind.RESOLVED, version=2, channels=("ops", "mail")),
    )
    first = take(database, clock, per_channel=5)
    assert [(row.channel, row.kind) for row in first] == [("ops", "opened"), ("mail", "opened")]
    database.write(lambda c: outbox.delivered(c, first[0], attempt(now), "a"))
    database.write(lambda c: outbox.retry(c, first[1], attempt(now), "a", now + timedelta(hours=1), in_doubt=False))
    assert [(row.channel, row.kind) for row in take(database, clock, per_channel=5)] == [("ops", "resolved")]


def test_messages_about_nothing_do_not_wait_for_each_other(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    said = [notice(now, kind=NoticeKind.MESSAGE, incident=None, origin=f"run:{n}") for n in range(3)]
    put(database, *said)
    assert len(take(database, clock, per_channel=5)) == 3


def test_a_busy_channel_and_a_long_queue_hold_up_nobody_else(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    put(database, *[notice(now, incident=n, channels=("ops",)) for n in range(1, 8)])
    put(database, notice(now, incident=9, channels=("mail",)))
    assert [row.channel for row in take(database, clock, per_channel=2)] == ["ops", "ops", "mail"]
    assert take(database, clock, busy={"ops"}) == []


def test_a_critical_message_does_not_queue_behind_a_storm(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    put(database, *[notice(now, incident=n, priority=1) for n in range(1, 30)])
    put(database, notice(now + timedelta(seconds=1), incident=99, priority=0))
    clock.advance(1)
    assert [row.incident for row in take(database, clock, per_channel=3)] == [99, 1, 2]


def test_only_what_nobody_began_to_send_can_be_cancelled(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    put(
        database,
        notice(now),
        notice(now, incident=2),
        notice(now + timedelta(seconds=9), kind=NoticeKind.UPDATED, version=2),
    )
    take(database, clock)
    cancelled = database.write(lambda c: outbox.cancel_pending(c, 1, NoticeKind.UPDATED))
    assert cancelled == 1
    assert database.write(lambda c: outbox.cancel_pending(c, 1)) == 0
    with database.read() as connection:
        assert [row.state for row in outbox.deliveries(connection, 1)] == [
            DeliveryState.SENDING,
            DeliveryState.CANCELLED,
        ]


def test_the_oldest_due_message_and_the_number_of_open_ones_are_known(database: Database, clock: ManualClock) -> None:
    now = clock.now()
    put(database, notice(now, incident=1), notice(now + timedelta(hours=1), incident=2))
    with database.read() as connection:
        assert (outbox.oldest_due(connection, now), outbox.pending(connection)) == (now, 2)
    (row,) = take(database, clock)
    database.write(lambda c: outbox.delivered(c, row, attempt(now), "a"))
    with database.read() as connection:
        assert (outbox.oldest_due(connection, now), outbox.pending(connection)) == (None, 1)


def test_the_delivery_log_is_newest_first_and_pages(database: Database, clock: ManualClock) -> None:
    put(database, *[notice(clock.now(), incident=n) for n in range(1, 6)])
    with database.read() as connection:
        first = outbox.latest(connection, 2)
        then = outbox.latest(connection, 2, before=first[-1].id)
    assert [row.incident for row in first + then] == [5, 4, 3, 2]


def test_an_unknown_delivery_says_so(database: Database) -> None:
    with database.read() as connection, pytest.raises(LookupError, match="no delivery 7"):
        outbox.get(connection, 7)


def test_the_messages_of_a_sender_that_is_gone_need_not_wait_for_its_lease(
    database: Database, clock: ManualClock
) -> None:
    put(database, notice(clock.now()))
    [taken] = take(database, clock, "dead")
    database.write(lambda connection: outbox.begin(connection, taken))
    assert take(database, clock, "me") == []
    now = clock.now()
    assert database.write(lambda connection: queues.release(connection, lambda owner: owner == "other", now)) == 0
    assert database.write(lambda connection: queues.release(connection, lambda owner: owner == "dead", now)) == 1
    [again] = take(database, clock, "me")
    assert (again.key, again.possible_repeat) == (taken.key, True)
