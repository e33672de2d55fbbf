"""Buckets, digests, pauses and breakers with a real store and workers: nothing is lost, and nothing waits too long."""

from datetime import timedelta

import pytest
from tests.unit.notify.conftest import DELIVERED, REJECTED, UNKNOWN, Desk, FakeNotifier, again

from tillwatch.errors import DeliveryError
from tillwatch.model.channel import Allowance
from tillwatch.notify.gate import PROBE_AFTER_REFUSAL, PROBE_EVERY
from tillwatch.notify.worker import MAX_AGE, OutboxWorker

ROBOT = Allowance.within(20)
#: A service that is back is noticed within this time, whatever it did before.
RECOVERY_SECONDS = 10.0


def robot(desk: Desk, *answers: object) -> FakeNotifier:
    channel = FakeNotifier(allowance=ROBOT, answers=list(answers) or [DELIVERED])
    desk.channels["ops"] = channel
    return channel


def drain(worker: OutboxWorker) -> int:
    """Everything that may leave at this moment. Returns how many messages were handled."""
    handled = 0
    while count := worker.step():
        handled += count
    return handled


def titles(channel: FakeNotifier) -> list[str]:
    return [message.title for message in channel.sent]


def test_what_fits_the_bucket_leaves_one_by_one(desk: Desk) -> None:
    channel, worker = robot(desk), desk.worker()
    for incident in range(1, 11):
        desk.put(incident=incident)
    assert drain(worker) == 10
    assert len(channel.sent) == 10
    assert not [title for title in titles(channel) if "digest" in title]


def test_when_the_bucket_runs_out_the_rest_leaves_as_one_digest(desk: Desk) -> None:
    channel, worker = robot(desk), desk.worker()
    for incident in range(1, 101):
        desk.put(incident=incident)
    assert drain(worker) == 100
    assert len(channel.sent) == 10
    assert titles(channel)[-1] == "digest of 91"
    assert set(desk.states()) == {"delivered"}
    assert "in one digest of 91 messages" in desk.record(incident=100).detail


def test_what_comes_while_the_bucket_is_empty_waits_for_the_next_token_and_leaves_together(desk: Desk) -> None:
    channel, worker = robot(desk), desk.worker()
    for incident in range(1, 12):
        desk.put(incident=incident)
    drain(worker)
    for incident in range(20, 25):
        desk.put(incident=incident)
    assert drain(worker) == 0
    desk.clock.advance(6)
    assert drain(worker) == 5
    assert titles(channel)[-1] == "digest of 5"


def test_what_is_critical_leaves_first_and_alone(desk: Desk) -> None:
    channel, worker = robot(desk), desk.worker()
    for incident in range(1, 51):
        desk.put(incident=incident, priority=2)
    desk.put(incident=99, priority=0)
    drain(worker)
    assert desk.record(incident=99).detail == DELIVERED.detail
    assert channel.keys[0].startswith("99:")


def test_in_a_digest_an_incident_is_told_once_with_everything_about_it(desk: Desk) -> None:
    channel, worker = robot(desk), desk.worker()
    for incident in range(1, 12):
        desk.put(incident=incident)
    for version in range(2, 5):
        desk.put(incident=11, version=version)
    drain(worker)
    assert set(desk.states()) == {"delivered"}
    assert len(channel.sent) == 10


def test_two_processes_share_one_bucket(desk: Desk) -> None:
    channel = robot(desk)
    workers = [desk.worker("a"), desk.worker("b")]
    for incident in range(1, 41):
        desk.put(incident=incident)
    for _ in range(20):
        for worker in workers:
            worker.step()
    assert len(channel.sent) == ROBOT.burst
    assert set(desk.states()) == {"delivered"}


def test_a_full_bucket_of_one_channel_does_not_hold_up_another(desk: Desk) -> None:
    robot(desk, again("45009", after=60.0))
    worker = desk.worker()
    for incident in range(1, 31):
        desk.put(incident=incident, channels=("ops", "mail"))
    drain(worker)
    assert set(desk.states("mail")) == {"delivered"}
    assert set(desk.states("ops")) == {"pending"}


@pytest.mark.parametrize("asked", [30.0, 120.0])
def test_a_service_that_asks_for_a_pause_gets_it_for_all_its_messages(desk: Desk, asked: float) -> None:
    channel, worker = robot(desk, again("429", after=asked), DELIVERED), desk.worker()
    desk.put()
    drain(worker)
    desk.put(incident=2)
    desk.clock.advance(asked - 1)
    assert drain(worker) == 0
    desk.clock.advance(RECOVERY_SECONDS + 1)
    drain(worker)
    assert set(desk.states()) == {"delivered"}
    assert len(channel.sent) == 3 or titles(channel)[-1] == "digest of 2"


@pytest.mark.parametrize("failure", [again("500"), again("connect"), UNKNOWN, REJECTED], ids=["500", "down", "?", "no"])
def test_a_channel_that_fails_again_and_again_is_left_alone_but_for_probes(desk: Desk, failure: object) -> None:
    channel, worker = robot(desk, failure), desk.worker()
    for incident in range(1, 31):
        desk.put(incident=incident)
    drain(worker)
    tried, wait = len(channel.sent), PROBE_AFTER_REFUSAL if failure is REJECTED else PROBE_EVERY
    assert desk.gate().opened_at is not None
    for _ in range(10):
        desk.clock.advance(wait.total_seconds())
        drain(worker)
    assert len(channel.sent) == tried + 10


def test_while_it_is_open_messages_wait_and_are_not_used_up(desk: Desk) -> None:
    robot(desk, again("500"))
    worker = desk.worker()
    for incident in range(1, 31):
        desk.put(incident=incident)
    for _ in range(20):
        drain(worker)
        desk.clock.advance(300)
    assert set(desk.states()) == {"pending"}


def test_a_failed_digest_is_tried_again_and_nothing_of_it_is_lost(desk: Desk) -> None:
    channel, worker = robot(desk, *[DELIVERED] * 9, again("500"), DELIVERED), desk.worker()
    for incident in range(1, 31):
        desk.put(incident=incident)
    drain(worker)
    assert desk.states().count("pending") == 21
    desk.clock.advance(60)
    drain(worker)
    assert set(desk.states()) == {"delivered"}
    assert sum("digest" in title for title in titles(channel)) in (1, 2)


def test_a_digest_whose_fate_is_unknown_is_repeated_with_a_mark(desk: Desk) -> None:
    channel, worker = robot(desk, *[DELIVERED] * 9, UNKNOWN, DELIVERED), desk.worker()
    for incident in range(1, 51):
        desk.put(incident=incident)
    drain(worker)
    desk.clock.advance(30)
    drain(worker)
    assert set(desk.states()) == {"delivered"}
    assert [message.possible_repeat for message in channel.sent[9:]].count(True) == len(channel.sent) - 10


def test_a_digest_that_cannot_be_worded_holds_nothing_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    channel, worker = robot(desk), desk.worker()

    def broken(*_: object) -> None:
        raise ValueError("no words")

    monkeypatch.setattr(worker, "_digest", broken)
    for incident in range(1, 31):
        desk.put(incident=incident)
    for _ in range(30):
        drain(worker)
        desk.clock.advance(6)
    assert set(desk.states()) == {"delivered"}
    assert len(channel.sent) == 30


FAULTS = {
    "500": again("500"),
    "429 without a time": again("429"),
    "429 with a time": again("429", after=5.0),
    "no connection": again("connect"),
}


@pytest.mark.parametrize("seconds", [12, 40, 300])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_within_ten_seconds_of_the_services_return_everything_has_arrived(
    desk: Desk, fault: DeliveryError, seconds: int
) -> None:
    channel, worker = robot(desk, fault), desk.worker()
    for incident in range(1, 8):
        desk.put(incident=incident, priority=incident % 3)
    # Waiting grows with every try, so the return is looked for at many moments of it.
    for _ in range(seconds):
        drain(worker)
        desk.clock.advance(1)
    assert set(desk.states()) == {"pending"}
    channel.answers = [DELIVERED]
    for _ in range(int(RECOVERY_SECONDS)):
        drain(worker)
        desk.clock.advance(1)
    drain(worker)
    assert set(desk.states()) == {"delivered"}
    assert desk.gate().opened_at is None


@pytest.mark.parametrize("seconds", range(0, 30, 7))
def test_a_channel_that_hung_is_used_again_within_ten_seconds_and_what_waited_arrives(desk: Desk, seconds: int) -> None:
    def hangs() -> object:
        desk.clock.advance(10)
        return UNKNOWN

    channel, worker = robot(desk, hangs), desk.worker()
    for incident in range(1, 31):
        desk.put(incident=incident)
    end = desk.clock.now() + timedelta(seconds=seconds + 60)
    while desk.clock.now() < end:
        worker.step()
        desk.clock.advance(1)
    in_doubt = desk.states().count("unknown")
    channel.answers = [DELIVERED]
    for _ in range(int(RECOVERY_SECONDS)):
        drain(worker)
        desk.clock.advance(1)
    drain(worker)
    # What was tried twice in vain stays in doubt, and is told so; everything else has arrived.
    assert desk.states().count("unknown") == in_doubt
    assert desk.states().count("delivered") == 30 - in_doubt
    assert in_doubt <= 5


def test_after_the_deadline_a_message_is_a_dead_letter_with_the_last_answer(desk: Desk) -> None:
    robot(desk, again("500"))
    worker = desk.worker()
    desk.put()
    drain(worker)
    desk.clock.advance(MAX_AGE.total_seconds() + 60)
    drain(worker)
    record = desk.record()
    assert (record.state.value, record.code) == ("rejected", "expired")
    assert "last: busy" in record.detail


def test_the_last_answer_of_a_channel_is_remembered_in_its_own_words(desk: Desk) -> None:
    robot(desk, REJECTED)
    desk.put()
    desk.worker().step()
    gate = desk.gate()
    assert (gate.last_result, gate.last_code, gate.last_detail) == ("rejected", "404", "no such room")
    assert (gate.last_at, gate.last_success_at) == (desk.clock.now(), None)


def test_after_a_refusal_for_too_many_the_rest_of_a_batch_is_not_tried(desk: Desk) -> None:
    channel, worker = robot(desk, again("429", after=30.0)), desk.worker()
    for incident in range(1, 6):
        desk.put(incident=incident)
    assert worker.step() == 5
    assert len(channel.sent) == 1
    assert [desk.record(incident=incident).attempts for incident in range(1, 6)] == [1, 0, 0, 0, 0]
