"""GET /api/v1/overview: is my chain OK, for programs."""

from fastapi import APIRouter, Request

from tillwatch.web.api import documents
from tillwatch.web.handling import PagesHere
from tillwatch.web.views.overview import SiteRow, overview
from tillwatch.web.views.wording import said

router = APIRouter(prefix="/api/v1", tags=["overview"])


@router.get("/overview")
def show(request: Request, pages: PagesHere) -> dict[str, object]:
    """The sentence in the chain's language (`?lang=` for the other), sites x checks, and what is open."""
    services = pages.services
    reader = pages.reader(request)
    incidents = services.records.open_incidents()
    view = overview(
        services.config, services.records.probe_states(), services.records.latest_audits(), incidents, pages.now
    )
    episodes = services.records.episodes([item.id for item in incidents])
    main, more = said(view.sentence, episodes, services.config, reader.t, reader.f)
    return {
        "chain": services.config.chain.id,
        "level": view.sentence.level.value,
        "sentence": main,
        "more": more,
        "checked_at": documents.instant(view.sentence.checked_at),
        "columns": list(view.columns),
        "sites": [_row(row, view.columns) for row in view.rows],
        "incidents": [documents.incident(item) for item in incidents],
    }


def _row(row: SiteRow, columns: tuple[str, ...]) -> dict[str, object]:
    return {
        "site": row.site,
        "level": row.level.value,
        "checks": {
            column: [
                {"kind": check.kind, "id": check.id, "level": check.level.value, "state": check.word, "url": check.url}
                for check in cell.checks
            ]
            for column, cell in zip(columns, row.cells, strict=True)
            if cell
        },
    }
