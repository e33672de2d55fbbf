"""Whose turn it is: overrides first, then the first rotation that holds. Pure; every answer has its reason."""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from tillwatch.config.schema import Override, Restriction, Rota, Rotation
from tillwatch.oncall import days

_PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(weeks=1)}
_ONE_DAY = timedelta(days=1)


class Why(enum.StrEnum):
    """Why this person, or why nobody."""

    OVERRIDE = "override"
    ROTATION = "rotation"
    #: Every rotation has hours or days, and it is none of them.
    OUTSIDE_HOURS = "outside_hours"
    #: The first hand-over lies ahead.
    NOT_BEGUN = "not_begun"


@dataclass(frozen=True, kw_only=True)
class OnCall:
    """One answer. `person` is empty when it is nobody's turn."""

    rota: str
    person: str
    why: Why


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One answer and how long it holds: from `begins` (inclusive) to `ends`, both cut to what was asked for."""

    rota: str
    person: str
    why: Why
    begins: datetime
    ends: datetime


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """One rota with all that decides it."""

    rota: Rota
    overrides: tuple[Override, ...]
    zone: ZoneInfo
    holidays: str

    def who(self, at: datetime) -> OnCall:
        """1. The last override that holds. 2. The first rotation that has begun and holds. 3. Nobody."""
        for override in reversed(self.overrides):
            if days.placed(override.from_, self.zone) <= at < days.placed(override.until, self.zone):
                return OnCall(rota=self.rota.id, person=override.person, why=Why.OVERRIDE)
        begun = [one for one in self.rota.rotations if at >= self._handover(one, one.start)]
        for rotation in begun:
            if self._holds(rotation, at):
                return OnCall(rota=self.rota.id, person=self._member(rotation, at), why=Why.ROTATION)
        return OnCall(rota=self.rota.id, person="", why=Why.OUTSIDE_HOURS if begun else Why.NOT_BEGUN)

    def turns(self, begins: datetime, ends: datetime) -> list[Turn]:
        """The answers from `begins` to `ends`, each as long as it holds; they follow each other without a hole."""
        found: list[Turn] = []
        edges = sorted({begins, *(edge for edge in self._edges(begins, ends) if begins < edge < ends)})
        for edge, following in zip(edges, [*edges[1:], ends], strict=True):
            now = self.who(edge)
            if found and (found[-1].person, found[-1].why) == (now.person, now.why):
                found[-1] = _until(found[-1], following)
            else:
                found.append(Turn(rota=now.rota, person=now.person, why=now.why, begins=edge, ends=following))
        return found

    def _edges(self, begins: datetime, ends: datetime) -> Iterator[datetime]:
        """Every instant at which the answer could change."""
        for override in self.overrides:
            yield days.placed(override.from_, self.zone)
            yield days.placed(override.until, self.zone)
        wall = {
            minute
            for rotation in self.rota.rotations
            for minute in (days.minutes(rotation.handover), *_restricted(rotation.restrictions))
        }
        # A span over midnight that began on the day before reaches into the first day.
        day, last = begins.astimezone(self.zone).date() - _ONE_DAY, ends.astimezone(self.zone).date()
        while day <= last:
            for minute in wall:
                yield days.instant(day, minute, self.zone)
            day += _ONE_DAY

    def _holds(self, rotation: Rotation, at: datetime) -> bool:
        return not rotation.restrictions or any(
            days.holds(at, self.zone, hours=one.hours, days=one.days, holidays=self.holidays)
            for one in rotation.restrictions
        )

    def _member(self, rotation: Rotation, at: datetime) -> str:
        """Counted in calendar days, so that a day of 23 or 25 hours is still one day."""
        period = _PERIODS[rotation.every]
        number = (at.astimezone(self.zone).date() - rotation.start) // period
        if at < self._handover(rotation, rotation.start + number * period):
            number -= 1
        elif at >= self._handover(rotation, rotation.start + (number + 1) * period):
            number += 1
        return rotation.members[number % len(rotation.members)]

    def _handover(self, rotation: Rotation, day: date) -> datetime:
        return days.instant(day, days.minutes(rotation.handover), self.zone)


def _restricted(restrictions: Sequence[Restriction]) -> Iterator[int]:
    for one in restrictions:
        yield from days.span(one.hours)


def _until(turn: Turn, ends: datetime) -> Turn:
    return Turn(rota=turn.rota, person=turn.person, why=turn.why, begins=turn.begins, ends=ends)
