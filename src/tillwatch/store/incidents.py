"""Incidents, their timelines, and the document of `incident show`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, func, literal_column, select, update

from tillwatch.errors import UsageError
from tillwatch.model.alert import Episode
from tillwatch.model.incident import (
    Component,
    Incident,
    IncidentState,
    RunbookLink,
    Severity,
    TimelineEntry,
)
from tillwatch.model.notice import DeliveryRecord
from tillwatch.store import alerts, outbox, recipients
from tillwatch.store.bulk import BulkInsert
from tillwatch.store.numbers import reserve
from tillwatch.store.tables.incidents import incidents
from tillwatch.store.tables.incidents import timeline as entries

_INSERT = BulkInsert(incidents, [column.name for column in incidents.c])
_UPDATE = update(incidents).where(incidents.c.id == bindparam("row"))
_APPEND = BulkInsert(entries, ["incident", "at", "kind", "actor", "data"])
#: Written out, not bound: only then do the databases see that the index of open components fits.
_OPEN = incidents.c.state != literal_column(f"'{IncidentState.RESOLVED.value}'")
_SEVERAL = select(incidents).where(incidents.c.id.in_(bindparam("ids", expanding=True)))
_OUTLINE = select(incidents.c.id, incidents.c.component, incidents.c.parent)
_OUTLINES = _OUTLINE.where(_OPEN).order_by(incidents.c.id)
_ABOUT = _OUTLINE.where(_OPEN, incidents.c.component.in_(bindparam("components", expanding=True)))
_AMONG = _OUTLINE.where(_OPEN, incidents.c.id.in_(bindparam("ids", expanding=True)))
_newest = select(incidents.c.opened_at).order_by(incidents.c.id.desc()).limit(bindparam("limit")).subquery()
_RECENT = select(func.count()).where(_newest.c.opened_at >= bindparam("since"))
_same = incidents.alias("same")
_OFTEN = (
    select(incidents.c.id, func.count())
    .join(_same, _same.c.component == incidents.c.component)
    .where(incidents.c.id.in_(bindparam("ids", expanding=True)), _same.c.opened_at >= bindparam("since"))
    .group_by(incidents.c.id)
)
_above = incidents.alias("above")
_ORPHANS = (
    _OUTLINE.join(_above, _above.c.id == incidents.c.parent)
    .where(_OPEN, incidents.c.parent.is_not(None), _above.c.state == IncidentState.RESOLVED.value)
    .order_by(incidents.c.id)
)


def numbers(connection: Connection, count: int) -> list[int]:
    """Numbers for incidents to `add` in this transaction."""
    return reserve(connection, incidents, count)


def add(connection: Connection, new: Sequence[Incident]) -> None:
    """Store new incidents under the numbers they carry."""
    _INSERT.run(connection, [{"id": incident.id, **_values(incident)} for incident in new])


def save(connection: Connection, changed: Sequence[Incident]) -> None:
    """Store incidents that are there already, whole."""
    if changed:
        connection.execute(_UPDATE, [{"row": incident.id, **_values(incident)} for incident in changed])


def get(connection: Connection, id: int) -> Incident:
    """One incident. Raises UsageError when there is none of this number."""
    row = connection.execute(select(incidents).where(incidents.c.id == id)).mappings().first()
    if row is None:
        raise UsageError(f"there is no incident {id}; 'tillwatch incident list' shows what there is")
    return _incident(row)


def get_all(connection: Connection, ids: Collection[int]) -> dict[int, Incident]:
    """Those of the incidents that exist, by number."""
    if not ids:
        return {}
    rows = connection.execute(_SEVERAL, {"ids": sorted(ids)}).mappings()
    return {row["id"]: _incident(row) for row in rows}


def find_open(connection: Connection, component: Component) -> Incident | None:
    """The one open incident about `component`, if any."""
    row = (
        connection.execute(
            select(incidents).where(
                incidents.c.component == str(component), incidents.c.state != IncidentState.RESOLVED.value
            )
        )
        .mappings()
        .first()
    )
    return None if row is None else _incident(row)


@dataclass(frozen=True, kw_only=True)
class Outline:
    """As much of an open incident as it takes to find it."""

    id: int
    component: Component
    parent: int | None


def outlines(connection: Connection) -> list[Outline]:
    """Every open incident in outline, oldest first."""
    return _outlines(connection, _OUTLINES)


def outlines_of(connection: Connection, components: Collection[Component], ids: Collection[int] = ()) -> list[Outline]:
    """The open incidents about one of `components`, or among `ids`, in outline."""
    names = sorted(str(component) for component in components)
    found = _outlines(connection, _ABOUT, components=names) if names else []
    known = {outline.id for outline in found}
    if others := sorted(id for id in ids if id not in known):
        found += _outlines(connection, _AMONG, ids=others)
    return found


def opened_since(connection: Connection, since: datetime, *, limit: int) -> int:
    """How many of the newest `limit` incidents opened at `since` or later."""
    return int(connection.execute(_RECENT, {"since": since, "limit": limit}).scalar_one())


def often(connection: Connection, ids: Collection[int], since: datetime) -> dict[int, int]:
    """How often each incident's component has had an incident that opened at `since` or later, this one included."""
    if not ids:
        return {}
    return {row[0]: row[1] for row in connection.execute(_OFTEN, {"ids": sorted(ids), "since": since})}


def orphans(connection: Connection) -> list[Outline]:
    """Open incidents folded under one that is over."""
    return _outlines(connection, _ORPHANS)


def _outlines(connection: Connection, query: Any, **values: Any) -> list[Outline]:
    return [
        Outline(id=id, component=Component.parse(component), parent=parent)
        for id, component, parent in connection.execute(query, values)
    ]


def list_open(connection: Connection) -> list[Incident]:
    """Every open incident, oldest first; those folded under another one too."""
    query = select(incidents).where(incidents.c.state != IncidentState.RESOLVED.value).order_by(incidents.c.id)
    return [_incident(row) for row in connection.execute(query).mappings()]


def open_by_severity(connection: Connection) -> dict[Severity, int]:
    """How many incidents are open, by severity; those folded under another one are part of that one."""
    query = (
        select(incidents.c.severity, func.count())
        .where(incidents.c.state != IncidentState.RESOLVED.value, incidents.c.parent.is_(None))
        .group_by(incidents.c.severity)
    )
    return {Severity(severity): number for severity, number in connection.execute(query)}


def latest(connection: Connection, *, limit: int, before: int | None = None) -> list[Incident]:
    """Incidents, newest first; `before` pages on from a number."""
    query = select(incidents).order_by(incidents.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(incidents.c.id < before)
    return [_incident(row) for row in connection.execute(query).mappings()]


def due(connection: Connection, now: datetime, *, limit: int) -> list[Incident]:
    """Open incidents that time alone changes by now, the longest due first."""
    query = (
        select(incidents)
        .where(incidents.c.next_at <= now, incidents.c.state != IncidentState.RESOLVED.value)
        .order_by(incidents.c.next_at, incidents.c.id)
        .limit(limit)
    )
    return [_incident(row) for row in connection.execute(query).mappings()]


def forgotten(connection: Connection, *, limit: int | None = None) -> list[Incident]:
    """Open incidents nobody is on and nothing will ever be told of again; silenced ones are among them."""
    query = (
        select(incidents)
        .where(
            incidents.c.state == IncidentState.OPEN.value,
            incidents.c.parent.is_(None),
            incidents.c.next_at.is_(None),
        )
        .order_by(incidents.c.id)
        .limit(limit)
    )
    return [_incident(row) for row in connection.execute(query).mappings()]


def append(connection: Connection, news: Sequence[tuple[int, TimelineEntry]]) -> None:
    """Add entries to the ends of timelines. There is no function to change or remove one."""
    _APPEND.run(
        connection,
        [
            {"incident": incident, "at": entry.at, "kind": entry.kind, "actor": entry.actor, "data": entry.data}
            for incident, entry in news
        ],
    )


def timeline(connection: Connection, id: int) -> list[TimelineEntry]:
    """The life of an incident, oldest first."""
    query = select(entries).where(entries.c.incident == id).order_by(entries.c.id)
    return [
        TimelineEntry(at=row["at"], kind=row["kind"], actor=row["actor"], data=row["data"])
        for row in connection.execute(query).mappings()
    ]


def last_of(connection: Connection, id: int, kinds: Collection[str], *, since: datetime) -> datetime | None:
    """When something of these kinds happened last in an incident, after `since`; None when nothing did."""
    mine = (entries.c.incident == id, entries.c.kind.in_(list(kinds)), entries.c.at > since)
    return connection.execute(
        select(entries.c.at).where(*mine).order_by(entries.c.id.desc()).limit(1)
    ).scalar_one_or_none()


def episodes(connection: Connection, id: int) -> list[Episode]:
    """The alerts of an incident, oldest first."""
    return alerts.of_incidents(connection, [id])[id]


def document(connection: Connection, id: int) -> dict[str, Any]:
    """The document of `incident show --json` and of the API. Raises UsageError when there is no such incident."""
    incident = get(connection, id)
    return {
        **summary(incident),
        "alerts": [alert_document(episode) for episode in episodes(connection, id)],
        "alerts_total": alerts.count_of_incidents(connection, [id]).get(id, 0),
        "timeline": [
            {"at": entry.at.isoformat(), "kind": entry.kind, "actor": entry.actor, "data": entry.data}
            for entry in timeline(connection, id)
        ],
        "notifications": [_notification(record) for record in outbox.deliveries(connection, id)],
        "runbooks": [{"id": link.id, "url": link.url, "params": dict(link.params)} for link in incident.runbooks],
        "evidence": dict(incident.evidence),
    }


def summary(incident: Incident) -> dict[str, Any]:
    """One incident of `incident list --json`."""
    return {
        "incident": incident.id,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "component": str(incident.component),
        "title": incident.title,
        "titles": dict(incident.titles),
        "opened_at": incident.opened_at.isoformat(),
        "acknowledged_at": _iso(incident.acknowledged_at),
        "acknowledged_by": incident.acknowledged_by,
        "acknowledged_until": _iso(incident.acknowledged_until),
        "snoozed_until": _iso(incident.snoozed_until),
        "assigned_to": incident.assigned_to,
        "resolved_at": _iso(incident.resolved_at),
        "version": incident.version,
        "parent": incident.parent,
        "value_at_risk": None if incident.value_at_risk is None else str(incident.value_at_risk),
    }


def alert_document(episode: Episode) -> dict[str, Any]:
    """One alert of `alert list --json`."""
    return {
        "id": episode.id,
        "fingerprint": episode.fingerprint,
        "alertname": episode.name,
        "state": episode.state.value,
        "source": episode.source,
        "labels": dict(episode.labels),
        "annotations": dict(episode.annotations),
        "starts_at": episode.starts_at.isoformat(),
        "ends_at": _iso(episode.ends_at),
        "lease_until": _iso(episode.lease_until),
        "updated_at": episode.updated_at.isoformat(),
        "incident": episode.incident,
        "generator_url": episode.generator_url,
        "evidence": dict(episode.evidence),
    }


def _notification(record: DeliveryRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.kind.value,
        "receiver": record.receiver,
        "channel": record.channel,
        "person": record.person,
        "state": record.state.value,
        "attempts": record.attempts,
        "code": record.code,
        "detail": record.detail,
        "not_before": record.not_before.isoformat(),
        "finished_at": _iso(record.finished_at),
        "possible_repeat": record.possible_repeat,
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _values(incident: Incident) -> dict[str, Any]:
    return {
        "component": str(incident.component),
        "state": incident.state.value,
        "severity": incident.severity.value,
        "title": incident.title,
        "titles": dict(incident.titles),
        "opened_at": incident.opened_at,
        "acknowledged_at": incident.acknowledged_at,
        "acknowledged_by": incident.acknowledged_by,
        "assigned_to": incident.assigned_to,
        "resolved_at": incident.resolved_at,
        "version": incident.version,
        "parent": incident.parent,
        "value_at_risk": incident.value_at_risk,
        "evidence": dict(incident.evidence),
        "runbooks": [{"id": link.id, "url": link.url, "params": dict(link.params)} for link in incident.runbooks],
        "told": [recipients.told_values(told) for told in incident.told],
        "climbs": [recipients.climb_values(climb) for climb in incident.climbs],
        "acknowledged_until": incident.acknowledged_until,
        "snoozed_until": incident.snoozed_until,
        "settles_at": incident.settles_at,
        "next_at": recipients.next_at(incident),
    }


def _incident(row: RowMapping) -> Incident:
    return Incident(
        id=row["id"],
        component=Component.parse(row["component"]),
        state=IncidentState(row["state"]),
        severity=Severity(row["severity"]),
        title=row["title"],
        titles=row["titles"],
        opened_at=row["opened_at"],
        acknowledged_at=row["acknowledged_at"],
        acknowledged_by=row["acknowledged_by"],
        assigned_to=row["assigned_to"],
        resolved_at=row["resolved_at"],
        version=row["version"],
        parent=row["parent"],
        value_at_risk=row["value_at_risk"],
        evidence=row["evidence"],
        runbooks=tuple(RunbookLink(**link) for link in row["runbooks"]),
        told=tuple(recipients.told(values) for values in row["told"]),
        climbs=tuple(recipients.climb(values) for values in row["climbs"]),
        acknowledged_until=row["acknowledged_until"],
        snoozed_until=row["snoozed_until"],
        settles_at=row["settles_at"],
    )
