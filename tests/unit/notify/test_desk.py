"""Channels as people look at them, on a real store and a real receiver."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.support.receiver import Receiver, answer

from tillwatch.clock import ManualClock
from tillwatch.config.load import load
from tillwatch.errors import UsageError
from tillwatch.model.channel import Gate
from tillwatch.model.notice import Attempt, Notice, NoticeKind
from tillwatch.notify import registry
from tillwatch.notify.base import Result
from tillwatch.notify.desk import DEAD_FOR, ChannelDesk
from tillwatch.notify.gate import Standing
from tillwatch.store import channels, outbox
from tillwatch.store.db import Database

CHAIN = """\
chain: {{id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}}
store: {{url: "sqlite:///unused.db"}}
channels:
  - {{id: ops, kind: wecom_bot, key: "0123456789", url: "http://{address}"}}
  - {{id: hook, kind: webhook, url: "http://{address}/hook"}}
"""
ROUTES = "route: {receiver: team}\nreceivers: [{id: team, channels: [ops]}]\n"


@pytest.fixture
def desk(tmp_path: Path, receiver: Receiver, database: Database, clock: ManualClock) -> Iterator[ChannelDesk]:
    (tmp_path / "tillwatch.yaml").write_text(CHAIN.format(address=receiver.address), encoding="utf-8")
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts/routes.yaml").write_text(ROUTES, encoding="utf-8")
    config = load(tmp_path)
    notifiers = registry.build(config, clock=clock)
    yield ChannelDesk(config, notifiers, database=database, clock=clock)
    notifiers.close()


def test_a_channel_that_never_sent_stands_with_a_full_bucket(desk: ChannelDesk) -> None:
    ops, hook = desk.listed()
    assert (ops.standing, ops.tokens, ops.queue.waiting, ops.gate.last_at) == (Standing.CLOSED, 10.0, 0, None)
    assert (hook.tokens, hook.allowance) == (None, None)


def test_a_test_is_answered_remembered_and_counted(desk: ChannelDesk, receiver: Receiver, clock: ManualClock) -> None:
    receiver.says(answer(200, '{"errcode":93000,"errmsg":"invalid webhook url"}'))
    assert desk.test("ops").code == "93000"
    gate = desk.listed()[0].gate
    assert (gate.last_result, gate.last_code, gate.last_detail) == ("rejected", "93000", "invalid webhook url")
    assert (gate.failures, gate.last_at, gate.last_success_at) == (1, clock.now(), None)
    assert desk.listed()[0].tokens == 9.0


def test_a_test_that_could_not_be_sent_says_why(desk: ChannelDesk, receiver: Receiver) -> None:
    receiver.says(answer(503, "down for maintenance", Retry_After="30"))
    delivery = desk.test("hook")
    assert (delivery.result, delivery.code) == (Result.REJECTED, "503")
    assert desk.listed()[1].standing is Standing.PAUSED


def test_a_test_that_arrives_closes_an_open_channel_and_lets_go_what_waited(
    desk: ChannelDesk, receiver: Receiver, database: Database, clock: ManualClock
) -> None:
    now = clock.now()
    notice = Notice(kind=NoticeKind.OPENED, incident=1, version=1, receiver="ops", channels=("ops",), not_before=now)

    def failed_before(connection: Connection) -> None:
        outbox.enqueue(connection, notice, now)
        [record] = outbox.claim(connection, "w", now, timedelta(minutes=1), 1)
        attempt = Attempt(number=1, at=now, result="retry", code="500", detail="", seconds=0.0, possible_repeat=False)
        outbox.retry(connection, record, attempt, "w", now + timedelta(minutes=5), in_doubt=False)
        opened = Gate(channel="ops", failures=3, opened_at=now, probe_at=now + timedelta(seconds=8))
        channels.save(connection, opened)

    database.write(failed_before)
    assert (desk.listed()[0].standing, desk.listed()[0].queue.waiting) == (Standing.OPEN, 1)
    receiver.says(answer(200, '{"errcode":0,"errmsg":"ok"}'))
    assert desk.test("ops").result is Result.DELIVERED
    assert desk.listed()[0].standing is Standing.CLOSED
    with database.read() as connection:
        assert outbox.deliveries(connection, 1)[0].not_before == now


def test_a_dead_letter_is_shown_for_a_week(desk: ChannelDesk, database: Database, clock: ManualClock) -> None:
    now = clock.now()
    notice = Notice(kind=NoticeKind.OPENED, incident=1, version=1, receiver="ops", channels=("ops",), not_before=now)

    def give_up(connection: Connection) -> None:
        outbox.enqueue(connection, notice, now)
        [record] = outbox.claim(connection, "w", now, timedelta(minutes=1), 1)
        attempt = Attempt(
            number=1, at=now, result="rejected", code="40058", detail="too long", seconds=0.0, possible_repeat=False
        )
        outbox.rejected(connection, record, attempt, "w")

    database.write(give_up)
    assert (desk.listed()[0].queue.dead, [one.code for one in desk.dead_letters(10)]) == (1, ["40058"])
    clock.advance(DEAD_FOR.total_seconds() + 1)
    assert (desk.listed()[0].queue.dead, desk.dead_letters(10)) == (0, [])


def test_a_channel_that_is_not_declared_cannot_be_tested(desk: ChannelDesk) -> None:
    with pytest.raises(UsageError, match="there is no channel 'nowhere'"):
        desk.test("nowhere")
