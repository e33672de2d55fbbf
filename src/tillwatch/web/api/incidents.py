"""/api/v1/incidents and /api/v1/deliveries: what is open, and what a person does about it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from tillwatch.schedule import parse_duration
from tillwatch.web.api import documents
from tillwatch.web.api.bodies import (
    AcknowledgeBody,
    AssignBody,
    GiveBackBody,
    Id,
    Limit,
    NoteBody,
    ResolveBody,
    SnoozeBody,
)
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
def acknowledge(services: ServicesHere, incident: IncidentHere, body: AcknowledgeBody) -> documents.Document:
    """With `for`, the acknowledgement runs out by itself and the escalation goes on."""
    lasting = parse_duration(body.lasting) if body.lasting else None
    services.desk.acknowledge(incident, body.actor, lasting=lasting)
    return services.records.incident_document(incident)


@router.post("/incidents/{incident}/unack")
def unacknowledge(services: ServicesHere, incident: IncidentHere, body: GiveBackBody) -> documents.Document:
    """Nobody is on it any more: whoever is next is told at once. 409 when nobody was."""
    services.desk.unacknowledge(incident, body.actor, body.reason)
    return services.records.incident_document(incident)


@router.post("/incidents/{incident}/snooze")
def snooze(services: ServicesHere, incident: IncidentHere, body: SnoozeBody) -> documents.Document:
    """Quiet for so long, unless the severity rises. 409 when it is acknowledged or resolved."""
    services.desk.snooze(incident, body.actor, parse_duration(body.lasting), body.reason)
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
