"""Who answers for what an audit run found. Entries are added, never changed or removed."""

from collections.abc import Collection

from sqlalchemy import Connection, insert, select

from tillwatch.model.audit import SignOff
from tillwatch.store.tables.audits import audit_signoffs


def add(connection: Connection, signed: SignOff) -> None:
    values = {"run": signed.run, "actor": signed.actor, "reason": signed.reason, "at": signed.at}
    connection.execute(insert(audit_signoffs).values(values))


def of_runs(connection: Connection, runs: Collection[int]) -> dict[int, list[SignOff]]:
    """The sign-offs of each run that has any, oldest first."""
    query = select(audit_signoffs).where(audit_signoffs.c.run.in_(sorted(runs))).order_by(audit_signoffs.c.id)
    found: dict[int, list[SignOff]] = {}
    for row in connection.execute(query):
        signed = SignOff(run=row.run, actor=row.actor, reason=row.reason, at=row.at)
        found.setdefault(row.run, []).append(signed)
    return found
