"""The delivery log: who was told what, and what their side really answered."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tillwatch.web.handling import MAX_ID, PAGE_SIZE, PagesHere
from tillwatch.web.views.names import channel_names

router = APIRouter(prefix="/deliveries", include_in_schema=False)


@router.get("")
def listed(
    request: Request, pages: PagesHere, before: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None
) -> Response:
    services, reader = pages.services, pages.reader(request)
    found = services.records.deliveries(limit=PAGE_SIZE, before=before)
    values = {
        "deliveries": found,
        "channels": channel_names(services.config, reader.t),
        "older": found[-1].id if len(found) == PAGE_SIZE else None,
        "paged": before is not None,
    }
    return pages.html(request, "deliveries.html", values, reader=reader)
