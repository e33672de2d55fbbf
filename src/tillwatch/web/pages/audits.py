"""Audits and their reports, row by row."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tillwatch.audit.timetable import next_instant
from tillwatch.model.audit import AuditReport, DifferenceKind
from tillwatch.web.api.audits import MAX_OFFSET, exported
from tillwatch.web.handling import FormHere, PagesHere, ReportHere
from tillwatch.web.views.checks import of_audit
from tillwatch.web.views.differences import columns, of_difference
from tillwatch.web.views.names import audit_names, site_names, system_names
from tillwatch.web.views.trend import by_kind_of_data, by_site
from tillwatch.web.views.trend import columns as columns_of

router = APIRouter(prefix="/audits", include_in_schema=False)

#: A screenful or two; the export has everything.
ROWS_SHOWN = 50
RUNS_SHOWN = 20
#: Columns of the chart: more than two days of a quarter-hourly audit.
RUNS_DRAWN = 200


@router.get("")
def listed(request: Request, pages: PagesHere) -> Response:
    services, reader = pages.services, pages.reader(request)
    latest = services.records.latest_audits()
    audits = [
        (audit, of_audit(audit, latest.get(audit.id), services.config, pages.now), latest.get(audit.id))
        for audit in services.config.audits
    ]
    values = {
        "audits": sorted(audits, key=lambda item: item[1].level.rank),
        "verified": services.records.oldest_verified(),
        "names": audit_names(services.config, reader.t),
        "systems": system_names(services.config, reader.t),
        "history": services.records.audit_reports(limit=RUNS_SHOWN),
        "sites": by_site(services.config, latest),
        "carries": by_kind_of_data(services.config, latest),
        "site_names": site_names(services.config, reader.t),
        "carries_names": {one.carries: reader.t.or_raw("carries", one.carries) for one in services.config.interfaces},
    }
    return pages.html(request, "audits.html", values, reader=reader)


@router.post("/{audit}/run")
def run(request: Request, pages: PagesHere, audit: str, _form: FormHere) -> Response:
    pages.services.audits.start(pages.services.config.audit(audit).id, trigger="page")
    return pages.redirect(request, "/audits?done=audit_started")


@router.get("/runs/{run}")
def report(
    request: Request,
    pages: PagesHere,
    run: int,
    kind: DifferenceKind | None = None,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> Response:
    services, reader = pages.services, pages.reader(request)
    found = services.records.audit_report(run, differences=0)
    found_rows = services.records.differences(run, kind=kind, offset=offset, limit=ROWS_SHOWN + 1)
    rows = [of_difference(item) for item in found_rows]
    values = {
        "report": found,
        "name": audit_names(services.config, reader.t).get(found.audit, found.audit),
        "systems": system_names(services.config, reader.t),
        "kind": kind,
        "rows": rows[:ROWS_SHOWN],
        "columns": columns(rows),
        "offset": offset,
        "page_size": ROWS_SHOWN,
        "more": len(rows) > ROWS_SHOWN,
        "counts": {"missing": found.missing, "extra": found.extra, "changed": found.changed},
        "total": _total(found),
        "signed": services.records.sign_offs([run]).get(run, ()),
    }
    return pages.html(request, "audit_run.html", values, reader=reader)


@router.post("/runs/{run}/sign-off")
def sign_off(request: Request, pages: PagesHere, run: ReportHere, form: FormHere) -> Response:
    actor, reason = form.text("actor"), form.text("reason")
    pages.services.audits.sign_off(run, actor, reason)
    return pages.redirect(request, f"/audits/runs/{run}?done=signed_off", actor=actor)


@router.get("/runs/{run}/export/{format}")
def export(request: Request, pages: PagesHere, run: int, format: str) -> Response:
    return exported(pages.services, run, format, pages.reader(request).t.language)


@router.get("/{audit}")
def show(request: Request, pages: PagesHere, audit: str) -> Response:
    """One audit over time: its runs, what they found, and who signed."""
    services, reader = pages.services, pages.reader(request)
    declared = services.config.audit(audit)
    history = services.records.audit_reports(audit=declared.id, limit=RUNS_DRAWN)
    counts = services.records.by_field(history[0].run) if history else {}
    values = {
        "audit": declared,
        "name": audit_names(services.config, reader.t)[declared.id],
        "next": next_instant(declared, services.config, pages.now),
        "systems": system_names(services.config, reader.t),
        "history": history,
        "columns": columns_of(history),
        "fields": sorted(_fields(counts).items(), key=lambda item: (-item[1], item[0])),
        "rows_shown": RUNS_SHOWN,
        "signed": services.records.sign_offs([report.run for report in history[:RUNS_SHOWN]]),
    }
    return pages.html(request, "audit.html", values, reader=reader)


def _fields(counts: Mapping[tuple[DifferenceKind, str], int]) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, field), count in counts.items():
        if field:
            found[field] = found.get(field, 0) + count
    return found


def _total(report: AuditReport) -> int:
    return report.missing + report.extra + report.changed
