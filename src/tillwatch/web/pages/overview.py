"""The first page: is my chain OK?"""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tillwatch.web.handling import PagesHere
from tillwatch.web.views.incident import incident_view
from tillwatch.web.views.levels import of_report
from tillwatch.web.views.names import audit_names
from tillwatch.web.views.overview import overview
from tillwatch.web.views.wording import said

router = APIRouter(include_in_schema=False)

#: The first screen shows what is open now and what was compared last; the rest has its own page.
MAX_AUDITS_SHOWN = 8


@router.get("/")
def show(request: Request, pages: PagesHere) -> Response:
    services, reader = pages.services, pages.reader(request)
    incidents = services.records.open_incidents()
    reports = services.records.latest_audits()
    view = overview(services.config, services.records.probe_states(), reports, incidents, pages.now)
    episodes = services.records.episodes([item.id for item in incidents])
    main, more = said(view.sentence, episodes, services.config, reader.t, reader.f)
    recent = sorted(reports.values(), key=lambda report: report.started_at, reverse=True)
    worst_first = sorted(recent, key=lambda report: of_report(report).rank)[:MAX_AUDITS_SHOWN]
    names = audit_names(services.config, reader.t)
    values = {
        "view": view,
        "main": main,
        "more": more,
        "incidents": [
            incident_view(item, episodes.get(item.id, ()), services.config, reader.t)
            for item in sorted(incidents, key=lambda item: (item.severity.rank, item.opened_at))
        ],
        "audits": [(report, names.get(report.audit, report.audit)) for report in worst_first],
    }
    return pages.html(request, "overview.html", values, reader=reader)
