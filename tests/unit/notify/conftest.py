"""An outbox worker with channels that answer as they are told."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import ClassVar

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.config.schema import Strict
from tillwatch.errors import DeliveryError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.channel import Allowance, Gate
from tillwatch.model.notice import Attempt, DeliveryRecord, Notice, NoticeKind
from tillwatch.notify.base import Delivery, Message, Result
from tillwatch.notify.worker import OutboxWorker
from tillwatch.store import channels as stored_channels
from tillwatch.store import outbox
from tillwatch.store.db import Database

DEADLINE_SECONDS = 30.0
DELIVERED = Delivery(result=Result.DELIVERED, code="200", detail="ok", seconds=0.1)
UNKNOWN = Delivery(result=Result.UNKNOWN, code="timeout", detail="no answer", seconds=10.0)
REJECTED = Delivery(result=Result.REJECTED, code="404", detail="no such room", seconds=0.1)


@dataclass
class FakeNotifier:
    """Says `answers` one after the other, the last one for ever; an exception is raised, a callable is called."""

    kind: ClassVar[str] = "fake"
    Options: ClassVar[type[BaseModel]] = Strict
    repeats_when_unknown: int = 1
    answers: list[object] = field(default_factory=lambda: [DELIVERED])
    sent: list[Message] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    allowance: Allowance | None = None

    def send(self, message: Message, *, key: str) -> Delivery:
        self.sent.append(message)
        self.keys.append(key)
        told = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(told, BaseException):
            raise told
        if callable(told):
            told = told()
        assert isinstance(told, Delivery)
        return told

    def describe(self) -> str:
        return "fake"

    def close(self) -> None: ...


class Channels(dict[str, FakeNotifier]):
    def get(self, channel: str) -> FakeNotifier:  # type: ignore[override]
        if channel not in self:
            raise UsageError(f"unknown channel '{channel}'")
        return self[channel]

    def limits(self) -> dict[str, Allowance]:
        return {id: one.allowance for id, one in self.items() if one.allowance is not None}


@dataclass
class Desk:
    """One store, one clock, its channels and any number of workers."""

    database: Database
    clock: ManualClock
    channels: Channels = field(default_factory=lambda: Channels(ops=FakeNotifier(), mail=FakeNotifier()))
    metrics: Metrics = field(default_factory=Metrics)
    ends: list[tuple[str, str]] = field(default_factory=list)
    worded: list[int] = field(default_factory=list)
    workers: list[OutboxWorker] = field(default_factory=list)

    def worker(self, owner: str = "a", *, render: Callable[..., Message] | None = None) -> OutboxWorker:
        def on_result(connection: Connection, record: DeliveryRecord, attempt: Attempt) -> None:  # noqa: ARG001
            self.ends.append((record.channel, attempt.result))

        worker = OutboxWorker(
            self.database,
            self.channels,
            clock=self.clock,
            owner=owner,
            render=render or self._render,
            metrics=self.metrics,
            jitter=lambda: 0.0,
            on_result=on_result,
            digest=self._digest,
        )
        self.workers.append(worker)
        return worker

    def put(self, **changes: object) -> None:
        given = {
            "kind": NoticeKind.OPENED, "incident": 1, "version": 1, "receiver": "ops", "channels": ("ops",),
            "not_before": self.clock.now(),
        }  # fmt: skip
        one = Notice(**{**given, **changes})  # type: ignore[arg-type]
        now = self.clock.now()
        self.database.write(lambda connection: outbox.enqueue(connection, one, now))

    def record(self, incident: int = 1, position: int = 0) -> DeliveryRecord:
        with self.database.read() as connection:
            return outbox.deliveries(connection, incident)[position]

    def _render(self, connection: Connection, record: DeliveryRecord) -> Message:  # noqa: ARG002
        self.worded.append(record.id)
        return Message(
            key=record.key,
            kind=record.kind,
            channel=record.channel,
            receiver=record.receiver,
            locale="zh-CN",
            title=f"wording {len(self.worded)}",
            body="",
            at=self.clock.now(),
        )

    def _digest(self, connection: Connection, records: Sequence[DeliveryRecord]) -> Message:
        message = self._render(connection, records[0])
        return replace(message, title=f"digest of {len(records)}", key=f"digest:{records[0].key}")

    def gate(self, channel: str = "ops") -> Gate:
        with self.database.read() as connection:
            return stored_channels.gate(connection, channel)

    def states(self, channel: str = "ops") -> list[str]:
        """Of everything ever written for one channel, in order."""
        with self.database.read() as connection:
            return [one.state.value for one in reversed(outbox.latest(connection, 10_000)) if one.channel == channel]


@pytest.fixture
def desk(sqlite_database: Database, clock: ManualClock) -> Iterator[Desk]:
    made = Desk(database=sqlite_database, clock=clock)
    yield made
    for worker in made.workers:
        worker.close()


def until(condition: Callable[[], bool]) -> None:
    """Wait for threads to get somewhere, with a deadline."""
    machine = SystemClock()
    deadline = machine.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert machine.monotonic() < deadline, f"nothing happened within {DEADLINE_SECONDS:g} s"
        machine.sleep(0.002)


def again(code: str = "500", *, after: float | None = None) -> DeliveryError:
    return DeliveryError("busy", retryable=True, code=code, retry_after_seconds=after)


def seconds_until(record: DeliveryRecord, now: datetime) -> float:
    return (record.not_before - now) / timedelta(seconds=1)
