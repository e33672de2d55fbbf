"""Earlier incidents of the same component: what happened then, how long it took and what ended it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select

from tillwatch.model.incident import Incident, IncidentState
from tillwatch.model.runbook import Run
from tillwatch.store import incidents as records
from tillwatch.store import runs
from tillwatch.store.tables.incidents import incidents, timeline

#: The newest ones say most; more would hide them.
SIMILAR_MAX = 5
#: Who ends an incident in the timeline when its alerts ended by themselves.
SYSTEM = "tillwatch"
#: Runbook runs shown of each.
RUNS_MAX = 3


@dataclass(frozen=True, kw_only=True)
class Similar:
    """An incident that is over."""

    incident: Incident
    #: Why it was resolved, as it was said then; empty when its alerts ended by themselves.
    reason: str = ""
    #: Its runbook runs, newest first.
    runs: tuple[Run, ...] = ()

    @property
    def lasted(self) -> timedelta:
        assert self.incident.resolved_at is not None
        return self.incident.resolved_at - self.incident.opened_at


def of(connection: Connection, incident: Incident) -> list[Similar]:
    """The newest `SIMILAR_MAX` resolved incidents of the same component that were opened before `incident`."""
    component = str(incident.component)
    query = (
        select(incidents.c.id)
        .where(
            incidents.c.component == component,
            incidents.c.opened_at <= incident.opened_at,
            incidents.c.state == IncidentState.RESOLVED.value,
            incidents.c.id != incident.id,
        )
        .order_by(incidents.c.opened_at.desc(), incidents.c.id.desc())
        .limit(SIMILAR_MAX)
    )
    numbers = list(connection.execute(query).scalars())
    found = records.get_all(connection, numbers)
    reasons = _reasons(connection, numbers)
    return [
        Similar(
            incident=found[number],
            reason=reasons.get(number, ""),
            runs=tuple(runs.listed(connection, incident=number, limit=RUNS_MAX)),
        )
        for number in numbers
    ]


def document(found: list[Similar]) -> list[dict[str, Any]]:
    """`similar` of `incident show --json`."""
    return [
        {
            "incident": one.incident.id,
            "title": one.incident.title,
            "severity": one.incident.severity.value,
            "opened_at": one.incident.opened_at.isoformat(),
            "seconds": one.lasted.total_seconds(),
            "reason": one.reason,
            "runs": [{"run": run.id, "runbook": run.runbook, "state": run.state.value} for run in one.runs],
        }
        for one in found
    ]


def _reasons(connection: Connection, numbers: list[int]) -> Mapping[int, str]:
    mine = (timeline.c.incident.in_(numbers), timeline.c.kind == "resolved", timeline.c.actor != SYSTEM)
    query = select(timeline.c.incident, timeline.c.data).where(*mine)
    rows = connection.execute(query.order_by(timeline.c.id)) if numbers else ()
    return {number: str(data.get("reason") or "") for number, data in rows}
