"""A cheap text that differs whenever something a page shows has changed.

Every subject has something that only grows (an id, an entry of a timeline, a record of a run, an attempt); where rows
change in place, only the few that are still open are looked at.
"""

import hashlib
from typing import Any

from sqlalchemy import Connection, Select, func, select

from tillwatch.model.audit import AuditRunState
from tillwatch.model.incident import IncidentState
from tillwatch.model.notice import DeliveryState
from tillwatch.model.runbook import RunState
from tillwatch.model.validation import ValidationRunState
from tillwatch.store.tables.audits import audit_runs
from tillwatch.store.tables.incidents import incidents, timeline
from tillwatch.store.tables.outbox import outbox
from tillwatch.store.tables.probes import probe_results
from tillwatch.store.tables.runs import runbook_runs, runbook_steps
from tillwatch.store.tables.validations import validation_runs

_OPEN_RUNS = tuple(state.value for state in RunState if not state.is_final)
_OPEN_DELIVERIES = tuple(state.value for state in DeliveryState if not state.is_final)


def current(connection: Connection) -> str:
    """Sixteen hex digits."""
    seen: list[object] = [
        connection.execute(select(func.max(table.c.id))).scalar()
        for table in (probe_results, incidents, timeline, outbox, audit_runs, runbook_runs, validation_runs)
    ]
    seen.append(_rows(connection, select(audit_runs.c.id).where(audit_runs.c.state == AuditRunState.RUNNING.value)))
    running = validation_runs.c.state == ValidationRunState.RUNNING.value
    seen.append(_rows(connection, select(validation_runs.c.id).where(running)))
    open_incidents = incidents.c.state != IncidentState.RESOLVED.value
    seen.append(_rows(connection, select(incidents.c.id, incidents.c.version).where(open_incidents)))
    waiting = select(outbox.c.id, outbox.c.state, outbox.c.attempts).where(outbox.c.state.in_(_OPEN_DELIVERIES))
    seen.append(_rows(connection, waiting))
    steps = (
        select(
            runbook_runs.c.id,
            runbook_runs.c.state,
            runbook_steps.c.number,
            runbook_steps.c.phase,
            runbook_steps.c.state,
            runbook_steps.c.attempts,
        )
        .join(runbook_steps, runbook_steps.c.run == runbook_runs.c.id)
        .where(runbook_runs.c.state.in_(_OPEN_RUNS))
    )
    seen.append(_rows(connection, steps))
    return hashlib.blake2b(repr(seen).encode(), digest_size=8).hexdigest()


#: More open rows than this say nothing more about whether a page is fresh.
_MAX_ROWS = 2_000


def _rows(connection: Connection, query: Select[Any]) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(query.limit(_MAX_ROWS))]
