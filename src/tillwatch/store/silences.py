"""Silences: who must not be told of what, from when to when. And which incidents are quiet because of them."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, select

from tillwatch.config.matcher import Matcher, matches_all, parse_matcher
from tillwatch.store.tables.silences import quiet_incidents, silences
from tillwatch.store.upsert import insert


class SilenceState(enum.StrEnum):
    """Alertmanager's three, in the order it lists them."""

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"


@dataclass(frozen=True, kw_only=True)
class Silence:
    """Alerts that every matcher matches are told to nobody from `starts_at` until before `ends_at`."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str
    annotations: Mapping[str, str] = field(default_factory=dict)
    updated_at: datetime

    def state(self, now: datetime) -> SilenceState:
        if now < self.starts_at:
            return SilenceState.PENDING
        return SilenceState.ACTIVE if now < self.ends_at else SilenceState.EXPIRED

    def mutes(self, labels: Mapping[str, str]) -> bool:
        return matches_all(self.matchers, labels)


_ACTIVE = (
    select(silences)
    .where(silences.c.starts_at <= bindparam("now"), silences.c.ends_at > bindparam("now"))
    .order_by(silences.c.id)
)
_QUIET = select(quiet_incidents.c.incident)


def silenced_by(active: Iterable[Silence], labels: Mapping[str, str]) -> list[str]:
    """The ids of those among `active` that mute an alert with `labels`."""
    return [silence.id for silence in active if silence.mutes(labels)]


def put(connection: Connection, silence: Silence) -> None:
    """Store a silence, or what changed of it."""
    values: dict[str, Any] = {
        "matchers": [str(matcher) for matcher in silence.matchers],
        "starts_at": silence.starts_at,
        "ends_at": silence.ends_at,
        "created_by": silence.created_by,
        "comment": silence.comment,
        "annotations": dict(silence.annotations),
        "updated_at": silence.updated_at,
    }
    statement = insert(connection, silences).values(id=silence.id, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=values))


def find(connection: Connection, id: str) -> Silence | None:
    row = connection.execute(select(silences).where(silences.c.id == id)).mappings().first()
    return None if row is None else _silence(row)


def active(connection: Connection, now: datetime) -> list[Silence]:
    """The silences that mute at `now`."""
    return [_silence(row) for row in connection.execute(_ACTIVE, {"now": now}).mappings()]


def listed(connection: Connection, *, limit: int) -> list[Silence]:
    """All that are kept, those that end last first."""
    query = select(silences).order_by(silences.c.ends_at.desc(), silences.c.id).limit(limit)
    return [_silence(row) for row in connection.execute(query).mappings()]


def unexpired(connection: Connection, now: datetime) -> int:
    """How many are active or pending."""
    return connection.execute(select(func.count()).where(silences.c.ends_at > now)).scalar_one()


def forget_ended_before(connection: Connection, instant: datetime) -> None:
    connection.execute(delete(silences).where(silences.c.ends_at < instant))


def quiet(connection: Connection) -> set[int]:
    """Incidents whose live alerts were all muted when we last looked."""
    return set(connection.execute(_QUIET).scalars())


def set_quiet(connection: Connection, incident: int) -> None:
    connection.execute(insert(connection, quiet_incidents).values(incident=incident).on_conflict_do_nothing())


def set_heard(connection: Connection, incidents: Sequence[int]) -> None:
    connection.execute(delete(quiet_incidents).where(quiet_incidents.c.incident.in_(incidents)))


def _silence(row: RowMapping) -> Silence:
    return Silence(
        id=row["id"],
        matchers=tuple(parse_matcher(text) for text in row["matchers"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        created_by=row["created_by"],
        comment=row["comment"],
        annotations=row["annotations"],
        updated_at=row["updated_at"],
    )
