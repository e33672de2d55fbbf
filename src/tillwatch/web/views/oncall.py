"""On-call as a page shows it: who has the phone, who is next, and the coming days as a strip."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tillwatch.config.declared import ChainConfig
from tillwatch.incident.climbing import named
from tillwatch.oncall.duty import Duty
from tillwatch.oncall.outlook import HORIZON, merged, outlook
from tillwatch.oncall.rota import Schedule, Turn
from tillwatch.web.formats import Formats
from tillwatch.web.language import Texts
from tillwatch.web.views.names import person_name, target_name, window_name

#: Days of the strip.
DAYS = 14
#: Width of a day in the strip's own units.
DAY_WIDTH = 100
#: People are told apart by so many patterns; more than that share them.
PATTERNS = 6
#: Turns listed below the strip.
MAX_TURNS_LISTED = 12


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One turn in the strip. `pattern` is `gap` when it is nobody's."""

    x: int
    width: int
    pattern: str
    title: str


@dataclass(frozen=True, kw_only=True)
class RotaView:
    id: str
    name: str
    zone: str
    #: Empty when nobody is on call.
    person: str
    vendor: bool
    why: str
    until: datetime
    next_person: str
    next_at: datetime | None
    begins: datetime
    pieces: tuple[Piece, ...]
    days: tuple[datetime, ...]
    turns: tuple[tuple[str, Turn], ...]
    may_be_empty: bool


@dataclass(frozen=True, kw_only=True)
class CalendarView:
    """Today: quiet hours until, windows that hold, and whether runbooks may start by themselves."""

    quiet_until: datetime | None
    windows: tuple[str, ...]
    automatic_runs: bool
    forbidden_by: tuple[str, ...]


def rota_views(config: ChainConfig, duty: Duty, now: datetime, t: Texts, f: Formats) -> list[RotaView]:
    return [_rota(config, schedule, now, t, f) for schedule in duty.schedules.values()]


def _rota(config: ChainConfig, schedule: Schedule, now: datetime, t: Texts, f: Formats) -> RotaView:
    rota = schedule.rota
    found = outlook(schedule, now)
    local = now.astimezone(schedule.zone)
    begins = local.replace(hour=0, minute=0, second=0, microsecond=0)
    days = tuple(begins + timedelta(days=number) for number in range(DAYS))
    turns = merged(schedule.turns(begins, begins + timedelta(days=DAYS)))
    # The strip is cut at its ends, the list is not.
    whole = merged(schedule.turns(begins - HORIZON, begins + HORIZON))
    people = sorted({turn.person for turn in turns if turn.person})
    vendors = {person.id for person in config.people if person.vendor}
    return RotaView(
        id=rota.id,
        name=t.name(rota.name, rota.id),
        zone=schedule.zone.key,
        person=person_name(config, found.now.person, t) if found.now.person else "",
        vendor=found.now.person in vendors,
        why=t(f"turn.{found.now.why.value}"),
        until=found.now.ends,
        next_person=person_name(config, found.next.person, t) if found.next else "",
        next_at=found.next.begins if found.next else None,
        begins=begins,
        pieces=tuple(_piece(config, turn, begins, people, t, f) for turn in turns),
        days=days,
        turns=tuple((_called(config, turn, t), turn) for turn in whole if turn.ends > now)[:MAX_TURNS_LISTED],
        may_be_empty=rota.may_be_empty,
    )


def _piece(config: ChainConfig, turn: Turn, begins: datetime, people: Sequence[str], t: Texts, f: Formats) -> Piece:
    x, end = (round((at - begins) / timedelta(days=1) * DAY_WIDTH) for at in (turn.begins, turn.ends))
    title = f"{_called(config, turn, t)}, {f.full(turn.begins)} – {f.full(turn.ends)}"
    pattern = str(people.index(turn.person) % PATTERNS) if turn.person else "gap"
    return Piece(x=x, width=max(1, end - x), pattern=pattern, title=title)


def _called(config: ChainConfig, turn: Turn, t: Texts) -> str:
    return person_name(config, turn.person, t) if turn.person else t("oncall.nobody")


@dataclass(frozen=True, kw_only=True)
class PolicyView:
    name: str
    receivers: tuple[str, ...]
    #: Whom each step tells as things stand now, and how long it waits, in seconds.
    steps: tuple[tuple[str, float], ...]
    repeat: int


def policy_views(config: ChainConfig, duty: Duty, now: datetime, t: Texts) -> list[PolicyView]:
    return [
        PolicyView(
            name=t.name(policy.name, policy.id),
            receivers=tuple(t.name(one.name, one.id) for one in config.receivers if one.escalation == policy.id),
            steps=tuple(
                (
                    target_name(config, named(step.notify), duty.recipient(step.notify, (), now).person, t),
                    step.wait_for_ack.total_seconds(),
                )
                for step in policy.steps
            ),
            repeat=policy.repeat,
        )
        for policy in config.escalations
    ]


def calendar_view(config: ChainConfig, duty: Duty, now: datetime, t: Texts) -> CalendarView:
    calendar = duty.calendar
    quiet = calendar.quiet_until(now)
    allowed, forbidding = calendar.automatic_runs_allowed(now)
    holding = [window.id for window in config.windows if calendar.holds(window, now)]
    return CalendarView(
        quiet_until=quiet,
        windows=tuple(window_name(config, one, t) for one in holding),
        automatic_runs=allowed,
        forbidden_by=tuple(window_name(config, one, t) for one in forbidding),
    )
