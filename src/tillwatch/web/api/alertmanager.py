"""/api/v2: what Prometheus, amtool, karma and Grafana expect of an Alertmanager."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response

import tillwatch
from tillwatch.config.matcher import Matcher, parse_matcher
from tillwatch.errors import UsageError
from tillwatch.model.alert import AlertState, Episode
from tillwatch.web.api import documents
from tillwatch.web.handling import BodyHere, ServicesHere, pages_of

router = APIRouter(prefix="/api/v2", tags=["alertmanager"])

#: More matchers than any client sends; each one is checked against every alert.
MAX_FILTERS = 50
#: karma talks to nothing that looks older than 0.22.
COMPATIBLE_VERSION = "0.34.0"

#: How many items of the batch were set aside.
QUARANTINE_HEADER = "X-Tillwatch-Quarantined"

Filters = Annotated[list[str], Query(alias="filter", max_length=MAX_FILTERS, default_factory=list)]


@router.get("/alerts")
def alerts(request: Request, services: ServicesHere, filters: Filters, active: bool = True) -> list[documents.Document]:
    """Everything that fires or whose source fell silent, sorted by fingerprint."""
    now = pages_of(request).now
    found = [item for item in _matching(services, filters) if active]
    return [documents.alertmanager_alert(item, now) for item in found]


@router.post("/alerts")
def receive(services: ServicesHere, body: BodyHere) -> Response:
    """200 once everything in the body is stored for good: alerts as alerts, what makes no sense in quarantine.

    A batch with one bad item is not refused: Prometheus counts a refused batch as dropped, and nothing of it was. The
    header tells how many items are in quarantine. 400 only when the body holds no list at all.
    """
    receipt = services.ingest.v2(body, source="prometheus")
    return Response(status_code=HTTPStatus.OK, headers={QUARANTINE_HEADER: str(receipt.quarantined)})


@router.get("/alerts/groups")
def groups(request: Request, services: ServicesHere, filters: Filters) -> list[documents.Document]:
    """Alerts by incident: that is how this router groups."""
    now = pages_of(request).now
    grouped: dict[int | None, list[Episode]] = {}
    for item in _matching(services, filters):
        grouped.setdefault(item.incident, []).append(item)
    return [
        {
            "labels": {"incident": str(incident)} if incident is not None else {},
            "receiver": {"name": "tillwatch"},
            "alerts": [documents.alertmanager_alert(item, now) for item in items],
        }
        for incident, items in grouped.items()
    ]


@router.get("/status")
def status(request: Request) -> documents.Document:
    return {
        "cluster": {"name": "tillwatch", "status": "disabled", "peers": []},
        "config": {"original": ""},
        "uptime": documents.instant(pages_of(request).started_at),
        "versionInfo": {
            "branch": "",
            "buildDate": "",
            "buildUser": f"tillwatch {tillwatch.__version__}",
            "goVersion": "",
            "revision": "",
            "version": COMPATIBLE_VERSION,
        },
    }


@router.get("/receivers")
def receivers(services: ServicesHere) -> list[Mapping[str, str]]:
    return [{"name": receiver.id} for receiver in services.config.receivers]


@router.get("/silences")
def silences() -> list[documents.Document]:
    """None: silences are kept nowhere yet, and an empty list is the truth."""
    return []


def _matching(services: ServicesHere, filters: list[str]) -> list[Episode]:
    try:
        matchers: list[Matcher] = [parse_matcher(text) for text in filters]
    except UsageError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"filter: {error}") from error
    active = [item for item in services.records.active_alerts() if item.state is not AlertState.RESOLVED]
    found = [item for item in active if all(matcher.matches(item.labels) for matcher in matchers)]
    return sorted(found, key=lambda item: item.fingerprint)
