"""The differences an audit run found, in key order, and since when each key has differed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, RowMapping, and_, func, select

from tillwatch.model.audit import AuditRunState, Difference, DifferenceKind, Verdict
from tillwatch.store.bulk import BulkInsert
from tillwatch.store.tables.audits import audit_differences, audit_runs

#: Differences read in one query when all of a run are wanted.
PAGE_DIFFERENCES = 1_000
#: Differences written in one transaction: a hundred thousand at once would keep the one writer busy for seconds.
MAX_IN_ONE_WRITE = 2_000

_INSERT = BulkInsert(audit_differences, [column.name for column in audit_differences.c])


def add(connection: Connection, run: int, owner: str, first: int, new: Sequence[Difference], at: datetime) -> bool:
    """Add differences to a run that is under way, numbered from `first`, seen at `at` unless they say otherwise.

    False when the run was given up meanwhile: nothing is stored.
    """
    held = and_(
        audit_runs.c.id == run,
        audit_runs.c.state == AuditRunState.RUNNING.value,
        audit_runs.c.owner == owner,
    )
    if connection.execute(select(audit_runs.c.id).where(held)).first() is None:
        return False
    insert(connection, run, first, new, at)
    return True


def insert(connection: Connection, run: int, first: int, new: Sequence[Difference], at: datetime) -> None:
    """As `add`, for a caller who knows that the run is theirs."""
    _INSERT.run(connection, [_row(run, number, one, at) for number, one in enumerate(new, start=first)])


def known_since(new: Sequence[Difference], seen: Mapping[str, datetime], at: datetime) -> list[Difference]:
    """`new`, each with the instant it was first seen: as `seen` has it, else `at`."""
    return [replace(one, first_seen=seen.get(key_text(dict(one.key)), at)) for one in new]


def first_seen(connection: Connection, audit: str, before: int) -> dict[str, datetime]:
    """Since when each key (as the store writes it) has differed, as the newest proven run before `before` knew it."""
    proven = (Verdict.CLEAN.value, Verdict.DRIFT.value)
    newest = select(func.max(audit_runs.c.id)).where(
        audit_runs.c.audit == audit, audit_runs.c.id < before, audit_runs.c.verdict.in_(proven)
    )
    query = select(audit_differences.c.key, audit_differences.c.first_seen).where(
        audit_differences.c.run == newest.scalar_subquery()
    )
    return {key_text(row.key): row.first_seen for row in connection.execute(query)}


def key_text(key: object) -> str:
    """One spelling of a key, whatever the order of its fields."""
    return json.dumps(key, ensure_ascii=False, sort_keys=True)


def by_field(connection: Connection, run: int) -> dict[tuple[DifferenceKind, str], int]:
    """How many differences of a run are of each kind, and how many of the changed ones differ in each field."""
    query = (
        select(audit_differences.c.kind, audit_differences.c.fields, func.count())
        .where(audit_differences.c.run == run)
        .group_by(audit_differences.c.kind, audit_differences.c.fields)
    )
    found: dict[tuple[DifferenceKind, str], int] = {}
    for kind, fields, count in connection.execute(query):
        for field in ("", *fields):
            at = (DifferenceKind(kind), field)
            found[at] = found.get(at, 0) + count
    return found


def longest_known(connection: Connection, run: int, limit: int) -> dict[str, datetime]:
    """The keys of a run that have differed for longest, and since when, the longest first."""
    query = (
        select(audit_differences.c.key, audit_differences.c.first_seen)
        .where(audit_differences.c.run == run)
        .order_by(audit_differences.c.first_seen, audit_differences.c.number)
        .limit(limit)
    )
    return {" ".join(map(str, row.key.values())): row.first_seen for row in connection.execute(query)}


def page(
    connection: Connection,
    run: int,
    *,
    kind: DifferenceKind | None = None,
    offset: int = 0,
    limit: int = PAGE_DIFFERENCES,
) -> list[Difference]:
    """One page of a run's differences, in key order."""
    query = select(audit_differences).where(audit_differences.c.run == run).order_by(audit_differences.c.number)
    if kind is not None:
        query = query.where(audit_differences.c.kind == kind.value)
    return [_difference(row) for row in connection.execute(query.offset(offset).limit(limit)).mappings()]


def after(connection: Connection, run: int, number: int, limit: int) -> list[tuple[int, Difference]]:
    """Differences numbered above `number`: for readers that want all, page by page, each in its own transaction."""
    query = (
        select(audit_differences)
        .where(audit_differences.c.run == run, audit_differences.c.number > number)
        .order_by(audit_differences.c.number)
        .limit(limit)
    )
    return [(row["number"], _difference(row)) for row in connection.execute(query).mappings()]


def of_run(connection: Connection, run: int, *, limit: int | None = None) -> Iterator[Difference]:
    """A run's differences in key order, at most `limit`."""
    number, given = 0, 0
    while limit is None or given < limit:
        wanted = PAGE_DIFFERENCES if limit is None else min(limit - given, PAGE_DIFFERENCES)
        part = after(connection, run, number, wanted)
        if not part:
            return
        yield from (difference for _, difference in part)
        number, given = part[-1][0], given + len(part)


def _row(run: int, number: int, difference: Difference, at: datetime) -> dict[str, object]:
    return {
        "run": run,
        "number": number,
        "kind": difference.kind.value,
        "key": dict(difference.key),
        "left": None if difference.left is None else dict(difference.left),
        "right": None if difference.right is None else dict(difference.right),
        "fields": list(difference.fields),
        "value_at_risk": difference.value_at_risk,
        "first_seen": difference.first_seen or at,
    }


def _difference(row: RowMapping) -> Difference:
    return Difference(
        kind=DifferenceKind(row["kind"]),
        key=row["key"],
        left=row["left"],
        right=row["right"],
        fields=tuple(row["fields"]),
        value_at_risk=row["value_at_risk"],
        first_seen=row["first_seen"],
    )
