"""/api/v1/audits: what is compared, reports, and running one now."""

from collections.abc import Iterator
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from tillwatch.model.audit import DifferenceKind
from tillwatch.web.api import bodies, documents
from tillwatch.web.api.bodies import Id, Limit
from tillwatch.web.handling import PAGE_SIZE, ReportHere, ServicesHere

router = APIRouter(prefix="/api/v1/audits", tags=["audits"])

#: What `audit export` writes, and how a browser is told.
EXPORT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html; charset=utf-8",
}
#: One document holds as many differences; the rest is at `/differences`.
MAX_DIFFERENCES = 1_000
#: A file goes out in parts of this size, so that no answer is held whole in memory.
PART_BYTES = 65_536
#: More differences than any report keeps.
MAX_OFFSET = 10_000_000


@router.get("")
def listed(services: ServicesHere) -> list[documents.Document]:
    """Every declared audit with its newest finished report, without differences."""
    latest = services.records.latest_audits()
    return [
        {
            "audit": audit.id,
            "schedule": audit.schedule,
            "owner": audit.owner,
            "latest": documents.audit_report(latest[audit.id]) if audit.id in latest else None,
        }
        for audit in services.config.audits
    ]


@router.post("/{audit}/run")
def run(services: ServicesHere, audit: str) -> documents.Document:
    """Run to the end and answer with the report. A page uses the background; a program waits."""
    return documents.audit_report(services.audits.run(services.config.audit(audit).id, trigger="api"))


@router.get("/runs/{run}")
def report(services: ServicesHere, run: Id) -> documents.Document:
    """The document of `tillwatch audit show --json`."""
    return documents.audit_report(services.records.audit_report(run, differences=MAX_DIFFERENCES))


@router.get("/runs/{run}/differences")
def differences(
    services: ServicesHere,
    run: Id,
    limit: Limit = PAGE_SIZE,
    kind: DifferenceKind | None = None,
    offset: Annotated[int, Query(ge=0, le=MAX_OFFSET)] = 0,
) -> list[documents.Document]:
    """The differing rows in key order."""
    found = services.records.differences(run, kind=kind, offset=offset, limit=limit)
    return [documents.difference(item) for item in found]


@router.get("/runs/{run}/export/{format}")
def export(services: ServicesHere, run: Id, format: str) -> Response:
    """The report as csv, xlsx or html; cells never start a formula."""
    return exported(services, run, format, services.config.chain.locale)


@router.post("/runs/{run}/sign-off")
def sign_off(services: ServicesHere, run: ReportHere, order: bodies.SignOff) -> documents.Document:
    """Answer for what a run found, by name and with a reason. The drift stays drift."""
    return documents.sign_off(services.audits.sign_off(run, order.actor, order.reason))


@router.get("/runs/{run}/sign-offs")
def sign_offs(services: ServicesHere, run: ReportHere) -> list[documents.Document]:
    return [documents.sign_off(one) for one in services.records.sign_offs([run]).get(run, ())]


@router.get("/{audit}/runs")
def runs(services: ServicesHere, audit: str, limit: Limit = PAGE_SIZE) -> list[documents.Document]:
    """Reports of one audit, newest first, without differences."""
    found = services.records.audit_reports(audit=services.config.audit(audit).id, limit=limit)
    return [documents.audit_report(item) for item in found]


def exported(services: ServicesHere, run: int, format: str, language: str) -> Response:
    """Always a download: the file brings its own styles, which a page of ours would refuse."""
    body = services.audits.export(run, format, language=language)
    return StreamingResponse(
        _parts(body),
        media_type=EXPORT_TYPES.get(format, "application/octet-stream"),
        headers={"Content-Disposition": f'attachment; filename="audit-run-{run}.{format}"'},
    )


def _parts(body: BinaryIO) -> Iterator[bytes]:
    with body:
        while part := body.read(PART_BYTES):
            yield part
