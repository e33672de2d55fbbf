"""The outbox worker: claims what is due, words it once, sends it outside any transaction, writes down what happened."""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.errors import DeliveryError, StoreError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.notice import Attempt, DeliveryRecord, DeliveryState
from tillwatch.notify.backoff import backoff
from tillwatch.notify.base import Delivery, Message, Notifier, Result, scrub
from tillwatch.store import outbox
from tillwatch.store.db import Database
from tillwatch.store.types import dumps

#: How long a claimed message is ours. A worker that dies holds it up for this long at most.
LEASE = timedelta(seconds=60)
#: No send is begun with less of the lease left than this: the longest a channel may take.
SEND_MARGIN = timedelta(seconds=35)
#: Older news is no news; the log then says `expired`.
MAX_AGE = timedelta(hours=24)
#: Messages of one channel taken at once; they leave one after the other.
PER_CHANNEL = 5
CLAIM_LIMIT = 100
#: Channels that send at the same time; a hanging one holds only its own thread.
THREADS_MAX = 16
POLL_SECONDS = 0.5
_GAUGES_EVERY_SECONDS = 5.0
_WRITE_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)

Render = Callable[[Connection, DeliveryRecord], Message]
#: Told of every message's end, in the transaction that writes it; for the incident's timeline.
OnResult = Callable[[Connection, DeliveryRecord, Attempt], None]


class Channels(Protocol):
    def get(self, channel: str) -> Notifier: ...


def _exact(message: Message) -> dict[str, Any]:
    """The document as it will come back from the store, so that the first send and every retry are the same bytes."""
    stored = dumps(message.document()).encode("utf-8", "replace")
    document: dict[str, Any] = json.loads(stored)
    return document


class OutboxWorker:
    """One of any number of workers on one store; `owner` names it in leases and in the log of attempts.

    `bell` may be rung before the transaction that holds the message is committed: what the worker then does is queued
    behind it.
    """

    def __init__(
        self,
        database: Database,
        notifiers: Channels,
        *,
        clock: Clock,
        owner: str,
        render: Render,
        metrics: Metrics,
        jitter: Callable[[], float],
        on_result: OnResult | None = None,
        bell: threading.Event | None = None,
    ) -> None:
        self._database = database
        #: Rung when something is due at once, so that nobody waits for the next round.
        self._bell = bell or threading.Event()
        self._notifiers = notifiers
        self._clock = clock
        self._owner = owner
        self._render = render
        self._metrics = metrics
        self._jitter = jitter
        self._on_result = on_result
        self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="notify")
        self._lanes: dict[str, Future[int]] = {}
        self._gauges_at: float | None = None

    def step(self, now: datetime | None = None) -> int:
        """Claim what is due at `now`, send it and wait for it. Returns how many messages were handled."""
        self.dispatch(now or self._clock.now())
        wait(self._lanes.values())
        return self._reap()

    def dispatch(self, now: datetime) -> int:
        """Claim what is due, one thread per channel; channels still at work are left alone. Returns how many."""
        self._reap()
        busy = set(self._lanes)
        claimed = self._database.write(
            lambda connection: outbox.claim(
                connection, self._owner, now, LEASE, CLAIM_LIMIT, busy=busy, per_channel=PER_CHANNEL
            )
        )
        groups: dict[str, list[DeliveryRecord]] = {}
        for record in claimed:
            groups.setdefault(record.channel, []).append(record)
        for channel, records in groups.items():
            self._lanes[channel] = lane = self._pool.submit(self._lane, records)
            # What came for the channel meanwhile need not wait for the next round.
            lane.add_done_callback(lambda _: self._bell.set())
        return len(claimed)

    def loop(self, stop: threading.Event) -> None:
        """Until `stop`: dispatch, look at the gauges, wait a moment. A store that is away is waited for."""
        while not stop.is_set():
            self._bell.clear()
            try:
                self.dispatch(self._clock.now())
                self._gauges()
                self._metrics.set(
                    "tillwatch_loop_last_success_timestamp_seconds", self._clock.now().timestamp(), loop="outbox"
                )
            except StoreError as error:
                self._metrics.inc("tillwatch_loop_errors_total", loop="outbox")
                _log.warning("outbox: the store is not available, trying again: %s", error)
            except Exception:
                # One poisoned row must not silence every channel; the loop goes on and the metric tells.
                self._metrics.inc("tillwatch_loop_errors_total", loop="outbox")
                _log.exception("outbox: a round failed")
            self._bell.wait(POLL_SECONDS)
        self.close()

    def close(self) -> None:
        """Let the sends that are under way end and be written down."""
        self._pool.shutdown(wait=True)

    def _reap(self) -> int:
        done = [channel for channel, lane in self._lanes.items() if lane.done()]
        return sum(self._lanes.pop(channel).result() for channel in done)

    def _lane(self, records: list[DeliveryRecord]) -> int:
        for record in records:
            try:
                self._handle(record)
            except StoreError as error:
                # The row keeps its lease and is taken again when that ends, marked as a possible repeat.
                _log.warning("outbox: message %d: its result could not be stored: %s", record.id, error)
            except Exception:
                _log.exception("outbox: message %d failed", record.id)
        return len(records)

    def _handle(self, record: DeliveryRecord) -> None:
        """One claimed message.

        1. Give it back when too little of the lease is left, end it when it is too old or its channel is gone.
        2. Word it, once ever.
        3. Write down that it is being sent, and the wording; stop here when the claim was lost meanwhile.
        4. Send it, and write down what the channel said.
        """
        now = self._clock.now()
        if record.lease_until is None or record.lease_until - now < SEND_MARGIN:
            self._database.write(lambda connection: outbox.release(connection, record))
            return
        if now - record.created_at > MAX_AGE:
            hours = MAX_AGE.total_seconds() / 3600
            detail = f"not delivered within {hours:g} h; last: {record.detail or 'never tried'}"
            self._end(record, DeliveryState.REJECTED, "expired", detail)
            return
        try:
            notifier = self._notifiers.get(record.channel)
        except UsageError as error:
            self._end(record, DeliveryState.REJECTED, "no_channel", str(error))
            return
        if record.unknown_results > notifier.repeats_when_unknown:
            self._end(record, DeliveryState.UNKNOWN, record.code or "worker_lost", "in doubt once too often to repeat")
            return
        document = self._document(record)
        if document is not None and self._database.write(lambda c: outbox.begin(c, record, document)):
            self._send(record, notifier, Message.read(document, possible_repeat=record.possible_repeat))

    def _document(self, record: DeliveryRecord) -> Mapping[str, Any] | None:
        """The stored wording, or a new one; None when it cannot be worded now, which is then written down."""
        if record.payload is not None:
            return record.payload
        try:
            with self._database.read() as connection:
                message = self._render(connection, record)
        except StoreError:
            raise
        except Exception as error:
            _log.exception("outbox: message %d cannot be worded", record.id)
            failure = DeliveryError(f"{type(error).__name__}: {error}", retryable=True, code="wording")
            self._failed(record, failure, 0.0)
            return None
        return _exact(message)

    def _send(self, record: DeliveryRecord, notifier: Notifier, message: Message) -> None:
        started = self._clock.monotonic()
        try:
            delivery = notifier.send(message, key=record.key)
        except DeliveryError as error:
            self._failed(record, error, self._clock.monotonic() - started)
            return
        except Exception as error:
            # A defect in a notifier: nobody knows how far it came.
            _log.exception("outbox: channel %s: the notifier failed", record.channel)
            detail = scrub(f"{type(error).__name__} in the notifier; see the server's log", ())
            seconds = self._clock.monotonic() - started
            delivery = Delivery(result=Result.UNKNOWN, code="defect", detail=detail, seconds=seconds)
        self._answered(record, notifier, delivery)

    def _answered(self, record: DeliveryRecord, notifier: Notifier, delivery: Delivery) -> None:
        attempt = self._attempt(record, delivery.result.value, delivery.code, delivery.detail, delivery.seconds)
        if delivery.result is Result.UNKNOWN and record.unknown_results < notifier.repeats_when_unknown:
            at = attempt.at + backoff(attempt.number, self._jitter())
            self._store(
                record,
                lambda connection: outbox.retry(connection, record, attempt, self._owner, at, in_doubt=True),
            )
            return
        settle = {
            Result.DELIVERED: outbox.delivered,
            Result.REJECTED: outbox.rejected,
            Result.UNKNOWN: outbox.unknown,
        }[delivery.result]
        self._store(record, lambda connection: self._final(connection, record, attempt, settle))

    def _failed(self, record: DeliveryRecord, error: DeliveryError, seconds: float) -> None:
        """It certainly did not arrive: try again later, or never."""
        result = "retry" if error.retryable else "rejected"
        attempt = self._attempt(record, result, error.code, str(error), seconds)
        if not error.retryable:
            self._store(record, lambda connection: self._final(connection, record, attempt, outbox.rejected))
            return
        at = attempt.at + backoff(attempt.number, self._jitter(), retry_after_seconds=error.retry_after_seconds)
        self._store(
            record, lambda connection: outbox.retry(connection, record, attempt, self._owner, at, in_doubt=False)
        )

    def _final(
        self,
        connection: Connection,
        record: DeliveryRecord,
        attempt: Attempt,
        settle: Callable[[Connection, DeliveryRecord, Attempt, str], bool],
    ) -> bool:
        held = settle(connection, record, attempt, self._owner)
        if held and self._on_result is not None:
            self._on_result(connection, record, attempt)
        return held

    def _end(self, record: DeliveryRecord, state: DeliveryState, code: str, detail: str) -> None:
        """End it without a send; it counts and is told like any other result."""
        attempt = self._attempt(record, state.value, code, detail, 0.0)

        def job(connection: Connection) -> bool:
            held = outbox.close(connection, record, attempt.at, state, code, detail)
            if held and self._on_result is not None:
                self._on_result(connection, record, attempt)
            return held

        self._store(record, job)

    def _attempt(self, record: DeliveryRecord, result: str, code: str, detail: str, seconds: float) -> Attempt:
        self._metrics.inc("tillwatch_notifications_total", channel=record.channel, result=result)
        self._metrics.observe("tillwatch_notification_duration_seconds", seconds, channel=record.channel)
        return Attempt(
            number=record.attempts + 1,
            at=self._clock.now(),
            result=result,
            code=code,
            detail=scrub(detail, ()),
            seconds=seconds,
            possible_repeat=record.possible_repeat,
        )

    def _store(self, record: DeliveryRecord, job: Callable[[Connection], bool]) -> None:
        """Write a result, trying again while the lease lasts: a lost result is a repeated message."""
        while True:
            try:
                self._database.write(job)
            except StoreError:
                again = self._clock.now() + timedelta(seconds=_WRITE_AGAIN_SECONDS)
                if record.lease_until is None or again >= record.lease_until:
                    raise
                self._clock.sleep(_WRITE_AGAIN_SECONDS)
            else:
                return

    def _gauges(self) -> None:
        monotonic = self._clock.monotonic()
        if self._gauges_at is not None and monotonic - self._gauges_at < _GAUGES_EVERY_SECONDS:
            return
        self._gauges_at = monotonic
        now = self._clock.now()
        with self._database.read() as connection:
            oldest = outbox.oldest_due(connection, now)
            waiting = outbox.pending(connection)
        self._metrics.set("tillwatch_outbox_oldest_seconds", (now - oldest).total_seconds() if oldest else 0.0)
        self._metrics.set("tillwatch_outbox_pending", waiting)
