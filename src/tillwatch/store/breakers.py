"""Authentication breakers that survive a restart: no process tries refused credentials again."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select

from tillwatch.clock import Clock
from tillwatch.errors import AuthRefused
from tillwatch.store import upsert
from tillwatch.store.db import Database
from tillwatch.store.tables.probes import breakers


@dataclass(frozen=True, kw_only=True)
class OpenBreaker:
    """One system whose credentials were refused."""

    system: str
    #: Of the refused credentials; other credentials may be tried.
    credential_digest: str
    opened_at: datetime
    reason: str


def get(connection: Connection, system: str) -> OpenBreaker | None:
    row = connection.execute(select(breakers).where(breakers.c.system == system)).mappings().first()
    return None if row is None else OpenBreaker(**row)


def list_open(connection: Connection) -> list[OpenBreaker]:
    rows = connection.execute(select(breakers).order_by(breakers.c.system)).mappings()
    return [OpenBreaker(**row) for row in rows]


def trip(connection: Connection, breaker: OpenBreaker) -> None:
    """Open for these credentials. The first time they were refused stays on record when they are refused again."""
    values = {
        "credential_digest": breaker.credential_digest,
        "opened_at": breaker.opened_at,
        "reason": breaker.reason,
    }
    connection.execute(
        upsert.insert(connection, breakers)
        .values(system=breaker.system, **values)
        .on_conflict_do_update(
            index_elements=[breakers.c.system],
            set_=values,
            where=breakers.c.credential_digest != breaker.credential_digest,
        )
    )


def rearm(connection: Connection, system: str) -> bool:
    """An operator says: try again. False when nothing was open."""
    return connection.execute(delete(breakers).where(breakers.c.system == system)).rowcount == 1


class StoredBreaker:
    """The breaker of sources, kept in the store and shared by all processes on it."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def check(self, system: str, credential_digest: str) -> None:
        """Raises AuthRefused when these very credentials were refused before; touches no network."""
        with self._database.read() as connection:
            found = get(connection, system)
        if found is not None and found.credential_digest == credential_digest:
            raise AuthRefused(
                f"system '{system}': these credentials were refused at {found.opened_at.isoformat()} ({found.reason}) "
                "and are not tried again; change the password in the chain directory or re-arm the system"
            )

    def refused(self, system: str, credential_digest: str, reason: str) -> None:
        """Remember the refusal. Returns after it is stored: a crash now does not cost the account another attempt."""
        breaker = OpenBreaker(
            system=system, credential_digest=credential_digest, opened_at=self._clock.now(), reason=reason
        )
        self._database.write(lambda connection: trip(connection, breaker))

    def rearm(self, system: str) -> bool:
        return self._database.write(lambda connection: rearm(connection, system))
