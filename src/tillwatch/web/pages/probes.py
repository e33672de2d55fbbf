"""Checks: all of them by site, and one with its recent results."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tillwatch.web.handling import FormHere, PagesHere
from tillwatch.web.views.chart import bars
from tillwatch.web.views.checks import of_probe
from tillwatch.web.views.names import audit_names, probe_name
from tillwatch.web.views.overview import overview

router = APIRouter(prefix="/probes", include_in_schema=False)

RESULTS_SHOWN = 50
ROWS_SHOWN = 20
LOGS_SHOWN = 200


@router.get("")
def listed(request: Request, pages: PagesHere) -> Response:
    services, reader = pages.services, pages.reader(request)
    view = overview(services.config, services.records.probe_states(), services.records.latest_audits(), (), pages.now)
    probes = {probe.id: probe_name(services.config, probe, reader.t) for probe in services.config.probes}
    values = {"view": view, "names": {**audit_names(services.config, reader.t), **probes}}
    return pages.html(request, "probes.html", values, reader=reader)


@router.get("/{probe}")
def show(request: Request, pages: PagesHere, probe: str) -> Response:
    services, reader = pages.services, pages.reader(request)
    declared = services.config.probe(probe)
    state = services.records.probe_states().get(declared.id)
    history = services.records.probe_history(declared.id, RESULTS_SHOWN)
    values = {
        "probe": declared,
        "name": probe_name(services.config, declared, reader.t),
        "check": of_probe(declared, state, pages.now),
        "last": state.last if state else None,
        "history": history[:ROWS_SHOWN],
        "bars": bars(history),
        "logs_shown": LOGS_SHOWN,
    }
    return pages.html(request, "probe.html", values, reader=reader)


@router.post("/{probe}/run")
def run(request: Request, pages: PagesHere, probe: str, _form: FormHere) -> Response:
    declared = pages.services.config.probe(probe)
    pages.services.probes.run_now([declared.id])
    return pages.redirect(request, f"/probes/{declared.id}?done=measured")
