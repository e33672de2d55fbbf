"""/api/v1/probes: the declared checks, their state, and measuring now."""

from fastapi import APIRouter

from tillwatch.web.api import documents
from tillwatch.web.api.bodies import Limit
from tillwatch.web.handling import PAGE_SIZE, ServicesHere

router = APIRouter(prefix="/api/v1/probes", tags=["probes"])


@router.get("")
def listed(services: ServicesHere) -> list[documents.Document]:
    """Every declared probe with its thresholded state and last result."""
    states = services.records.probe_states()
    return [documents.probe_state(probe.id, states.get(probe.id)) for probe in services.config.probes]


@router.get("/{probe}")
def show(services: ServicesHere, probe: str, limit: Limit = PAGE_SIZE) -> documents.Document:
    """One probe and its recent results, newest first."""
    declared = services.config.probe(probe)
    state = services.records.probe_states().get(declared.id)
    history = services.records.probe_history(declared.id, limit)
    return {
        **documents.probe_state(declared.id, state),
        "results": [documents.probe_result(result) for result in history],
    }


@router.post("/{probe}/run")
def run(services: ServicesHere, probe: str) -> documents.Document:
    """Measure now. The result counts towards the thresholds like a scheduled one."""
    (result,) = services.probes.run_now([services.config.probe(probe).id])
    return documents.probe_result(result)
