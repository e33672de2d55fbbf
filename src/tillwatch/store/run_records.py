"""Who signed what, who did what, and what is switched off: the rows of runs that people write."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from tillwatch.store.tables.runs import runbook_records, runbook_switches, runbook_votes
from tillwatch.store.types import dumps
from tillwatch.store.upsert import insert as upsert

#: The switch that stands for all runbooks.
EVERY_RUNBOOK = "*"


@dataclass(frozen=True, kw_only=True)
class Vote:
    step: str
    digest: str
    actor: str
    role: str
    #: approve | reject
    decision: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Record:
    """One entry of the append-only record of a run."""

    number: int
    at: datetime
    actor: str
    kind: str
    data: Mapping[str, object]
    hash: str


@dataclass(frozen=True, kw_only=True)
class Switch:
    """A kill switch that is on."""

    runbook: str
    actor: str
    reason: str
    at: datetime


def add_vote(connection: Connection, run: int, vote: Vote) -> bool:
    """False when this person has already signed this very plan."""
    values = {
        "run": run,
        "step": vote.step,
        "digest": vote.digest,
        "actor": vote.actor,
        "role": vote.role,
        "decision": vote.decision,
        "reason": vote.reason,
        "at": vote.at,
    }
    statement = upsert(connection, runbook_votes).values(values).on_conflict_do_nothing()
    return connection.execute(statement).rowcount == 1


def votes(connection: Connection, run: int) -> tuple[Vote, ...]:
    """In the order they came in."""
    query = select(runbook_votes).where(runbook_votes.c.run == run).order_by(runbook_votes.c.id)
    return tuple(
        Vote(
            step=item.step,
            digest=item.digest,
            actor=item.actor,
            role=item.role,
            decision=item.decision,
            reason=item.reason,
            at=item.at,
        )
        for item in connection.execute(query)
    )


def record(
    connection: Connection, run: int, *, at: datetime, actor: str, kind: str, data: Mapping[str, object]
) -> None:
    """Append one entry that holds the hash of the one before."""
    last = connection.execute(
        select(runbook_records.c.number, runbook_records.c.hash)
        .where(runbook_records.c.run == run)
        .order_by(runbook_records.c.number.desc())
        .limit(1)
    ).one_or_none()
    number, before = (last.number + 1, last.hash) if last else (1, "")
    connection.execute(
        runbook_records.insert().values(
            run=run,
            number=number,
            at=at,
            actor=actor,
            kind=kind,
            data=data,
            hash=_hash(before, run, number, at, actor, kind, data),
        )
    )


def records(connection: Connection, run: int) -> list[Record]:
    query = select(runbook_records).where(runbook_records.c.run == run).order_by(runbook_records.c.number)
    return [
        Record(number=item.number, at=item.at, actor=item.actor, kind=item.kind, data=item.data, hash=item.hash)
        for item in connection.execute(query)
    ]


def first_broken(run: int, entries: Iterable[Record]) -> int | None:
    """The number of the first entry that was changed, or before which one is missing; None when all is as written."""
    before = ""
    for expected, entry in enumerate(entries, 1):
        known = _hash(before, run, expected, entry.at, entry.actor, entry.kind, entry.data)
        if entry.number != expected or entry.hash != known:
            return expected
        before = entry.hash
    return None


def _hash(before: str, run: int, number: int, at: datetime, actor: str, kind: str, data: Mapping[str, object]) -> str:
    # Through JSON and back, so that what is read later hashes as what was written.
    document = json.loads(dumps(dict(data)))
    text = dumps([before, run, number, at.isoformat(), actor, kind, json.dumps(document, sort_keys=True)])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def switched_off(connection: Connection, runbook: str) -> Switch | None:
    """The kill switch that forbids this runbook, if one is on: its own or the one for all."""
    query = (
        select(runbook_switches)
        .where(runbook_switches.c.runbook.in_([runbook, EVERY_RUNBOOK]), runbook_switches.c.is_on)
        .order_by(runbook_switches.c.at)
        .limit(1)
    )
    found = connection.execute(query).one_or_none()
    if found is None:
        return None
    return Switch(runbook=found.runbook, actor=found.actor, reason=found.reason, at=found.at)


def set_switch(connection: Connection, runbook: str, *, is_on: bool, actor: str, reason: str, now: datetime) -> None:
    values = {"is_on": is_on, "actor": actor, "reason": reason, "at": now}
    connection.execute(
        upsert(connection, runbook_switches)
        .values(runbook=runbook, **values)
        .on_conflict_do_update(index_elements=["runbook"], set_=values)
    )
