"""/api/v1/validations: what is checked, reports, and running one now."""

from dataclasses import replace

from fastapi import APIRouter
from starlette.responses import Response

from tillwatch.validation.verdict import document
from tillwatch.web.api.audits import EXPORT_TYPES
from tillwatch.web.api.bodies import Id, Limit
from tillwatch.web.api.documents import Document
from tillwatch.web.handling import PAGE_SIZE, ServicesHere

router = APIRouter(prefix="/api/v1/validations", tags=["validations"])

#: One document holds as many findings; the export has all that were kept.
MAX_FINDINGS = 1_000


@router.get("")
def listed(services: ServicesHere) -> list[Document]:
    """Every declared validation with its newest finished report, without findings."""
    latest = services.validations.latest()
    return [
        {
            "validation": spec.id,
            "schedule": spec.schedule,
            "rules": [rule.name for rule in spec.rules],
            "latest": document(latest[spec.id]) if spec.id in latest else None,
        }
        for spec in services.config.validations
    ]


@router.get("/runs")
def runs(services: ServicesHere, limit: Limit = PAGE_SIZE) -> list[Document]:
    """Reports, newest first, without findings."""
    return [document(report) for report in services.validations.reports(limit=limit)]


@router.get("/runs/{run}")
def report(services: ServicesHere, run: Id) -> Document:
    """The document of `tillwatch validate show --json`."""
    found = services.validations.report(run)
    findings = services.validations.findings(run, rule=None, offset=0, limit=MAX_FINDINGS)
    return document(replace(found, findings=tuple(findings)))


@router.get("/runs/{run}/export/{format}")
def export(services: ServicesHere, run: Id, format: str) -> Response:
    """The findings as csv, xlsx or html; cells never start a formula."""
    return exported(services, run, format, services.config.chain.locale)


@router.post("/{validation}/run")
def run(services: ServicesHere, validation: str) -> Document:
    """Run to the end and answer with the report. A page uses the background; a program waits."""
    return document(services.validations.run(services.config.validation(validation).id, trigger="api"))


def exported(services: ServicesHere, run: int, format: str, language: str) -> Response:
    """Always a download: the file brings its own styles, which a page of ours would refuse."""
    return Response(
        services.validations.export(run, format, language=language),
        media_type=EXPORT_TYPES.get(format, "application/octet-stream"),
        headers={"Content-Disposition": f'attachment; filename="validation-run-{run}.{format}"'},
    )
