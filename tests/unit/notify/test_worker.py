"""The outbox worker: what it sends, when it tries again, when it stops, and what it writes down."""

import dataclasses
import threading
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
from tests.unit.notify.conftest import (
    DELIVERED,
    REJECTED,
    UNKNOWN,
    Desk,
    FakeNotifier,
    again,
    seconds_until,
    until,
)

from tillwatch.clock import ManualClock
from tillwatch.errors import DeliveryError, StoreError
from tillwatch.model.notice import DeliveryRecord, DeliveryState, NoticeKind
from tillwatch.notify.base import Message
from tillwatch.notify.worker import LEASE, MAX_AGE, SEND_MARGIN


def test_a_due_message_is_sent_once_and_written_down(desk: Desk) -> None:
    desk.put()
    worker = desk.worker()
    assert worker.step() == 1
    assert worker.step() == 0
    row = desk.record()
    assert (row.state, row.code, row.attempts, row.possible_repeat) == (DeliveryState.DELIVERED, "200", 1, False)
    assert [(one.result, one.code, one.detail, one.seconds) for one in row.log] == [("delivered", "200", "ok", 0.1)]
    assert desk.channels["ops"].keys == ["1:opened:1:ops"]
    assert desk.ends == [("ops", "delivered")]


def test_a_passing_error_is_tried_again_later_with_the_same_words_and_key(desk: Desk) -> None:
    desk.channels["ops"].answers = [again("503"), again("500"), DELIVERED]
    desk.put()
    worker = desk.worker()
    waits = []
    for _ in range(2):
        worker.step()
        waits.append(seconds_until(desk.record(), desk.clock.now()))
        assert worker.step() == 0
        desk.clock.advance(waits[-1])
    worker.step()
    assert waits == [2.5, 5.0]
    row = desk.record()
    assert (row.state, row.attempts, row.possible_repeat) == (DeliveryState.DELIVERED, 3, False)
    assert [(one.number, one.result, one.code) for one in row.log] == [
        (1, "retry", "503"),
        (2, "retry", "500"),
        (3, "delivered", "200"),
    ]
    assert [message.title for message in desk.channels["ops"].sent] == ["wording 1"] * 3
    assert len(set(desk.channels["ops"].keys)) == 1
    assert desk.worded == [row.id]


def test_a_providers_retry_after_is_never_undercut(desk: Desk) -> None:
    desk.channels["ops"].answers = [again("429", after=120.0)]
    desk.put()
    desk.worker().step()
    assert seconds_until(desk.record(), desk.clock.now()) == 120.0


def test_a_refusal_is_final_and_told(desk: Desk) -> None:
    desk.channels["ops"].answers = [REJECTED]
    desk.put()
    worker = desk.worker()
    worker.step()
    desk.clock.advance(86_000)
    assert worker.step() == 0
    row = desk.record()
    assert (row.state, row.code, row.detail) == (DeliveryState.REJECTED, "404", "no such room")
    assert desk.ends == [("ops", "rejected")]


def test_an_error_that_is_not_retryable_is_a_refusal(desk: Desk) -> None:
    desk.channels["ops"].answers = [DeliveryError("moved", retryable=False, code="url")]
    desk.put()
    desk.worker().step()
    assert (desk.record().state, desk.record().code) == (DeliveryState.REJECTED, "url")


def test_an_unknown_fate_is_repeated_once_marked_and_then_left(desk: Desk) -> None:
    desk.channels["ops"].answers = [UNKNOWN]
    desk.put()
    worker = desk.worker()
    for _ in range(5):
        worker.step()
        desk.clock.advance(600)
    row = desk.record()
    assert (row.state, row.code, row.unknown_results) == (DeliveryState.UNKNOWN, "timeout", 1)
    assert [message.possible_repeat for message in desk.channels["ops"].sent] == [False, True]
    assert desk.ends == [("ops", "unknown")]


def test_a_receiver_that_knows_the_key_is_asked_until_it_answers(desk: Desk) -> None:
    desk.channels["ops"] = FakeNotifier(repeats_when_unknown=1000, answers=[UNKNOWN] * 6 + [DELIVERED])
    desk.put()
    worker = desk.worker()
    for _ in range(7):
        worker.step()
        desk.clock.advance(600)
    assert desk.record().state is DeliveryState.DELIVERED
    assert len(set(desk.channels["ops"].keys)) == 1


def test_a_defect_in_a_notifier_is_an_unknown_fate_and_stops_nobody_else(desk: Desk) -> None:
    desk.channels["ops"].answers = [ZeroDivisionError("oops SECRET")]
    desk.put(channels=("ops", "mail"))
    desk.worker().step()
    assert (desk.record(position=0).state, desk.record(position=0).code) == (DeliveryState.PENDING, "defect")
    assert "SECRET" not in desk.record(position=0).detail
    assert desk.record(position=1).state is DeliveryState.DELIVERED


def test_a_message_that_cannot_be_worded_is_kept_and_tried_again(desk: Desk) -> None:
    def broken(*_: object) -> None:
        raise LookupError("no incident 1")

    desk.put()
    desk.worker(render=broken).step()  # type: ignore[arg-type]
    row = desk.record()
    assert (row.state, row.code, row.detail) == (DeliveryState.PENDING, "wording", "LookupError: no incident 1")
    desk.clock.advance(10)
    desk.worker("b").step()
    assert desk.record().state is DeliveryState.DELIVERED


@pytest.mark.parametrize("store", ["sqlite_database", "postgres_database"])
def test_unstorable_characters_lose_no_message(store: str, request: pytest.FixtureRequest, clock: ManualClock) -> None:
    desk = Desk(database=request.getfixturevalue(store), clock=clock)
    desk.channels["ops"].answers = [DeliveryError("half \ud83d, NUL \0, bell \a", retryable=True, code="500")]

    def word(connection: object, record: DeliveryRecord) -> Message:
        message = desk._render(connection, record)  # type: ignore[arg-type]
        return dataclasses.replace(message, title="店 \ud83d", body="\0", incident={"risk": Decimal("1.50")})

    desk.put()
    worker = desk.worker(render=word)
    worker.step()
    desk.clock.advance(10)
    desk.channels["ops"].answers = [DELIVERED]
    worker.step()
    worker.close()
    first, second = desk.channels["ops"].sent
    assert first == second
    assert (first.title, first.body, first.incident) == ("店 ?", "\0", {"risk": "1.50"})
    assert [one.detail for one in desk.record().log] == ["half , NUL , bell", "ok"]
    assert desk.record().state is DeliveryState.DELIVERED


def test_news_of_yesterday_is_not_sent_but_said_to_be_expired(desk: Desk) -> None:
    desk.channels["ops"].answers = [again("503")]
    desk.put()
    worker = desk.worker()
    worker.step()
    desk.clock.advance(MAX_AGE.total_seconds() + 1)
    worker.step()
    row = desk.record()
    assert (row.state, row.code) == (DeliveryState.REJECTED, "expired")
    assert row.detail == "not delivered within 24 h; last: busy"
    assert len(desk.channels["ops"].sent) == 1
    assert desk.ends == [("ops", "rejected")]


def test_a_channel_that_is_gone_from_the_configuration_is_said_to_be(desk: Desk) -> None:
    desk.put(channels=("gone",))
    desk.worker().step()
    assert (desk.record().state, desk.record().code, desk.record().detail) == (
        DeliveryState.REJECTED,
        "no_channel",
        "unknown channel 'gone'",
    )


def test_opened_arrives_before_resolved_even_when_it_has_to_be_repeated(desk: Desk) -> None:
    desk.channels["ops"].answers = [again(), DELIVERED]
    desk.put()
    desk.put(kind=NoticeKind.RESOLVED, version=2)
    worker = desk.worker()
    for _ in range(4):
        worker.step()
        desk.clock.advance(10)
    assert [message.kind for message in desk.channels["ops"].sent] == ["opened", "opened", "resolved"]


def test_two_workers_never_send_the_same_message(desk: Desk) -> None:
    for number in range(1, 21):
        desk.put(incident=number, channels=("ops", "mail"))
    first, second = desk.worker("a"), desk.worker("b")

    def all_delivered() -> bool:
        first.dispatch(desk.clock.now())
        second.dispatch(desk.clock.now())
        return not not_done(desk)

    until(all_delivered)
    first.step()
    second.step()
    assert sorted(desk.channels["ops"].keys) == sorted(f"{n}:opened:1:ops" for n in range(1, 21))
    assert sorted(desk.channels["mail"].keys) == sorted(f"{n}:opened:1:mail" for n in range(1, 21))


def not_done(desk: Desk) -> bool:
    return any(
        desk.record(n, position).state is not DeliveryState.DELIVERED for n in range(1, 21) for position in (0, 1)
    )


def test_a_hanging_channel_holds_up_only_itself(desk: Desk) -> None:
    release, entered = threading.Event(), threading.Event()

    def hang() -> object:
        entered.set()
        assert release.wait(30)
        return DELIVERED

    desk.channels["ops"].answers = [hang]
    desk.put(channels=("ops",))
    worker = desk.worker()
    worker.dispatch(desk.clock.now())
    assert entered.wait(10)
    desk.put(incident=2, channels=("ops", "mail"))
    assert worker.dispatch(desk.clock.now()) == 1
    until(lambda: desk.record(2, 1).state is DeliveryState.DELIVERED)
    assert desk.record(2, 0).state is DeliveryState.PENDING
    release.set()
    worker.step()
    assert desk.record(1).state is DeliveryState.DELIVERED


def test_no_send_begins_with_too_little_of_the_lease_left(desk: Desk) -> None:
    def slow() -> object:
        desk.clock.advance((LEASE - SEND_MARGIN).total_seconds() + 1)
        return DELIVERED

    desk.channels["ops"].answers = [slow, DELIVERED]
    desk.put(incident=1)
    desk.put(incident=2)
    worker = desk.worker()
    worker.step()
    assert (desk.record(1).state, desk.record(2).state) == (DeliveryState.DELIVERED, DeliveryState.PENDING)
    worker.step()
    row = desk.record(2)
    assert (row.state, row.possible_repeat) == (DeliveryState.DELIVERED, False)


class _Breaking:
    """A store that takes nothing while `broken`."""

    def __init__(self, desk: Desk) -> None:
        self._real = desk.database
        self.broken = False

    def write(self, job: object) -> object:
        if self.broken:
            raise StoreError("the disk is full")
        return self._real.write(job)  # type: ignore[arg-type]

    def read(self) -> object:
        return self._real.read()


def test_a_result_that_cannot_be_stored_is_tried_again_while_the_lease_lasts(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _Breaking(desk)

    def sent_but_full() -> object:
        store.broken = True
        return DELIVERED

    def sleep(seconds: float) -> None:
        desk.clock.advance(seconds)
        store.broken = desk.clock.monotonic() < 10

    monkeypatch.setattr(desk.clock, "sleep", sleep)
    desk.channels["ops"].answers = [sent_but_full]
    desk.put()
    worker = desk.worker()
    worker._database = store  # type: ignore[assignment]
    worker.step()
    assert (desk.record().state, desk.record().possible_repeat) == (DeliveryState.DELIVERED, False)
    assert len(desk.channels["ops"].sent) == 1


def test_a_store_that_is_away_before_the_send_delays_the_message_by_no_lease(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _Breaking(desk)
    desk.put()
    worker = desk.worker()
    worker._database = store  # type: ignore[assignment]
    began = desk.clock.monotonic()
    claim = worker._patiently

    def claimed_then_away(records: Sequence[DeliveryRecord]) -> bool:
        store.broken = True
        return claim(records)

    def sleep(seconds: float) -> None:
        desk.clock.advance(seconds)
        store.broken = desk.clock.monotonic() - began < 8

    monkeypatch.setattr(desk.clock, "sleep", sleep)
    monkeypatch.setattr(worker, "_patiently", claimed_then_away)
    worker.step()
    assert desk.clock.monotonic() - began < 10
    assert (desk.record().state, desk.record().possible_repeat) == (DeliveryState.DELIVERED, False)
    assert [message.possible_repeat for message in desk.channels["ops"].sent] == [False]


def test_a_store_that_stays_away_leaves_no_time_for_the_send_so_nothing_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _Breaking(desk)
    desk.put()
    worker = desk.worker()
    worker._database = store  # type: ignore[assignment]
    began, claim = desk.clock.monotonic(), worker._patiently

    def claimed_then_away(records: Sequence[DeliveryRecord]) -> bool:
        store.broken = True
        return claim(records)

    monkeypatch.setattr(worker, "_patiently", claimed_then_away)
    worker.step()
    assert desk.clock.monotonic() - began <= (LEASE - SEND_MARGIN).total_seconds()
    assert desk.channels["ops"].sent == []


def test_a_worker_that_dies_between_sending_and_writing_causes_one_marked_repeat(desk: Desk) -> None:
    store = _Breaking(desk)

    def sent_then_dead() -> object:
        store.broken = True
        return DELIVERED

    desk.channels["ops"].answers = [sent_then_dead, DELIVERED]
    desk.put()
    dying = desk.worker("dying")
    dying._database = store  # type: ignore[assignment]
    dying.step()
    assert desk.record().state is DeliveryState.SENDING
    heir = desk.worker("heir")
    for _ in range(3):
        desk.clock.advance(LEASE.total_seconds())
        heir.step()
    sent = desk.channels["ops"].sent
    assert [(message.title, message.possible_repeat) for message in sent] == [("wording 1", False), ("wording 1", True)]
    assert len(set(desk.channels["ops"].keys)) == 1
    row = desk.record()
    assert (row.state, row.possible_repeat) == (DeliveryState.DELIVERED, True)
    assert [(one.result, one.code) for one in row.log] == [("unknown", "worker_lost"), ("delivered", "200")]


def test_the_clock_going_back_neither_loses_nor_doubles_a_message(desk: Desk) -> None:
    desk.channels["ops"].answers = [again(), DELIVERED]
    desk.put()
    worker = desk.worker()
    worker.step()
    desk.clock.jump(-3600)
    assert worker.step() == 1
    desk.clock.advance(3700)
    assert worker.step() == 0
    assert (desk.record().state, len(desk.channels["ops"].sent)) == (DeliveryState.DELIVERED, 2)


def test_the_loop_outlives_a_store_that_is_away_and_a_round_that_fails(desk: Desk) -> None:
    store = _Breaking(desk)
    store.broken = True
    worker = desk.worker()
    worker._database = store  # type: ignore[assignment]
    stop = threading.Event()
    thread = threading.Thread(target=worker.loop, args=(stop,))
    thread.start()
    until(lambda: 'tillwatch_loop_errors_total{loop="outbox"} 1.0' in desk.metrics.render().decode())
    desk.put()
    store.broken = False
    until(lambda: desk.record().state is DeliveryState.DELIVERED)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()


def test_results_are_counted_by_channel(desk: Desk) -> None:
    desk.channels["mail"].answers = [REJECTED]
    desk.put(channels=("ops", "mail"))
    desk.worker().step()
    text = desk.metrics.render().decode()
    assert 'tillwatch_notifications_total{channel="ops",result="delivered"} 1.0' in text
    assert 'tillwatch_notifications_total{channel="mail",result="rejected"} 1.0' in text


def test_the_loop_sends_and_says_how_long_the_oldest_message_waits(desk: Desk) -> None:
    desk.put(not_before=desk.clock.now() - timedelta(seconds=90), channels=("mail",))
    desk.channels["mail"].answers = [again("503", after=0.0)]
    stop = threading.Event()
    worker = desk.worker()
    thread = threading.Thread(target=worker.loop, args=(stop,))
    thread.start()
    until(lambda: bool(desk.channels["mail"].sent) and "tillwatch_outbox_pending 1.0" in desk.metrics.render().decode())
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    text = desk.metrics.render().decode()
    assert 'tillwatch_loop_last_success_timestamp_seconds{loop="outbox"}' in text
