"""The outbox worker: claims what is due, words it once, sends it outside any transaction, writes down what happened."""

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.errors import DeliveryError, StoreError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.channel import Allowance
from tillwatch.model.notice import Attempt, DeliveryRecord, DeliveryState
from tillwatch.notify.backoff import backoff
from tillwatch.notify.base import Delivery, Message, Notifier, Result, scrub
from tillwatch.notify.gate import pause_of
from tillwatch.notify.traffic import Load, Traffic, settle
from tillwatch.store import outbox
from tillwatch.store.db import Database
from tillwatch.store.types import dumps

#: How long a claimed message is ours. A worker that dies holds it up for this long at most.
LEASE = timedelta(seconds=60)
#: No send is begun with less of the lease left than this: the longest a channel may take.
SEND_MARGIN = timedelta(seconds=35)
#: Older news is no news; the log then says `expired`.
MAX_AGE = timedelta(hours=24)
#: Channels that send at the same time; a hanging one holds only its own thread.
THREADS_MAX = 16
POLL_SECONDS = 0.5
_GAUGES_EVERY_SECONDS = 5.0
_WRITE_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)

Render = Callable[[Connection, DeliveryRecord], Message]
#: One message that stands for several of one channel.
Digest = Callable[[Connection, Sequence[DeliveryRecord]], Message]
#: What a channel said, or that the message certainly did not arrive.
Outcome = Delivery | DeliveryError
#: Told of every message's end, in the transaction that writes it; for the incident's timeline.
OnResult = Callable[[Connection, DeliveryRecord, Attempt], None]


class Channels(Protocol):
    def get(self, channel: str) -> Notifier: ...
    def limits(self) -> Mapping[str, Allowance]: ...


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
        digest: Digest | None = None,
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
        self._digest = digest
        self._traffic = Traffic(owner, lease=LEASE, limits=notifiers.limits)
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
        digests = self._digest is not None
        loads = self._database.write(lambda connection: self._traffic.take(connection, now, busy, digests=digests))
        for load in loads:
            self._lanes[load.channel] = lane = self._pool.submit(self._lane, load)
            # What came for the channel meanwhile need not wait for the next round.
            lane.add_done_callback(lambda _: self._bell.set())
        return sum(len(load.records) for load in loads)

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

    def _lane(self, load: Load) -> int:
        groups = [load.records] if load.digest else [(record,) for record in load.records]
        for position, records in enumerate(groups):
            try:
                if not self._patiently(records):
                    # The service wants a pause, or does not work: sending on would only make it worse.
                    self._release([record for group in groups[position + 1 :] for record in group])
                    break
            except StoreError as error:
                # The rows keep their lease and are taken again when that ends, marked as a possible repeat.
                _log.warning("outbox: message %d: its result could not be stored: %s", records[0].id, error)
            except Exception:
                _log.exception("outbox: message %d failed", records[0].id)
        return len(load.records)

    def _patiently(self, records: Sequence[DeliveryRecord]) -> bool:
        """As `_handle`; a store that is away is waited for while the lease leaves time for the send.

        Without that a message nobody has begun to send would wait for the end of its lease and be called a repeat.
        Trying again is safe: once something was sent, `_store` gives up only when the lease is over.
        """
        ends = min((record.lease_until for record in records if record.lease_until is not None), default=None)
        while True:
            try:
                return self._handle(records)
            except StoreError:
                again = self._clock.now() + timedelta(seconds=_WRITE_AGAIN_SECONDS)
                if ends is None or again + SEND_MARGIN >= ends:
                    raise
                self._clock.sleep(_WRITE_AGAIN_SECONDS)

    def _handle(self, records: Sequence[DeliveryRecord]) -> bool:
        """Claimed messages that leave as one: mostly one, several as a digest.

        1. Give back what has too little of its lease left, end what is too old or has no channel any more.
        2. Word a message once ever; a digest is worded anew each time, since other messages may be in it.
        3. Write down that it is being sent, and the wording; leave out what was lost to another worker meanwhile.
        4. Send it, and write down what the channel said.

        False when the channel should get nothing more now.
        """
        ready = [(record, notifier) for record in records if (notifier := self._ready(record)) is not None]
        if len(ready) > 1:
            return self._send_together([record for record, _ in ready], ready[0][1])
        go_on = True
        for record, notifier in ready:
            document = self._document(record)
            if document is not None and self._begun(record, document):
                message = Message.read(document, possible_repeat=record.possible_repeat)
                go_on = self._send([record], notifier, message, key=record.key)
        return go_on

    def _release(self, records: Sequence[DeliveryRecord]) -> None:
        self._database.write(lambda connection: [outbox.release(connection, record) for record in records])

    def _begun(self, record: DeliveryRecord, document: Mapping[str, Any]) -> bool:
        return self._database.write(lambda connection: outbox.begin(connection, record, document))

    def _ready(self, record: DeliveryRecord) -> Notifier | None:
        now = self._clock.now()
        if record.lease_until is None or record.lease_until - now < SEND_MARGIN:
            self._database.write(lambda connection: outbox.release(connection, record))
            return None
        if now - record.created_at > MAX_AGE:
            hours = MAX_AGE.total_seconds() / 3600
            detail = f"not delivered within {hours:g} h; last: {record.detail or 'never tried'}"
            self._end(record, DeliveryState.REJECTED, "expired", detail)
            return None
        try:
            notifier = self._notifiers.get(record.channel)
        except UsageError as error:
            self._end(record, DeliveryState.REJECTED, "no_channel", str(error))
            return None
        if record.unknown_results > notifier.repeats_when_unknown:
            self._end(record, DeliveryState.UNKNOWN, record.code or "worker_lost", "in doubt once too often to repeat")
            return None
        return notifier

    def _send_together(self, records: Sequence[DeliveryRecord], notifier: Notifier) -> bool:
        assert self._digest is not None
        try:
            with self._database.read() as connection:
                message = self._digest(connection, records)
        except StoreError:
            raise
        except Exception:
            # Without a digest there is room for one message; the others wait for more.
            _log.exception("outbox: channel %s: no digest of %d messages", records[0].channel, len(records))
            self._release(records[1:])
            return self._handle(records[:1])
        begun = self._database.write(lambda connection: [one for one in records if outbox.begin(connection, one)])
        if not begun:
            return True
        in_doubt = any(record.possible_repeat for record in begun)
        return self._send(begun, notifier, replace(message, possible_repeat=in_doubt), key=message.key)

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
            self._failed(record, failure)
            return None
        return _exact(message)

    def _send(self, records: Sequence[DeliveryRecord], notifier: Notifier, message: Message, *, key: str) -> bool:
        """Send what stands for `records`; what comes of it is written down for each of them and for the channel.

        False when the channel should get nothing more now.
        """
        started = self._clock.monotonic()
        outcome: Outcome
        try:
            outcome = notifier.send(message, key=key)
        except DeliveryError as error:
            outcome = error
        except Exception as error:
            # A defect in a notifier: nobody knows how far it came.
            _log.exception("outbox: channel %s: the notifier failed", message.channel)
            detail = scrub(f"{type(error).__name__} in the notifier; see the server's log", ())
            outcome = Delivery(result=Result.UNKNOWN, code="defect", detail=detail)
        seconds = outcome.seconds if isinstance(outcome, Delivery) else 0.0
        seconds = seconds or self._clock.monotonic() - started
        note = f"in one digest of {len(records)} messages; " if len(records) > 1 else ""
        attempts = [self._attempted(record, outcome, seconds, note) for record in records]

        def job(connection: Connection) -> bool:
            for record, attempt in zip(records, attempts, strict=True):
                self._consequence(connection, record, notifier, attempt, outcome)
            return settle(connection, message.channel, attempts[0], outcome)

        return self._store(records[0], job)

    def _attempted(self, record: DeliveryRecord, outcome: Outcome, seconds: float, note: str) -> Attempt:
        if isinstance(outcome, Delivery):
            return self._attempt(record, outcome.result.value, outcome.code, note + outcome.detail, seconds)
        result = "retry" if outcome.retryable else "rejected"
        return self._attempt(record, result, outcome.code, note + str(outcome), seconds)

    def _consequence(
        self, connection: Connection, record: DeliveryRecord, notifier: Notifier, attempt: Attempt, outcome: Outcome
    ) -> bool:
        """Another try later, or the end."""
        if isinstance(outcome, DeliveryError):
            if not outcome.retryable:
                return self._final(connection, record, attempt, outbox.rejected)
            wait = pause_of(outcome, self._jitter()) or backoff(attempt.number, self._jitter())
            return outbox.retry(connection, record, attempt, self._owner, attempt.at + wait, in_doubt=False)
        if outcome.result is Result.UNKNOWN and record.unknown_results < notifier.repeats_when_unknown:
            at = attempt.at + backoff(attempt.number, self._jitter())
            return outbox.retry(connection, record, attempt, self._owner, at, in_doubt=True)
        settle = {
            Result.DELIVERED: outbox.delivered,
            Result.REJECTED: outbox.rejected,
            Result.UNKNOWN: outbox.unknown,
        }[outcome.result]
        return self._final(connection, record, attempt, settle)

    def _failed(self, record: DeliveryRecord, error: DeliveryError) -> None:
        """It could not be worded, which is not the channel's fault: try again later."""
        attempt = self._attempt(record, "retry", error.code, str(error), 0.0)
        at = attempt.at + backoff(attempt.number, self._jitter())
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

    def _store(self, record: DeliveryRecord, job: Callable[[Connection], bool]) -> bool:
        """Write a result, trying again while the lease lasts: a lost result is a repeated message."""
        while True:
            try:
                return self._database.write(job)
            except StoreError:
                again = self._clock.now() + timedelta(seconds=_WRITE_AGAIN_SECONDS)
                if record.lease_until is None or again >= record.lease_until:
                    raise
                self._clock.sleep(_WRITE_AGAIN_SECONDS)

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
