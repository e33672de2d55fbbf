"""One run, live: steps, what it waits for, and the buttons a person has."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from tillwatch.model.runbook import RunState, StepState
from tillwatch.web.handling import FormHere, PagesHere, RunHere
from tillwatch.web.views.run import step_views, waiting_view

router = APIRouter(prefix="/runs", include_in_schema=False)


@router.get("/{run}")
def show(request: Request, pages: PagesHere, run: int) -> Response:
    reader = pages.reader(request)
    item = pages.services.runbooks.get(run)
    values = {
        "run": item,
        "steps": step_views(item, reader.t),
        "finished_steps": sum(step.state in {StepState.DONE, StepState.SKIPPED} for step in item.steps),
        "waiting": waiting_view(item),
        "can_resume": item.state is RunState.NEEDS_HUMAN,
    }
    return pages.html(request, "run.html", values, reader=reader)


@router.post("/{run}/approve")
def approve(request: Request, pages: PagesHere, run: RunHere, form: FormHere) -> Response:
    actor, decision = form.text("actor"), form.text("decision")
    pages.services.runbooks.approve(run, actor, form.text("role"), decision, digest=form.optional("digest"))
    done = "approved" if decision == "approve" else "rejected"
    return pages.redirect(request, f"/runs/{run}?done={done}", actor=actor)


@router.post("/{run}/confirm")
def confirm(request: Request, pages: PagesHere, run: RunHere, form: FormHere) -> Response:
    actor, step, text = form.text("actor"), form.text("step"), form.text("text")
    done = form.optional("outcome") != "failed"
    pages.services.runbooks.confirm_manual(run, step, actor, text, done=done)
    return pages.redirect(request, f"/runs/{run}?done={'confirmed' if done else 'given_up'}", actor=actor)


@router.post("/{run}/stop")
def stop(request: Request, pages: PagesHere, run: RunHere, form: FormHere) -> Response:
    actor = form.text("actor")
    pages.services.runbooks.stop(run, actor)
    return pages.redirect(request, f"/runs/{run}?done=stopping", actor=actor)


@router.post("/{run}/resume")
def resume(request: Request, pages: PagesHere, run: RunHere, form: FormHere) -> Response:
    actor = form.text("actor")
    pages.services.runbooks.resume(run, actor, decision=form.optional("decision"))
    return pages.redirect(request, f"/runs/{run}?done=resumed", actor=actor)
