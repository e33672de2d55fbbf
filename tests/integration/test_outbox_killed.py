"""kill -9 of the process that sends: nothing is lost, at most one repeat, and the repeat says so."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.outbox_victim import worker
from tests.support.receiver import Answer, Receiver, answer

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.model.notice import DeliveryRecord, DeliveryState, Notice, NoticeKind
from tillwatch.notify.worker import LEASE
from tillwatch.store import outbox
from tillwatch.store.db import Database

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0
CLOCK = SystemClock()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = CLOCK.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert CLOCK.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS:g} s"
        CLOCK.sleep(0.005)


def killed_while_sending(url: str, receiver: Receiver, when: Callable[[], bool]) -> None:
    paths = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.support.outbox_victim", url, receiver.address],
        env={**os.environ, "PYTHONPATH": paths},
        cwd=ROOT,
    ) as victim:
        try:
            until(when, "the send")
        finally:
            victim.send_signal(signal.SIGKILL)


def delivery(database: Database) -> DeliveryRecord:
    with database.read() as connection:
        return outbox.deliveries(connection, 1)[0]


@pytest.fixture
def enqueued(sqlite_url: str) -> str:
    database = Database.open(sqlite_url, clock=CLOCK)
    notice = Notice(
        kind=NoticeKind.OPENED, incident=1, version=1, receiver="ops", channels=("ops",), not_before=CLOCK.now()
    )
    database.write(lambda connection: outbox.enqueue(connection, notice))
    database.close()
    return sqlite_url


@pytest.mark.parametrize(
    "victims_answer", [Answer(hang=True), answer(200, "ok")], ids=["before the answer", "around it"]
)
def test_a_killed_worker_loses_nothing_and_causes_one_marked_repeat_at_most(
    enqueued: str, receiver: Receiver, victims_answer: Answer
) -> None:
    receiver.says(victims_answer, answer(200, "ok"))
    killed_while_sending(enqueued, receiver, lambda: bool(receiver.requests))

    clock = ManualClock(CLOCK.now() + LEASE + timedelta(seconds=1))
    database = Database.open(enqueued, clock=clock)
    heir = worker(database, receiver.address, clock=clock, owner="heir")
    try:
        for _ in range(3):
            heir.step()
            clock.advance(LEASE.total_seconds())
        row = delivery(database)
    finally:
        heir.close()
        database.close()

    assert row.state is DeliveryState.DELIVERED
    bodies = [json.loads(request.body) for request in receiver.requests]
    assert 1 <= len(bodies) <= 2
    assert {request.headers["idempotency-key"] for request in receiver.requests} == {"1:opened:1:ops"}
    assert {body["title"] for body in bodies} == {"worded by victim"}
    assert [body["possible_repeat"] for body in bodies] == [False, True][: len(bodies)]
    if victims_answer.hang:
        assert [(one.result, one.code) for one in row.log] == [("unknown", "worker_lost"), ("delivered", "200")]
