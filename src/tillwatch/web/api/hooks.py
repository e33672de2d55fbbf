"""/hooks: what other systems push to us."""

from fastapi import APIRouter

from tillwatch.web.handling import BodyHere, ServicesHere

router = APIRouter(prefix="/hooks", tags=["hooks"])


@router.post("/alertmanager")
def alertmanager(services: ServicesHere, body: BodyHere) -> dict[str, object]:
    """Alertmanager's webhook, version 4. 200 only after the commit; 503 makes it come again."""
    receipt = services.ingest.webhook(body, source="alertmanager")
    return {"stored": receipt.stored, "quarantined": receipt.quarantined, "reasons": list(receipt.reasons)}
