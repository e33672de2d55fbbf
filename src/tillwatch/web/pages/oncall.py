"""On call: who has the phone, the coming days, the feed for calendars, and how the last weeks went."""

from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

from tillwatch.oncall import ics
from tillwatch.oncall.duty import Duty
from tillwatch.oncall.outlook import merged
from tillwatch.web.handling import PagesHere
from tillwatch.web.views.names import person_name
from tillwatch.web.views.oncall import DAY_WIDTH, DAYS, calendar_view, policy_views, rota_views

router = APIRouter(prefix="/oncall", include_in_schema=False)

#: What the statistics offer.
SPANS_DAYS = (7, 30, 90)

Days = Annotated[int, Query(ge=1, le=366)]


@router.get("")
def show(request: Request, pages: PagesHere) -> Response:
    config, reader, now = pages.services.config, pages.reader(request), pages.now
    duty = Duty.of(config)
    values = {
        "rotas": rota_views(config, duty, now, reader.t, reader.f),
        "policies": policy_views(config, duty, now, reader.t),
        "calendar": calendar_view(config, duty, now, reader.t),
        "days": DAYS,
        "day_width": DAY_WIDTH,
    }
    return pages.html(request, "oncall.html", values, reader=reader)


@router.get("/statistics")
def statistics(request: Request, pages: PagesHere, days: Days = 30) -> Response:
    config, reader = pages.services.config, pages.reader(request)
    found = pages.services.records.statistics(pages.now - timedelta(days=days))
    people = {one.person: person_name(config, one.person, reader.t) for one in found.by_person if one.person}
    values = {"found": found, "days": days, "spans": SPANS_DAYS, "people": people}
    return pages.html(request, "oncall_statistics.html", values, reader=reader)


@router.get("/{rota}.ics")
def feed(request: Request, pages: PagesHere, rota: str) -> Response:
    """For calendars that subscribe."""
    config, reader, now = pages.services.config, pages.reader(request), pages.now
    schedule = Duty.of(config).schedules.get(rota)
    if schedule is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"there is no rota '{rota}'")
    body = ics.feed(
        reader.t.name(schedule.rota.name, rota),
        merged(schedule.turns(now - ics.BACK, now + ics.AHEAD)),
        now,
        chain=config.chain.id,
        called=lambda person: person_name(config, person, reader.t),
    )
    headers = {"Content-Disposition": f'inline; filename="{rota}.ics"'}
    return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)
