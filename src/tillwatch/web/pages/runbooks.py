"""Runbooks: the catalogue, and one runbook with its form and dry run."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tillwatch.errors import TillwatchError, UsageError
from tillwatch.runbook.cards import DryRun, RunbookCard
from tillwatch.web.handling import MAX_ID, MAX_TEXT_CHARACTERS, FormHere, PagesHere, cleaned
from tillwatch.web.render import Pages
from tillwatch.web.views.incident import incident_view

router = APIRouter(prefix="/runbooks", include_in_schema=False)

RUNS_SHOWN = 20
#: Form fields of parameters start with this, so that no parameter can collide with a field of the page.
PARAM_PREFIX = "param."

IncidentQuery = Annotated[int | None, Query(ge=1, le=MAX_ID)]


@router.get("")
def listed(request: Request, pages: PagesHere) -> Response:
    values = {
        "cards": pages.services.runbooks.catalogue(),
        "runs": pages.services.records.runs(limit=RUNS_SHOWN),
    }
    return pages.html(request, "runbooks.html", values)


@router.get("/{runbook}")
def show(request: Request, pages: PagesHere, runbook: str, incident: IncidentQuery = None) -> Response:
    """The form is filled from the incident, then from the address, so that a preview can be shared as a link."""
    card = pages.services.runbooks.card(runbook)
    asked = {
        name.removeprefix(PARAM_PREFIX): cleaned(value, MAX_TEXT_CHARACTERS)
        for name, value in request.query_params.items()
        if name.startswith(PARAM_PREFIX)
    }
    params = {**_defaults(card), **pages.services.runbooks.proposed(card.id, incident), **asked}
    return _form(request, pages, card, params, incident)


@router.post("/{runbook}/start")
def start(request: Request, pages: PagesHere, runbook: str, form: FormHere) -> Response:
    """Start it, or show the same form again with what is wrong, nothing typed lost."""
    card = pages.services.runbooks.card(runbook)
    params = form.prefixed(PARAM_PREFIX)
    incident = _incident(form.optional("incident"))
    actor = form.text("actor")
    try:
        run = pages.services.runbooks.start(card.id, params, incident=incident, actor=actor)
    except UsageError as error:
        return _form(request, pages, card, params, incident, problem=str(error), status=HTTPStatus.UNPROCESSABLE_ENTITY)
    return pages.redirect(request, f"/runs/{run.id}?done=started", actor=actor)


def _form(
    request: Request,
    pages: Pages,
    card: RunbookCard,
    params: Mapping[str, str],
    incident: int | None,
    *,
    problem: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    services, reader = pages.services, pages.reader(request)
    about = services.records.incident(incident) if incident is not None else None
    view = None
    if about is not None:
        episodes = services.records.episodes([about.id]).get(about.id, ())
        view = incident_view(about, episodes, services.config, reader.t)
    plan, failed = _plan(pages, card, params, incident)
    values = {
        "card": card,
        "params": params,
        "incident": view,
        "plan": plan,
        "plan_failed": failed,
        "problem": problem,
    }
    return pages.html(request, "runbook.html", values, reader=reader, status=status)


def _plan(
    pages: Pages, card: RunbookCard, params: Mapping[str, str], incident: int | None
) -> tuple[DryRun | None, str]:
    """The dry run, or why there is none. A preview that fails must not hide the runbook."""
    if any(param.required and not params.get(param.name) for param in card.params):
        return None, ""
    given = {name: value for name, value in params.items() if value}
    try:
        return pages.services.runbooks.plan(card.id, given, incident=incident), ""
    except TillwatchError as error:
        return None, str(error)


def _defaults(card: RunbookCard) -> dict[str, str]:
    return {param.name: param.default for param in card.params}


def _incident(text: str) -> int | None:
    """The incident of a form, if any; a number that cannot be one is a broken form."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_ID:
        raise UsageError(f"'{text}' is not an incident number")
    return int(text)
