"""/api/v1/runbooks and /api/v1/runs: dry run, start, approve, confirm, stop, resume."""

from http import HTTPStatus

from fastapi import APIRouter

from tillwatch.web.api import documents
from tillwatch.web.api.bodies import ActorBody, ApproveBody, ConfirmBody, Id, Limit, PlanBody, ResumeBody, StartBody
from tillwatch.web.handling import PAGE_SIZE, RunHere, ServicesHere

router = APIRouter(prefix="/api/v1", tags=["runbooks"])


@router.get("/runbooks")
def listed(services: ServicesHere) -> list[documents.Document]:
    return [documents.runbook(card) for card in services.runbooks.catalogue()]


@router.get("/runbooks/{runbook}")
def show(services: ServicesHere, runbook: str, incident: Id | None = None) -> documents.Document:
    """The runbook, and with `incident` the parameters taken from it."""
    card = services.runbooks.card(runbook)
    return {**documents.runbook(card), "proposed": dict(services.runbooks.proposed(card.id, incident))}


@router.post("/runbooks/{runbook}/plan")
def plan(services: ServicesHere, runbook: str, body: PlanBody) -> documents.Document:
    """The dry run: what each step would do, found out by reading only."""
    return documents.dry_run(services.runbooks.plan(runbook, body.params, incident=body.incident))


@router.get("/runs")
def runs(services: ServicesHere, limit: Limit = PAGE_SIZE, incident: Id | None = None) -> list[documents.Document]:
    return [documents.run(item) for item in services.records.runs(incident=incident, limit=limit)]


@router.post("/runs", status_code=HTTPStatus.CREATED)
def start(services: ServicesHere, body: StartBody) -> documents.Document:
    """Start a runbook. 409 when its target is taken by another run, 422 when a parameter is wrong."""
    run = services.runbooks.start(body.runbook, body.params, incident=body.incident, actor=body.actor)
    return documents.run(run)


@router.get("/runs/{run}")
def run_show(services: ServicesHere, run: Id) -> documents.Document:
    """The document of `tillwatch runbook run --json`."""
    return documents.run(services.runbooks.get(run))


@router.post("/runs/{run}/approve")
def approve(services: ServicesHere, run: RunHere, body: ApproveBody) -> documents.Document:
    services.runbooks.approve(run, body.actor, body.role, body.decision, digest=body.digest)
    return documents.run(services.runbooks.get(run))


@router.post("/runs/{run}/confirm")
def confirm(services: ServicesHere, run: RunHere, body: ConfirmBody) -> documents.Document:
    services.runbooks.confirm_manual(run, body.step, body.actor, body.text, done=body.done)
    return documents.run(services.runbooks.get(run))


@router.post("/runs/{run}/stop")
def stop(services: ServicesHere, run: RunHere, body: ActorBody) -> documents.Document:
    services.runbooks.stop(run, body.actor)
    return documents.run(services.runbooks.get(run))


@router.post("/runs/{run}/resume")
def resume(services: ServicesHere, run: RunHere, body: ResumeBody) -> documents.Document:
    """409 when the run is over; 422 when it needs a decision and none came along."""
    services.runbooks.resume(run, body.actor, decision=body.decision)
    return documents.run(services.runbooks.get(run))
