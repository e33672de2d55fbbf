"""What the statistics of on-call are counted from: incidents, the pages people got, and what people then did."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from tillwatch.model.incident import Severity
from tillwatch.model.notice import DeliveryState, NoticeKind
from tillwatch.store.tables.incidents import incidents
from tillwatch.store.tables.incidents import timeline as entries
from tillwatch.store.tables.outbox import outbox

#: Rows of one kind looked at; a team with more in ninety days has another problem than its statistics.
MAX_ROWS = 50_000
#: What interrupts somebody. The end of an incident does not.
PAGING = (NoticeKind.OPENED, NoticeKind.UPDATED, NoticeKind.REMINDER, NoticeKind.ESCALATED)
#: What people do about an incident.
ACTIONS = (
    *("acknowledged", "unacknowledged", "snoozed", "assigned", "note", "resolved"),
    *("run_requested", "run_voted", "run_confirmed", "run_stopped", "run_reopened"),
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One incident that stood for itself."""

    id: int
    severity: Severity
    opened_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Page:
    """One message that reached somebody and asked for attention."""

    incident: int
    person: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing somebody did about an incident."""

    incident: int
    at: datetime


def cases(connection: Connection, since: datetime) -> list[Case]:
    """Incidents opened since then, newest first."""
    query = (
        select(
            incidents.c.id,
            incidents.c.severity,
            incidents.c.opened_at,
            incidents.c.acknowledged_at,
            incidents.c.resolved_at,
        )
        .where(incidents.c.opened_at >= since, incidents.c.parent.is_(None))
        .order_by(incidents.c.id.desc())
        .limit(MAX_ROWS)
    )
    return [
        Case(
            id=row["id"],
            severity=Severity(row["severity"]),
            opened_at=row["opened_at"],
            acknowledged_at=row["acknowledged_at"],
            resolved_at=row["resolved_at"],
        )
        for row in connection.execute(query).mappings()
    ]


def pages(connection: Connection, since: datetime) -> list[Page]:
    """Pages delivered since then, newest first."""
    query = (
        select(outbox.c.incident, outbox.c.person, outbox.c.finished_at)
        .where(
            outbox.c.state == DeliveryState.DELIVERED.value,
            outbox.c.kind.in_([kind.value for kind in PAGING]),
            outbox.c.finished_at >= since,
            outbox.c.incident.is_not(None),
        )
        .order_by(outbox.c.id.desc())
        .limit(MAX_ROWS)
    )
    return [Page(incident=row[0], person=row[1], at=row[2]) for row in connection.execute(query)]


def actions(connection: Connection, since: datetime) -> list[Action]:
    """What people did since then, oldest first."""
    query = (
        select(entries.c.incident, entries.c.at)
        .where(entries.c.at >= since, entries.c.kind.in_(ACTIONS), entries.c.actor.not_in(["tillwatch", ""]))
        .order_by(entries.c.id)
        .limit(MAX_ROWS)
    )
    return [Action(incident=row[0], at=row[1]) for row in connection.execute(query)]
