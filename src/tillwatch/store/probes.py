"""Probe memory: the thresholded state of every probe and its last results."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select

from tillwatch.errors import Cause
from tillwatch.model.probe import Measurement, Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.store import upsert
from tillwatch.store.tables.probes import probe_results, probe_states

#: Results kept of each probe: at one run every 15 s this is the last hour, enough for "since when and how".
RESULTS_KEPT = 240


def load_states(connection: Connection) -> dict[str, ProbeState]:
    """What is remembered of every probe that ever ran, by probe id."""
    rows = connection.execute(select(probe_states)).mappings()
    return {row["probe"]: _state(row) for row in rows}


def load_state(connection: Connection, probe: str) -> ProbeState | None:
    """What is remembered of one probe, None when it never ran."""
    row = connection.execute(select(probe_states).where(probe_states.c.probe == probe)).mappings().one_or_none()
    return None if row is None else _state(row)


def save_result(connection: Connection, state: ProbeState, result: ProbeResult, *, keep: int = RESULTS_KEPT) -> None:
    """Store one result and the state it led to; drop the probe's results beyond the newest `keep`."""
    connection.execute(insert(probe_results).values(**_result_values(result)))
    oldest_kept = (
        select(probe_results.c.id)
        .where(probe_results.c.probe == result.probe)
        .order_by(probe_results.c.id.desc())
        .limit(1)
        .offset(keep)
        .scalar_subquery()
    )
    connection.execute(
        delete(probe_results).where(probe_results.c.probe == result.probe, probe_results.c.id <= oldest_kept)
    )
    save_state(connection, state)


def save_state(connection: Connection, state: ProbeState) -> None:
    """Store a state alone, for example after its alert was resolved because the probe left the configuration."""
    values = {
        "status": state.status.value,
        "failures_in_a_row": state.failures_in_a_row,
        "successes_in_a_row": state.successes_in_a_row,
        "since": state.since,
        "alert_labels": dict(state.alert_labels),
        "alert_since": state.alert_since,
        "last": None if state.last is None else _document(state.last),
    }
    connection.execute(
        upsert.insert(connection, probe_states)
        .values(probe=state.probe, **values)
        .on_conflict_do_update(index_elements=[probe_states.c.probe], set_=values)
    )


def forget(connection: Connection, probe: str) -> None:
    """Drop everything remembered of a probe that is no longer configured."""
    connection.execute(delete(probe_results).where(probe_results.c.probe == probe))
    connection.execute(delete(probe_states).where(probe_states.c.probe == probe))


def history(connection: Connection, probe: str, limit: int) -> list[ProbeResult]:
    """The last results of one probe, newest first."""
    rows = connection.execute(
        select(probe_results).where(probe_results.c.probe == probe).order_by(probe_results.c.id.desc()).limit(limit)
    ).mappings()
    return [_result(row) for row in rows]


def outcomes(connection: Connection, probe: str, limit: int) -> list[dict[str, Any]]:
    """The last results of one probe without what they say, newest first: started_at (ISO 8601), outcome, seconds."""
    columns = (probe_results.c.started_at, probe_results.c.outcome, probe_results.c.seconds)
    query = select(*columns).where(probe_results.c.probe == probe).order_by(probe_results.c.id.desc()).limit(limit)
    return [
        {"started_at": row.started_at.isoformat(), "outcome": row.outcome, "seconds": row.seconds}
        for row in connection.execute(query)
    ]


def _result_values(result: ProbeResult) -> dict[str, Any]:
    return {
        "probe": result.probe,
        "started_at": result.started_at,
        "seconds": result.seconds,
        "outcome": result.outcome.value,
        "cause": result.cause.value,
        "message": result.message,
        "phases": dict(result.phases),
        "measurements": [
            {"name": item.name, "value": item.value, "labels": dict(item.labels)} for item in result.measurements
        ],
        "log": list(result.log),
        "evidence": dict(result.evidence),
    }


def _document(result: ProbeResult) -> dict[str, Any]:
    return {**_result_values(result), "started_at": result.started_at.isoformat()}


def _result(row: RowMapping | Mapping[str, Any]) -> ProbeResult:
    started_at = row["started_at"]
    return ProbeResult(
        probe=row["probe"],
        outcome=Outcome(row["outcome"]),
        started_at=started_at if isinstance(started_at, datetime) else datetime.fromisoformat(started_at),
        seconds=row["seconds"],
        cause=Cause(row["cause"]),
        message=row["message"],
        phases=row["phases"],
        measurements=tuple(Measurement(**item) for item in row["measurements"]),
        log=tuple(row["log"]),
        evidence=row["evidence"],
    )


def _state(row: RowMapping) -> ProbeState:
    return ProbeState(
        probe=row["probe"],
        status=ProbeStatus(row["status"]),
        failures_in_a_row=row["failures_in_a_row"],
        successes_in_a_row=row["successes_in_a_row"],
        since=row["since"],
        last=None if row["last"] is None else _result(row["last"]),
        alert_labels=row["alert_labels"],
        alert_since=row["alert_since"],
    )
