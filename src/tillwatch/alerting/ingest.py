"""The one door for alerts: stored with all their consequences, in one transaction, before anybody is told so."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from tillwatch.alerting import heartbeat, mapping, wire
from tillwatch.alerting.episodes import Effect, family, receive
from tillwatch.alerting.leases import lapse
from tillwatch.clock import Clock
from tillwatch.config.schema import Heartbeat, Webhook
from tillwatch.errors import StoreError
from tillwatch.metrics import Metrics
from tillwatch.model.alert import Alert, ChangeKind, Episode, EpisodeChange
from tillwatch.store import alerts as store
from tillwatch.store.db import Database
from tillwatch.store.savepoint import savepoint
from tillwatch.store.types import dumps

#: Prometheus repeats itself every minute; two of them tell a quiet source from our own restart.
LISTEN_BEFORE_LAPSE_SECONDS = 120.0

_RECEIVED = "tillwatch_alerts_received_total"

OnChanges = Callable[[Connection, Sequence[EpisodeChange], datetime], None]


@dataclass(frozen=True, kw_only=True)
class IngestReceipt:
    """What became of one batch: stored, or set aside with its reason. Nothing is dropped without a word."""

    stored: int
    quarantined: int
    #: One sentence for each item set aside.
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """What one message brought, and when."""

    parsed: wire.Parsed
    source: str
    now: datetime


class Ingest:
    """Folds alerts into episodes and hands the changes to `on_changes` inside the same transaction."""

    def __init__(
        self, database: Database, *, clock: Clock, on_changes: OnChanges, metrics: Metrics | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._on_changes = on_changes
        self._metrics = metrics or Metrics()
        self._listening_since = clock.monotonic()

    def goes_on_from(self, before: "Ingest") -> None:
        """Takes the place of `before`: sources have been heard since that one began to listen."""
        self._listening_since = before._listening_since

    def v2(self, body: bytes, *, source: str = "prometheus") -> IngestReceipt:
        """`POST /api/v2/alerts`. Raises StoreError when nothing was stored: answer 503, the sender sends again."""
        return self.submit_v2(body, source=source).result()

    def submit_v2(self, body: bytes, *, source: str = "prometheus") -> Future[IngestReceipt]:
        """As `v2`, without waiting: the receipt is there after the commit, or a StoreError."""
        now = self._clock.now()
        return self._submit(wire.parse_v2(body, now, source=source), source, now)

    def webhook(self, body: bytes, *, source: str = "alertmanager") -> IngestReceipt:
        """Alertmanager's webhook v4. Raises StoreError when nothing was stored."""
        now = self._clock.now()
        return self._submit(wire.parse_webhook_v4(body, now, source=source), source, now).result()

    def generic(self, body: bytes, declared: Webhook, zone: ZoneInfo) -> IngestReceipt:
        """Another system's webhook, read as declared. Raises StoreError when nothing was stored."""
        now = self._clock.now()
        return self._submit(mapping.parse(body, now, declared, zone), mapping.source_of(declared), now).result()

    def receive(self, alerts: Sequence[Alert], *, source: str) -> IngestReceipt:
        """Alerts that are parsed already. One transaction; returns after the commit. Raises StoreError."""
        return self._submit(wire.Parsed(alerts=tuple(alerts)), source, self._clock.now()).result()

    def expect(self, declared: Sequence[Heartbeat], zone: ZoneInfo) -> None:
        """Wait from now on for the first report of each declared job; what is waited for already keeps its time.

        Jobs that are no longer declared are waited for no more. Call it at the start of a server. Raises StoreError.
        """

        def job(connection: Connection) -> None:
            now = self._clock.now()
            wanted = {alert.fingerprint: alert for alert in (heartbeat.awaited(one, now, zone) for one in declared)}
            known = [one for one in store.active(connection) if heartbeat.is_job(one)]
            gone = [one for one in known if one.fingerprint not in wanted]
            sooner = [heartbeat.due_by(one, wanted[one.fingerprint]) for one in known if one.fingerprint in wanted]
            store.save(connection, [heartbeat.forgotten(one, now) for one in gone] + sooner)
            seen = {one.fingerprint for one in known}
            fresh = [alert for fingerprint, alert in wanted.items() if fingerprint not in seen]
            self._fold(connection, [*heartbeat.given_up(gone, now), *fresh], now)

        self._database.write(job)

    def lapse(self) -> int:
        """Mark episodes whose source went quiet as silent. Returns how many. Call it every few seconds.

        Not in the first minutes: a source is not to blame for what it sent while we were not there to hear it.
        """
        if self._clock.monotonic() - self._listening_since < LISTEN_BEFORE_LAPSE_SECONDS:
            return 0

        def job(connection: Connection) -> int:
            now = self._clock.now()
            changes = lapse(connection, now)
            self._tell(connection, changes, now)
            return len(changes)

        return self._database.write(job)

    def apply(self, connection: Connection, alerts: Sequence[Alert], now: datetime) -> list[EpisodeChange]:
        """Fold `alerts` inside somebody else's transaction: what they lead to is stored with it or not at all.

        Whatever goes wrong is raised. Setting aside the alert of our own audit would hide its finding.
        """
        return self._fold(connection, alerts, now)

    def _submit(self, parsed: wire.Parsed, source: str, now: datetime) -> Future[IngestReceipt]:
        """Batches that wait for the same commit are folded as one; a batch in which something breaks, alert by alert.

        Only the alert that breaks is set aside.
        """
        receipt: Future[IngestReceipt] = Future()
        batch = _Batch(parsed=parsed, source=source, now=now)

        def carefully(stored: Future[IngestReceipt]) -> None:
            error = stored.exception()
            if error is None or not isinstance(error, Exception) or _is_trouble(error):
                self._settle(receipt, stored, source)
                return
            try:
                again = self._database.submit(lambda connection: self._each(connection, batch))
            except StoreError as full:
                receipt.set_exception(full)
                return
            again.add_done_callback(lambda stored: self._settle(receipt, stored, source))

        self._database.submit_item(self._all, batch).add_done_callback(carefully)
        return receipt

    def _settle(self, receipt: Future[IngestReceipt], stored: Future[IngestReceipt], source: str) -> None:
        if error := stored.exception():
            receipt.set_exception(error)
            return
        self._metrics.inc(_RECEIVED, stored.result().stored, source=source, result="stored")
        self._metrics.inc(_RECEIVED, stored.result().quarantined, source=source, result="quarantined")
        receipt.set_result(stored.result())

    def _all(self, connection: Connection, batches: Sequence[_Batch]) -> list[IngestReceipt]:
        alerts = [alert for batch in batches for alert in batch.parsed.alerts]
        self._fold(connection, alerts, max(batch.now for batch in batches))
        return [_receipt(connection, batch) for batch in batches]

    def _each(self, connection: Connection, batch: _Batch) -> IngestReceipt:
        refused: list[str] = []
        for alert in batch.parsed.alerts:
            try:
                with savepoint(connection):
                    self._fold(connection, [alert], batch.now)
            except Exception as error:
                if _is_trouble(error):
                    raise
                reason = f"alert '{alert.name}': {type(error).__name__}: {error}"
                store.set_aside(connection, source=alert.source, reason=reason, body=_words(alert), now=batch.now)
                refused.append(reason)
        return _receipt(connection, batch, refused)

    def _fold(self, connection: Connection, alerts: Sequence[Alert], now: datetime) -> list[EpisodeChange]:
        changes: list[EpisodeChange] = []
        families: dict[str, list[Alert]] = {}
        for alert in alerts:
            families.setdefault(family(alert.source), []).append(alert)
        for name, members in families.items():
            changes += _fold_family(connection, name, members, now)
        return self._tell(connection, changes, now)

    def _tell(self, connection: Connection, changes: Sequence[EpisodeChange], now: datetime) -> list[EpisodeChange]:
        """Hand on what changed; of a heartbeat not that it beats, but that it stopped or came back."""
        told = heartbeat.others(changes)
        if verdicts := heartbeat.verdicts(changes, now):
            told += _fold_family(connection, heartbeat.SOURCE, verdicts, now)
        if told:
            self._on_changes(connection, told, now)
        return told


def _receipt(connection: Connection, batch: _Batch, refused: Sequence[str] = ()) -> IngestReceipt:
    for poison in batch.parsed.poison:
        store.set_aside(connection, source=batch.source, reason=poison.reason, body=poison.body, now=batch.now)
    reasons = (*(poison.reason for poison in batch.parsed.poison), *refused)
    stored = len(batch.parsed.alerts) - len(refused)
    return IngestReceipt(stored=stored, quarantined=len(reasons), reasons=reasons)


def _fold_family(connection: Connection, name: str, alerts: Sequence[Alert], now: datetime) -> list[EpisodeChange]:
    """1. Read what is known of all of them at once. 2. Fold in order. 3. Add the new ones, save the changed ones."""
    prints = [alert.fingerprint for alert in alerts]
    known: dict[str, dict[int, Episode]] = {fingerprint: {} for fingerprint in prints}
    for episode in store.known(connection, name, prints, [alert.starts_at for alert in alerts]):
        known[episode.fingerprint][episode.id] = episode
    fresh = iter(store.numbers(connection, len(alerts)))
    changes: list[EpisodeChange] = []
    new: dict[int, Episode] = {}
    changed: dict[int, Episode] = {}
    for alert, fingerprint in zip(alerts, prints, strict=True):
        effect = receive(list(known[fingerprint].values()), alert, now)
        if effect is None:
            continue
        if effect.before is None:
            effect = replace(effect, episode=replace(effect.episode, id=next(fresh)))
        id = effect.episode.id
        (new if effect.before is None or id in new else changed)[id] = effect.episode
        known[fingerprint][id] = effect.episode
        changes += _change(effect)
    store.add(connection, name, list(new.values()))
    store.save(connection, list(changed.values()))
    return changes


def _change(effect: Effect) -> list[EpisodeChange]:
    if effect.kind is None:
        return []
    before = None if effect.kind is ChangeKind.OPENED else effect.before
    return [EpisodeChange(kind=effect.kind, episode=effect.episode, before=before)]


def _is_trouble(error: Exception) -> bool:
    """True when the store failed, not the alert: then nothing of the batch may be taken for stored."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, DataError | IntegrityError)
    return isinstance(error, StoreError)


def _words(alert: Alert) -> str:
    fields = {
        "labels": alert.labels,
        "annotations": alert.annotations,
        "startsAt": alert.starts_at,
        "endsAt": alert.ends_at,
        "source": alert.source,
        "evidence": alert.evidence,
    }
    try:
        return dumps(fields)
    except (TypeError, ValueError, RecursionError):
        return repr(fields)
