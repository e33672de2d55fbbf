"""Suspects of audits: written by the run that waits for them, taken over by the next one when it dies."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, and_, delete, func, insert, select

from tillwatch.model.audit import AuditRunState, Remembered
from tillwatch.store.tables.audits import audit_runs
from tillwatch.store.tables.suspects import audit_suspects

#: Finished runs whose measured lag counts: long enough to know the sync, short enough to forget an outage.
RUNS_OF_LAG = 20


def suspects(connection: Connection, audit: str) -> list[Remembered]:
    """The undecided suspects of `audit`, in key order."""
    query = select(audit_suspects).where(audit_suspects.c.audit == audit).order_by(audit_suspects.c.number)
    return [
        Remembered(
            key=row["key"],
            first_seen=row["first_seen"],
            since=row["since"],
            windows=row["windows"],
            left=row["left"],
            right=row["right"],
        )
        for row in connection.execute(query).mappings()
    ]


def replace(connection: Connection, *, audit: str, run: int, owner: str, suspects: Sequence[Remembered]) -> bool:
    """Keep exactly these. False, and nothing is changed, when the run is no longer its owner's."""
    mine = select(audit_runs.c.id).where(
        and_(
            audit_runs.c.id == run,
            audit_runs.c.owner == owner,
            audit_runs.c.state == AuditRunState.RUNNING.value,
        )
    )
    if connection.execute(mine).first() is None:
        return False
    connection.execute(delete(audit_suspects).where(audit_suspects.c.audit == audit))
    if suspects:
        rows = [
            {"audit": audit, "run": run, "number": number, **asdict(suspect)}
            for number, suspect in enumerate(suspects, start=1)
        ]
        connection.execute(insert(audit_suspects), rows)
    return True


def counts(connection: Connection) -> dict[str, int]:
    """How many suspects each audit has; audits without any are left out."""
    query = select(audit_suspects.c.audit, func.count()).group_by(audit_suspects.c.audit)
    return {audit: int(number) for audit, number in connection.execute(query)}


def measured_lag(connection: Connection, audit: str) -> float:
    """The slowest normal delay of the sync in seconds, the largest p99 of the last runs; 0 = nothing was measured."""
    query = (
        select(audit_runs.c.evidence)
        .where(audit_runs.c.audit == audit, audit_runs.c.state == AuditRunState.FINISHED.value)
        .order_by(audit_runs.c.id.desc())
        .limit(RUNS_OF_LAG)
    )
    found = [(evidence or {}).get("lag", {}).get("p99", 0.0) for evidence in connection.execute(query).scalars()]
    return max(found, default=0.0)
