"""Validations and their reports: which rows break which rule."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tillwatch.web.api.audits import MAX_OFFSET
from tillwatch.web.api.validations import exported
from tillwatch.web.handling import FormHere, PagesHere
from tillwatch.web.views.names import system_names, validation_names

router = APIRouter(prefix="/validations", include_in_schema=False)

#: A screenful or two; the export has everything.
ROWS_SHOWN = 50
RUNS_SHOWN = 20


@router.get("")
def listed(request: Request, pages: PagesHere) -> Response:
    services, reader = pages.services, pages.reader(request)
    values = {
        "validations": services.config.validations,
        "latest": services.validations.latest(),
        "names": validation_names(services.config, reader.t),
        "systems": system_names(services.config, reader.t),
        "history": services.validations.reports(limit=RUNS_SHOWN),
    }
    return pages.html(request, "validations.html", values, reader=reader)


@router.post("/{validation}/run")
def run(request: Request, pages: PagesHere, validation: str, _form: FormHere) -> Response:
    pages.services.validations.start(pages.services.config.validation(validation).id, trigger="page")
    return pages.redirect(request, "/validations?done=validation_started")


@router.get("/runs/{run}")
def report(
    request: Request,
    pages: PagesHere,
    run: int,
    rule: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    services, reader = pages.services, pages.reader(request)
    found = services.validations.report(run)
    rows = services.validations.findings(run, rule=rule or None, offset=offset, limit=ROWS_SHOWN + 1)
    values = {
        "report": found,
        "name": validation_names(services.config, reader.t).get(found.validation, found.validation),
        "systems": system_names(services.config, reader.t),
        "rule": rule,
        "rows": rows[:ROWS_SHOWN],
        "offset": offset,
        "page_size": ROWS_SHOWN,
        "more": len(rows) > ROWS_SHOWN,
    }
    return pages.html(request, "validation_run.html", values, reader=reader)


@router.get("/runs/{run}/export/{format}")
def export(request: Request, pages: PagesHere, run: int, format: str) -> Response:
    return exported(pages.services, run, format, pages.reader(request).t.language)
