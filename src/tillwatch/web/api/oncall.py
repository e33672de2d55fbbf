"""/api/v1/oncall: whose turn it is, and how the last weeks went."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from tillwatch.oncall.duty import Duty
from tillwatch.oncall.outlook import outlook
from tillwatch.oncall.rota import Turn
from tillwatch.web.api.documents import Document, instant
from tillwatch.web.handling import ServicesHere

router = APIRouter(prefix="/api/v1", tags=["oncall"])

Days = Annotated[int, Query(ge=1, le=366)]


@router.get("/oncall")
def now(services: ServicesHere) -> list[Document]:
    """Every rota with its person on call, until when, and who is next; `person` is empty when it is nobody's turn."""
    duty, moment = Duty.of(services.config), services.clock.now()
    found = [outlook(schedule, moment) for schedule in duty.schedules.values()]
    return [{**_turn(one.now), "next": _turn(one.next) if one.next else None} for one in found]


@router.get("/oncall/statistics")
def statistics(services: ServicesHere, days: Days = 30) -> Document:
    """Times to acknowledge and to resolve in seconds, pages, and how many of them led to an action."""
    return services.records.statistics(services.clock.now() - timedelta(days=days)).document()


@router.get("/calendar")
def calendar(services: ServicesHere) -> Document:
    """What the calendar says now: quiet hours, windows in force, and whether runbooks may start by themselves."""
    declared, moment = Duty.of(services.config).calendar, services.clock.now()
    allowed, forbidding = declared.automatic_runs_allowed(moment)
    return {
        "quiet_until": instant(declared.quiet_until(moment)),
        "windows": [one.id for one in services.config.windows if declared.holds(one, moment)],
        "automatic_runs_allowed": allowed,
        "forbidden_by": list(forbidding),
    }


def _turn(turn: Turn) -> Document:
    return {
        "rota": turn.rota,
        "person": turn.person,
        "why": turn.why.value,
        "from": instant(turn.begins),
        "until": instant(turn.ends),
    }
