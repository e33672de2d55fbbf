"""The outbox: notices written with the incident they speak of, claimed by workers under a lease, settled truthfully.

States: pending → sending (lease) → delivered | rejected | unknown, or back to pending for another try. Every result is
written only by the claim that still holds the row (its epoch); a worker that was away too long changes nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, and_, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tillwatch.model.notice import Attempt, DeliveryRecord, DeliveryState, Notice, NoticeKind
from tillwatch.store.bulk import BulkInsert
from tillwatch.store.tables.outbox import outbox, outbox_attempts

#: Looked at in one claim; a channel with a long queue must not hide the others for long.
MAX_CANDIDATES = 1_000

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_NEW = {
    "state": DeliveryState.PENDING.value,
    "lease_owner": "",
    "epoch": 0,
    "begun": False,
    "attempts": 0,
    "unknown_results": 0,
    "possible_repeat": False,
    "code": "",
    "detail": "",
}
_DIALECTS = {"sqlite": sqlite, "postgresql": postgresql}
_ENQUEUE = BulkInsert(
    outbox,
    [
        *("key", "kind", "incident", "version", "repeat", "priority", "receiver", "person", "channel", "text"),
        *("created_at", "not_before", "touched_at", *_NEW),
    ],
    conflict=lambda dialect: _DIALECTS[dialect].insert(outbox).on_conflict_do_nothing(index_elements=["key"]),
)
_OPEN = (DeliveryState.PENDING.value, DeliveryState.SENDING.value)


def enqueue(connection: Connection, notice: Notice, now: datetime | None = None) -> int:
    """Write one row per channel; rows that are there already stay as they are. Returns how many are new."""
    rows = _rows([notice], now)
    keys = [row["key"] for row in rows]
    known = connection.execute(select(func.count()).where(outbox.c.key.in_(keys))).scalar_one()
    enqueue_all(connection, [notice], now)
    return len(keys) - int(known)


def enqueue_all(connection: Connection, notices: Sequence[Notice], now: datetime | None = None) -> None:
    """As `enqueue`, for several notices at once."""
    _ENQUEUE.run(connection, _rows(notices, now))


def is_known(connection: Connection, key: str) -> bool:
    """Whether a message of this key was ever written."""
    return connection.execute(select(outbox.c.id).where(outbox.c.key == key)).first() is not None


def claim(
    connection: Connection,
    owner: str,
    now: datetime,
    lease: timedelta,
    limit: int,
    *,
    busy: Collection[str] = (),
    per_channel: int = 1,
    room: Mapping[str, int] | None = None,
) -> list[DeliveryRecord]:
    """Take up to `limit` due messages, at most `per_channel` (or its `room`) of one channel, none of the `busy` ones.

    What is more urgent is taken first. Messages about one incident leave a channel in the order they were written:
    nobody reads "resolved" before "opened". A row whose lease ran out is taken again, as a possible repeat when its
    send had begun. When the clock went back, what was written "later" than now is due at once: waiting for the old
    time would be silence.
    """
    taken: dict[str, int] = {}
    claimed: list[DeliveryRecord] = []
    for row in connection.execute(_due(now, busy, dialect=connection.dialect.name)).mappings():
        channel = row["channel"]
        if taken.get(channel, 0) >= (room or {}).get(channel, per_channel):
            continue
        if take(connection, row, owner, now, lease):
            taken[channel] = taken.get(channel, 0) + 1
            claimed.append(get(connection, row["id"]))
        if len(claimed) >= limit:
            break
    return claimed


def take(connection: Connection, row: RowMapping, owner: str, now: datetime, lease: timedelta) -> bool:
    """Put a row that was just read under a lease. False when somebody else was faster."""
    orphaned = row["state"] == DeliveryState.SENDING.value and row["begun"]
    changed = connection.execute(
        update(outbox)
        .where(outbox.c.id == row["id"], outbox.c.epoch == row["epoch"], outbox.c.state == row["state"])
        .values(
            state=DeliveryState.SENDING.value,
            lease_owner=owner,
            lease_until=now + lease,
            epoch=row["epoch"] + 1,
            begun=False,
            touched_at=now,
            possible_repeat=row["possible_repeat"] or orphaned,
            attempts=row["attempts"] + (1 if orphaned else 0),
            unknown_results=row["unknown_results"] + (1 if orphaned else 0),
        )
    )
    if changed.rowcount == 1 and orphaned:
        _record(connection, row["id"], _lost(row, now), row["lease_owner"])
    return changed.rowcount == 1


def _due(now: datetime, busy: Collection[str], *, dialect: str) -> Select[Any]:
    earlier = outbox.alias("earlier")
    blocked = (
        select(earlier.c.id)
        .where(
            earlier.c.channel == outbox.c.channel,
            earlier.c.incident == outbox.c.incident,
            earlier.c.id < outbox.c.id,
            earlier.c.state.in_(_OPEN),
        )
        .exists()
    )
    query = (
        select(outbox)
        .where(is_due(now), ~blocked)
        .order_by(outbox.c.priority, outbox.c.not_before, outbox.c.id)
        .limit(MAX_CANDIDATES)
    )
    if busy:
        query = query.where(outbox.c.channel.not_in(list(busy)))
    return query.with_for_update(skip_locked=True, of=outbox) if dialect == "postgresql" else query


def is_due(now: datetime) -> ColumnElement[bool]:
    """Waiting and its time has come, orphaned by its worker, or written by a clock that has gone back since."""
    return or_(
        and_(outbox.c.state.in_(_OPEN), outbox.c.touched_at > now),
        and_(outbox.c.state == DeliveryState.PENDING.value, outbox.c.not_before <= now),
        and_(outbox.c.state == DeliveryState.SENDING.value, outbox.c.lease_until <= now),
    )


def begin(connection: Connection, record: DeliveryRecord, payload: Mapping[str, object] | None = None) -> bool:
    """Write down, just before it is sent, what is sent. False when the claim is no longer ours: then it must not be.

    Without a `payload` the wording stays as it is: the message leaves as one of several in a digest.
    """
    wording = {} if payload is None else {"payload": dict(payload)}
    return _settle(connection, record, begun=True, **wording)


def delivered(connection: Connection, record: DeliveryRecord, attempt: Attempt, owner: str) -> bool:
    """The channel took it. False when the claim is no longer ours; the attempt is recorded all the same."""
    return _finish(connection, record, attempt, owner, DeliveryState.DELIVERED)


def rejected(connection: Connection, record: DeliveryRecord, attempt: Attempt, owner: str) -> bool:
    """The channel refused it for good."""
    return _finish(connection, record, attempt, owner, DeliveryState.REJECTED)


def unknown(connection: Connection, record: DeliveryRecord, attempt: Attempt, owner: str) -> bool:
    """Nobody can tell whether it arrived, and it will not be repeated."""
    return _finish(connection, record, attempt, owner, DeliveryState.UNKNOWN)


def retry(
    connection: Connection, record: DeliveryRecord, attempt: Attempt, owner: str, at: datetime, *, in_doubt: bool
) -> bool:
    """Try again at `at`. `in_doubt`: the last try may have arrived, so the next one may be a repeat."""
    _record(connection, record.id, attempt, owner)
    return _settle(
        connection,
        record,
        state=DeliveryState.PENDING.value,
        not_before=at,
        touched_at=attempt.at,
        lease_until=None,
        code=attempt.code,
        detail=attempt.detail,
        attempts=attempt.number,
        unknown_results=outbox.c.unknown_results + (1 if in_doubt else 0),
        possible_repeat=record.possible_repeat or in_doubt,
    )


def release(connection: Connection, record: DeliveryRecord) -> bool:
    """Give a claimed row back untouched, because nothing was sent."""
    return _settle(connection, record, state=DeliveryState.PENDING.value, lease_until=None)


def close(
    connection: Connection, record: DeliveryRecord, now: datetime, state: DeliveryState, code: str, detail: str
) -> bool:
    """End it without another try: too old to be worth sending, no such channel any more, in doubt once too often."""
    return _settle(connection, record, state=state.value, code=code, detail=detail, finished_at=now, lease_until=None)


def cancel_pending(connection: Connection, incident: int, kind: NoticeKind | None = None) -> int:
    """Take back what nobody has begun to send (of one kind, or all). Returns how many."""
    mine = [outbox.c.incident == incident, outbox.c.state == DeliveryState.PENDING.value, outbox.c.attempts == 0]
    if kind is not None:
        mine.append(outbox.c.kind == kind.value)
    return connection.execute(update(outbox).where(*mine).values(state=DeliveryState.CANCELLED.value)).rowcount


def get(connection: Connection, id: int) -> DeliveryRecord:
    """One row with its attempts. Raises LookupError when there is none."""
    row = connection.execute(select(outbox).where(outbox.c.id == id)).mappings().first()
    if row is None:
        raise LookupError(f"no delivery {id}")
    return _records(connection, [row])[0]


def get_all(connection: Connection, ids: Sequence[int]) -> list[DeliveryRecord]:
    """Rows with their attempts, in the order of `ids`; those that are not there are left out."""
    found = connection.execute(select(outbox).where(outbox.c.id.in_(list(ids)))).mappings()
    known = {row["id"]: row for row in found}
    return _records(connection, [known[id] for id in ids if id in known])


def deliveries(connection: Connection, incident: int) -> list[DeliveryRecord]:
    """Everything sent or to be sent about one incident, oldest first, with attempts."""
    rows = connection.execute(select(outbox).where(outbox.c.incident == incident).order_by(outbox.c.id)).mappings()
    return _records(connection, list(rows))


def latest(connection: Connection, limit: int, *, before: int | None = None) -> list[DeliveryRecord]:
    """The delivery log, newest first; `before` pages on from an id."""
    query = select(outbox).order_by(outbox.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(outbox.c.id < before)
    return _records(connection, list(connection.execute(query).mappings()))


def oldest_due(connection: Connection, now: datetime) -> datetime | None:
    """Since when the oldest message that should be out by now has been waiting; None when nothing waits."""
    waiting = and_(outbox.c.state.in_(_OPEN), outbox.c.not_before <= now)
    return connection.execute(
        select(outbox.c.not_before).where(waiting).order_by(outbox.c.not_before).limit(1)
    ).scalar_one_or_none()


def stuck(connection: Connection, since: datetime) -> dict[str, int]:
    """Channels with messages that were due, or tried for the first time, before `since` and have no end, and how many.

    A retry moves the time at which a message is due, so the first try counts where there was one.
    """
    tried = select(outbox_attempts.c.outbox).where(
        outbox_attempts.c.outbox == outbox.c.id, outbox_attempts.c.at <= since
    )
    late = or_(tried.exists(), and_(outbox.c.attempts == 0, outbox.c.not_before <= since))
    query = select(outbox.c.channel, func.count()).where(outbox.c.state.in_(_OPEN), late).group_by(outbox.c.channel)
    return {row[0]: row[1] for row in connection.execute(query)}


def pending(connection: Connection) -> int:
    """How many messages have not come to an end."""
    return int(connection.execute(select(func.count()).where(outbox.c.state.in_(_OPEN))).scalar_one())


def _finish(connection: Connection, record: DeliveryRecord, attempt: Attempt, owner: str, state: DeliveryState) -> bool:
    _record(connection, record.id, attempt, owner)
    return _settle(
        connection,
        record,
        state=state.value,
        finished_at=attempt.at,
        lease_until=None,
        attempts=attempt.number,
        code=attempt.code,
        detail=attempt.detail,
    )


def _settle(connection: Connection, record: DeliveryRecord, **values: Any) -> bool:
    held = (
        outbox.c.id == record.id,
        outbox.c.epoch == record.epoch,
        outbox.c.state == DeliveryState.SENDING.value,
    )
    return connection.execute(update(outbox).where(*held).values(**values)).rowcount == 1


def _record(connection: Connection, id: int, attempt: Attempt, owner: str) -> None:
    """The attempt happened whoever holds the row now, so it is always written, under the next free number."""
    last = connection.execute(
        select(func.coalesce(func.max(outbox_attempts.c.number), 0)).where(outbox_attempts.c.outbox == id)
    ).scalar_one()
    connection.execute(
        insert(outbox_attempts).values(
            outbox=id,
            number=last + 1,
            at=attempt.at,
            owner=owner,
            result=attempt.result,
            code=attempt.code,
            detail=attempt.detail,
            seconds=attempt.seconds,
            possible_repeat=attempt.possible_repeat,
        )
    )


def _lost(row: RowMapping, now: datetime) -> Attempt:
    return Attempt(
        number=row["attempts"] + 1,
        at=now,
        result="unknown",
        code="worker_lost",
        detail="the worker that was sending it stopped without a result; it may have arrived",
        seconds=0.0,
        possible_repeat=row["possible_repeat"],
    )


def _records(connection: Connection, rows: Sequence[RowMapping]) -> list[DeliveryRecord]:
    logs: dict[int, list[Attempt]] = {}
    ids = [row["id"] for row in rows]
    query = (
        select(outbox_attempts)
        .where(outbox_attempts.c.outbox.in_(ids))
        .order_by(outbox_attempts.c.outbox, outbox_attempts.c.number)
    )
    for item in connection.execute(query).mappings():
        attempt = Attempt(
            number=item["number"],
            at=item["at"],
            result=item["result"],
            code=item["code"],
            detail=item["detail"],
            seconds=item["seconds"],
            possible_repeat=item["possible_repeat"],
        )
        logs.setdefault(item["outbox"], []).append(attempt)
    return [_delivery(row, tuple(logs.get(row["id"], ()))) for row in rows]


def _delivery(row: RowMapping, log: tuple[Attempt, ...]) -> DeliveryRecord:
    return DeliveryRecord(
        id=row["id"],
        key=row["key"],
        kind=NoticeKind(row["kind"]),
        incident=row["incident"],
        version=row["version"],
        repeat=row["repeat"],
        receiver=row["receiver"],
        person=row["person"],
        channel=row["channel"],
        priority=row["priority"],
        state=DeliveryState(row["state"]),
        created_at=row["created_at"],
        not_before=row["not_before"],
        finished_at=row["finished_at"],
        possible_repeat=row["possible_repeat"],
        text=row["text"],
        payload=row["payload"],
        attempts=row["attempts"],
        unknown_results=row["unknown_results"],
        code=row["code"],
        detail=row["detail"],
        epoch=row["epoch"],
        lease_until=row["lease_until"],
        log=log,
    )


def _rows(notices: Sequence[Notice], now: datetime | None) -> list[dict[str, Any]]:
    """One row for each notice and channel, each key once."""
    rows = {
        notice.key(channel): {
            "key": notice.key(channel),
            "kind": notice.kind.value,
            "incident": notice.incident,
            "version": notice.version,
            "repeat": notice.repeat,
            "priority": notice.priority,
            "receiver": notice.receiver,
            "person": notice.person,
            "channel": channel,
            "text": dict(notice.text),
            "created_at": now or notice.not_before,
            "not_before": notice.not_before,
            "touched_at": now or _LONG_AGO,
            **_NEW,
        }
        for notice in notices
        for channel in notice.channels
    }
    return list(rows.values())
