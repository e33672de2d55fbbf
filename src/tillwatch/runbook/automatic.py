"""Runbooks that start by themselves: which, for which incident, and when not. The decision is pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import StoreError, TillwatchError
from tillwatch.model.incident import Incident, IncidentState, TimelineEntry
from tillwatch.model.labels import Labels
from tillwatch.oncall.calendar import StoreCalendar
from tillwatch.oncall.duty import Duty
from tillwatch.runbook.desk import RunbookDesk
from tillwatch.store import alerts, incidents, leases, runs
from tillwatch.store.db import Database

#: Who asked for such a run.
ACTOR = "tillwatch"
#: Of several processes one starts the run; when it dies before it has, another may after this.
TURN = timedelta(minutes=2)
#: Incidents looked at in one round; what is more is a storm, in which nothing should start by itself.
MAX_LOOKED_AT = 100


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`start` names the runbook; without it `held_by` names the windows of the calendar that forbid it, if any."""

    runbook: str = ""
    start: bool = False
    held_by: tuple[str, ...] = ()


def decide(
    incident: Incident,
    *,
    automatic: Collection[str],
    live: Sequence[Labels],
    has_run: bool,
    calendar: StoreCalendar,
    now: datetime,
) -> Decision:
    """What may start by itself for `incident`.

    1. Nothing when somebody is on it, something runs or has run for it, or another incident explains it.
    2. The first suggested runbook that declares itself automatic.
    3. Not while the calendar forbids it for any of the live alerts.
    """
    nobody = incident.state is IncidentState.OPEN and incident.snoozed_until is None and incident.settles_at is None
    if not nobody or incident.parent is not None or has_run or not live:
        return Decision()
    book = next((link.id for link in incident.runbooks if link.id in automatic), "")
    if not book:
        return Decision()
    held = tuple(dict.fromkeys(window for labels in live for window in calendar.automatic_runs_allowed(now, labels)[1]))
    return Decision(runbook=book, start=not held, held_by=held)


class AutomaticRuns:
    """Looks at the open incidents and starts what may start."""

    def __init__(self, desk: RunbookDesk, config: ChainConfig, *, database: Database, clock: Clock, owner: str) -> None:
        self._desk = desk
        self._database = database
        self._clock = clock
        self._owner = owner
        self._calendar = Duty.of(config).calendar
        self._automatic = frozenset(book.id for book in desk.books.values() if book.head.automatic)
        #: What the timeline says already: (incident, runbook, what).
        self._said: set[tuple[int, str, str]] = set()

    def round(self) -> int:
        """Returns how many runs were started."""
        if not self._automatic:
            return 0
        now = self._clock.now()
        with self._database.read() as connection:
            decided = self._decided(connection, now)
        return sum(self._act(incident, decision, now) for incident, decision in decided)

    def _decided(self, connection: Connection, now: datetime) -> list[tuple[int, Decision]]:
        open_now = [one for one in incidents.list_open(connection) if one.runbooks][:MAX_LOOKED_AT]
        live = alerts.live_of_incidents(connection, [one.id for one in open_now])
        return [
            (
                one.id,
                decide(
                    one,
                    automatic=self._automatic,
                    live=[alert.labels for alert in live[one.id]],
                    has_run=bool(runs.listed(connection, incident=one.id, limit=1)),
                    calendar=self._calendar,
                    now=now,
                ),
            )
            for one in open_now
        ]

    def _act(self, incident: int, decision: Decision, now: datetime) -> bool:
        if decision.held_by:
            self._say(incident, decision.runbook, "automatic_held", now, windows=list(decision.held_by))
        if not decision.start or not self._mine(incident, now):
            return False
        try:
            self._desk.start(decision.runbook, {}, incident=incident, actor=ACTOR)
        except StoreError:
            raise
        except TillwatchError as error:
            self._say(incident, decision.runbook, "automatic_refused", now, reason=str(error))
            return False
        return True

    def _mine(self, incident: int, now: datetime) -> bool:
        name = f"automatic:{incident}"
        return self._database.write(lambda found: leases.acquire(found, name, self._owner, TURN, now)) is not None

    def _say(self, incident: int, runbook: str, kind: str, now: datetime, **data: object) -> None:
        if (incident, runbook, kind) in self._said:
            return
        self._said.add((incident, runbook, kind))
        fact = TimelineEntry(at=now, kind=kind, actor=ACTOR, data={"runbook": runbook, **data})
        self._database.write(lambda connection: incidents.append(connection, [(incident, fact)]))
