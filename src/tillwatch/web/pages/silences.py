"""Silences: the list, the form with its preview, and ending one."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tillwatch.alerting.reach import LiveAlerts, matchers_for
from tillwatch.errors import UsageError
from tillwatch.store.silences import Silence, SilenceState
from tillwatch.web.api.silences import SilenceId
from tillwatch.web.handling import MAX_ID, PAGE_SIZE, Form, FormHere, NotHere, PagesHere, cleaned
from tillwatch.web.render import Pages, Reader
from tillwatch.web.services import Services
from tillwatch.web.views.silences import (
    DEFAULT_DURATION,
    DURATIONS,
    SilenceForm,
    form_of,
    reached_views,
    silence_views,
)

router = APIRouter(prefix="/silences", include_in_schema=False)

#: Twenty matchers of a hundred characters; a page's address must still fit into a line of a log.
MAX_FIELD_CHARACTERS = 2_000
MAX_INCIDENTS_SHOWN = 20

_Field = Annotated[str, Query(max_length=MAX_FIELD_CHARACTERS)]


@router.get("")
def listed(request: Request, pages: PagesHere) -> Response:
    """Active, to come, ended; the ended ones of the last days, newest first."""
    services, now = pages.services, pages.now
    kept = services.silences.listed()
    in_force = [one for one in kept if one.state(now) is not SilenceState.EXPIRED]
    ended = sorted((one for one in kept if one.state(now) is SilenceState.EXPIRED), key=lambda one: one.ends_at)
    newest = list(reversed(ended))[:PAGE_SIZE]
    views = silence_views([*in_force, *newest], LiveAlerts(services.records.active_alerts()), now)
    groups = [(state, [view for view in views if view.state is state]) for state in SilenceState]
    return pages.html(request, "silences.html", {"groups": groups, "ended": len(ended)})


@router.get("/new")
def new(
    request: Request,
    pages: PagesHere,
    incident: Annotated[int | None, Query(ge=1, le=MAX_ID)] = None,
    matchers: _Field = "",
    start: _Field = "",
    duration: _Field = DEFAULT_DURATION,
    end: _Field = "",
    comment: _Field = "",
    id: _Field = "",
) -> Response:
    """The form, filled from the address (so that a preview needs no script) or from an incident's alerts."""
    reader = pages.reader(request)
    if incident is not None and not matchers:
        item = pages.services.records.incident(incident)
        live = [one for one in pages.services.records.episodes([item.id]).get(item.id, ()) if one.is_live]
        matchers = "\n".join(map(str, matchers_for(live)))
        comment = comment or reader.t("silence.for_incident", id=item.id)
    form = SilenceForm(
        matchers=cleaned(matchers, MAX_FIELD_CHARACTERS),
        start=start,
        duration=duration,
        end=end,
        comment=cleaned(comment, MAX_FIELD_CHARACTERS),
        id=id,
    )
    return _form(request, pages, reader, form)


@router.get("/{silence}/edit")
def edit(request: Request, pages: PagesHere, silence: SilenceId) -> Response:
    form = form_of(_existing(pages.services, silence), pages.services.config.chain.timezone, pages.now)
    return _form(request, pages, pages.reader(request), form)


@router.post("")
def set_silence(request: Request, pages: PagesHere, form: FormHere) -> Response:
    """Set it, or show the same form again with what is wrong, nothing typed lost."""
    services, actor, typed = pages.services, form.text("actor"), _typed(form)
    before = _existing(services, typed.id) if typed.id else None
    reader = replace(pages.reader(request), actor=actor)
    if not typed.comment:
        return _form(request, pages, reader, typed, problem=reader.t("error.why_missing"))
    try:
        draft = typed.draft(actor, services.config.chain.timezone, pages.now, before=before)
        services.silences.set(draft, id=typed.id)
    except UsageError as error:
        return _form(request, pages, reader, typed, problem=str(error))
    return pages.redirect(request, "/silences?done=silenced", actor=actor)


@router.post("/{silence}/expire")
def expire(request: Request, pages: PagesHere, silence: SilenceId, form: FormHere) -> Response:  # noqa: ARG001 - checked
    pages.services.silences.expire(_existing(pages.services, silence).id)
    return pages.redirect(request, "/silences?done=unsilenced")


def _form(request: Request, pages: Pages, reader: Reader, form: SilenceForm, *, problem: str = "") -> Response:
    """The form and, as soon as the matchers can be read, what they reach now."""
    services = pages.services
    before = _existing(services, form.id) if form.id else None
    reach, unreadable, incidents = None, "", []
    try:
        if matchers := form.parsed():
            reach = LiveAlerts(services.records.active_alerts()).reach(matchers)
            ids = [one.incident for one in reach.incidents[:MAX_INCIDENTS_SHOWN]]
            known = [one for one in services.records.open_incidents() if one.id in ids]
            episodes = services.records.episodes(ids) if ids else {}
            incidents = reached_views(reach, known, episodes, services.config, reader.t)
    except UsageError as error:
        unreadable = str(error)
    values = {
        "form": form,
        "durations": tuple(DURATIONS),
        "started": before is not None and before.state(pages.now) is SilenceState.ACTIVE,
        "reach": reach,
        "incidents": incidents,
        "wrong_matchers": unreadable,
        "problem": "" if problem == unreadable else problem,
    }
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    return pages.html(request, "silence.html", values, reader=reader, status=status)


def _typed(form: Form) -> SilenceForm:
    return SilenceForm(
        matchers=form.optional("matchers"),
        start=form.optional("start"),
        duration=form.optional("duration"),
        end=form.optional("end"),
        comment=form.optional("comment"),
        id=form.optional("id"),
    )


def _existing(services: Services, id: str) -> Silence:
    try:
        return services.silences.get(id)
    except UsageError as error:
        raise NotHere(str(error)) from error
