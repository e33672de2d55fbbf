"""Setting and ending silences, as Alertmanager does: what was in force is never rewritten, only ended and replaced."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.config.matcher import Matcher
from tillwatch.errors import UsageError
from tillwatch.store import silences as store
from tillwatch.store.db import Database
from tillwatch.store.silences import Silence, SilenceState

#: Alertmanager's own retention: an ended silence can be looked up this long.
KEPT_AFTER_END = timedelta(hours=120)
#: Every silence is checked against every alert; more of them than this is a script that runs wild.
MAX_UNEXPIRED = 1_000
MAX_LISTED = 10_000

Recurring = Callable[[datetime], Sequence[Silence]]


class NoSuchSilence(UsageError):
    """The id names no silence."""


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A silence as somebody wants it."""

    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    annotations: Mapping[str, str] = field(default_factory=dict)


class Silences:
    """The silences of one store, and with them the declared maintenance windows that hold now (`recurring`)."""

    def __init__(self, database: Database, *, clock: Clock, recurring: Recurring = lambda _now: ()) -> None:
        self._database = database
        self._clock = clock
        self._recurring = recurring

    def set(self, draft: Draft, *, id: str = "") -> str:
        """Add a silence, or change the one with `id`; the id that holds from now on.

        Raises NoSuchSilence for an unknown id, UsageError for a draft that makes no sense, StoreError.
        """

        def job(connection: Connection) -> str:
            now = self._clock.now()
            _check(draft, now)
            before = store.find(connection, id) if id else None
            if id and before is None:
                raise NoSuchSilence(f"there is no silence {id}")
            store.forget_ended_before(connection, now - KEPT_AFTER_END)
            if before is not None and _same_silence(before, draft, now):
                # Clients send the start back in milliseconds; what began keeps its own.
                kept = before.starts_at if before.starts_at <= now else draft.starts_at
                store.put(connection, _of(replace(draft, starts_at=kept), before.id, now))
                return before.id
            if before is not None:
                store.put(connection, expired(before, now))
            if store.unexpired(connection, now) >= MAX_UNEXPIRED:
                raise UsageError(f"there are {MAX_UNEXPIRED} silences already; expire some first")
            added = _of(replace(draft, starts_at=max(draft.starts_at, now)), str(uuid.uuid4()), now)
            store.put(connection, added)
            return added.id

        return self._database.write(job)

    def expire(self, id: str) -> None:
        """End a silence now; one that has ended stays as it is. Raises NoSuchSilence, StoreError."""

        def job(connection: Connection) -> None:
            before = store.find(connection, id)
            if before is None and self._declared(id) is not None:
                raise UsageError(f"{id} is a maintenance window of alerts/routes.yaml; change it there")
            if before is None:
                raise NoSuchSilence(f"there is no silence {id}")
            store.put(connection, expired(before, self._clock.now()))

        self._database.write(job)

    def get(self, id: str) -> Silence:
        """Raises NoSuchSilence."""
        with self._database.read() as connection:
            found = store.find(connection, id) or self._declared(id)
        if found is None:
            raise NoSuchSilence(f"there is no silence {id}")
        return found

    def listed(self) -> list[Silence]:
        """All that are kept in Alertmanager's order: active (next to end first), pending (next to start), expired."""
        with self._database.read() as connection:
            found = store.listed(connection, limit=MAX_LISTED)
        now = self._clock.now()
        return in_order([*found, *self._recurring(now)], now)

    def active(self) -> Sequence[Silence]:
        now = self._clock.now()
        with self._database.read() as connection:
            return [*store.active(connection, now), *self._recurring(now)]

    def _declared(self, id: str) -> Silence | None:
        return next((one for one in self._recurring(self._clock.now()) if one.id == id), None)


def expired(silence: Silence, now: datetime) -> Silence:
    """`silence` ended at `now`; one that never began never will."""
    match silence.state(now):
        case SilenceState.EXPIRED:
            return silence
        case SilenceState.PENDING:
            return replace(silence, starts_at=now, ends_at=now, updated_at=now)
        case SilenceState.ACTIVE:
            return replace(silence, ends_at=now, updated_at=now)


def in_order(silences: Sequence[Silence], now: datetime) -> list[Silence]:
    states = list(SilenceState)

    def key(silence: Silence) -> tuple[int, datetime]:
        state = silence.state(now)
        return states.index(state), silence.starts_at if state is SilenceState.PENDING else silence.ends_at

    return sorted(silences, key=key)


def _check(draft: Draft, now: datetime) -> None:
    if not draft.matchers:
        raise UsageError("a silence needs at least one matcher")
    if all(matcher.matches({}) for matcher in draft.matchers):
        raise UsageError("at least one matcher must not match the empty text, else the silence mutes everything")
    if draft.ends_at <= draft.starts_at:
        raise UsageError("the silence must end after it starts")
    if draft.ends_at <= now:
        raise UsageError("the end of the silence is in the past")


def _same_silence(before: Silence, draft: Draft, now: datetime) -> bool:
    """Whether `draft` can take the place of `before` without changing what is or was muted."""
    if before.matchers != draft.matchers:
        return False
    match before.state(now):
        case SilenceState.ACTIVE:
            return int(draft.starts_at.timestamp()) == int(before.starts_at.timestamp())
        case SilenceState.PENDING:
            return draft.starts_at >= now
        case SilenceState.EXPIRED:
            return False


def _of(draft: Draft, id: str, now: datetime) -> Silence:
    return Silence(
        id=id,
        matchers=draft.matchers,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        created_by=draft.created_by,
        comment=draft.comment,
        annotations=draft.annotations,
        updated_at=now,
    )
