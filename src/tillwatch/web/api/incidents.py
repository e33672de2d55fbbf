"""/api/v1/incidents and /api/v1/deliveries: what is open, and what a person does about it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from tillwatch.web.api import documents
from tillwatch.web.api.bodies import ActorBody, AssignBody, Id, Limit, NoteBody, ResolveBody
from tillwatch.web.handling import PAGE_SIZE, IncidentHere, ServicesHere

router = APIRouter(prefix="/api/v1", tags=["incidents"])

State = Annotated[Literal["", "open"], Query()]


@router.get("/incidents")
def listed(
    services: ServicesHere,
    limit: Limit = PAGE_SIZE,
    before: Id | None = None,
    state: State = "",
) -> list[documents.Document]:
    """Newest first; `before` pages on from an id, `state=open` lists everything that is not resolved."""
    records = services.records
    found = records.open_incidents() if state == "open" else records.incidents(limit=limit, before=before)
    return [documents.incident(item) for item in found]


@router.get("/incidents/{incident}")
def show(services: ServicesHere, incident: Id) -> documents.Document:
    """The document of `tillwatch incident show --json`."""
    return services.records.incident_document(incident)


@router.post("/incidents/{incident}/ack")
def acknowledge(services: ServicesHere, incident: IncidentHere, body: ActorBody) -> documents.Document:
    services.desk.acknowledge(incident, body.actor)
    return services.records.incident_document(incident)


@router.post("/incidents/{incident}/assign")
def assign(services: ServicesHere, incident: IncidentHere, body: AssignBody) -> documents.Document:
    services.desk.assign(incident, body.actor, body.assignee)
    return services.records.incident_document(incident)


@router.post("/incidents/{incident}/note")
def note(services: ServicesHere, incident: IncidentHere, body: NoteBody) -> documents.Document:
    services.desk.note(incident, body.actor, body.text)
    return services.records.incident_document(incident)


@router.post("/incidents/{incident}/resolve")
def resolve(services: ServicesHere, incident: IncidentHere, body: ResolveBody) -> documents.Document:
    """409 while an alert still fires, and always for drift: that closes with a clean audit only."""
    services.desk.resolve(incident, body.actor, body.reason)
    return services.records.incident_document(incident)


@router.get("/deliveries")
def deliveries(
    services: ServicesHere, limit: Limit = PAGE_SIZE, before: Id | None = None, incident: Id | None = None
) -> list[documents.Document]:
    """The delivery log, newest first."""
    return [
        documents.delivery(item) for item in services.records.deliveries(incident=incident, limit=limit, before=before)
    ]
