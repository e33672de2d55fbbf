"""Who is on call now, until when, and who comes next; the same answer for the command, the pages and the feed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tillwatch.oncall.rota import Schedule, Turn

#: A turn is followed so far back and ahead; a longer one is cut there.
HORIZON = timedelta(days=45)


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """One rota at one moment."""

    schedule: Schedule
    now: Turn
    #: The next turn of somebody, after a gap perhaps of the same person; None when nobody comes within the horizon.
    next: Turn | None


def outlook(schedule: Schedule, at: datetime) -> Outlook:
    turns = merged(schedule.turns(at - HORIZON, at + HORIZON))
    position = next(number for number, turn in enumerate(turns) if turn.begins <= at < turn.ends)
    following = next((turn for turn in turns[position + 1 :] if turn.person), None)
    return Outlook(schedule=schedule, now=turns[position], next=following)


def merged(turns: Sequence[Turn]) -> list[Turn]:
    """Turns of the same person in a row as one: whether by rotation or by an override, it is the same phone."""
    found: list[Turn] = []
    for turn in turns:
        if found and found[-1].person == turn.person:
            last = found[-1]
            found[-1] = Turn(rota=last.rota, person=last.person, why=last.why, begins=last.begins, ends=turn.ends)
        else:
            found.append(turn)
    return found
