"""/hooks: what other systems push to us."""

from typing import Annotated

from fastapi import APIRouter, Path

from tillwatch.alerting.heartbeat import beat
from tillwatch.alerting.ingest import IngestReceipt
from tillwatch.errors import UsageError
from tillwatch.web.handling import BodyHere, NotHere, ServicesHere

router = APIRouter(prefix="/hooks", tags=["hooks"])


@router.post("/alertmanager")
def alertmanager(services: ServicesHere, body: BodyHere) -> dict[str, object]:
    """Alertmanager's webhook, version 4. 200 only after the commit; 503 makes it come again."""
    return _told(services.ingest.webhook(body, source="alertmanager"))


@router.post("/generic/{source}")
def generic(services: ServicesHere, source: Annotated[str, Path(max_length=64)], body: BodyHere) -> dict[str, object]:
    """Another system's webhook, read as `webhooks:` of alerts/routes.yaml declares it. 404 for a name not declared.

    200 only after the commit: what could be read is stored, the rest is in quarantine with its reason. 503 when nothing
    could be stored.
    """
    try:
        declared = services.config.webhook(source)
    except UsageError as error:
        raise NotHere(str(error)) from error
    return _told(services.ingest.generic(body, declared, services.config.chain.timezone))


@router.post("/heartbeat/{name}")
def heartbeat(services: ServicesHere, name: Annotated[str, Path(max_length=64)]) -> dict[str, str]:
    """A declared job says that it ran. 404 for a name that alerts/routes.yaml does not declare; 503 when not stored."""
    try:
        declared = services.config.heartbeat(name)
    except UsageError as error:
        raise NotHere(str(error)) from error
    alert = beat(declared, services.clock.now(), services.config.chain.timezone)
    services.ingest.receive([alert], source=alert.source)
    return {"heartbeat": declared.id}


def _told(receipt: IngestReceipt) -> dict[str, object]:
    return {"stored": receipt.stored, "quarantined": receipt.quarantined, "reasons": list(receipt.reasons)}
