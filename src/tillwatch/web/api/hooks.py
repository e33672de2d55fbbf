"""/hooks: what other systems push to us."""

from typing import Annotated

from fastapi import APIRouter, Path

from tillwatch.alerting.heartbeat import beat
from tillwatch.errors import UsageError
from tillwatch.web.handling import BodyHere, NotHere, ServicesHere

router = APIRouter(prefix="/hooks", tags=["hooks"])


@router.post("/alertmanager")
def alertmanager(services: ServicesHere, body: BodyHere) -> dict[str, object]:
    """Alertmanager's webhook, version 4. 200 only after the commit; 503 makes it come again."""
    receipt = services.ingest.webhook(body, source="alertmanager")
    return {"stored": receipt.stored, "quarantined": receipt.quarantined, "reasons": list(receipt.reasons)}


@router.post("/heartbeat/{name}")
def heartbeat(services: ServicesHere, name: Annotated[str, Path(max_length=64)]) -> dict[str, str]:
    """A declared job says that it ran. 404 for a name that alerts/routes.yaml does not declare; 503 when not stored."""
    try:
        declared = services.config.heartbeat(name)
    except UsageError as error:
        raise NotHere(str(error)) from error
    alert = beat(declared, services.clock.now())
    services.ingest.receive([alert], source=alert.source)
    return {"heartbeat": declared.id}
