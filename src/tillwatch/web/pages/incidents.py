"""Incidents: the list, one incident, and what a person does about it."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from tillwatch.incident.explain import explain
from tillwatch.model.alert import Episode
from tillwatch.model.incident import RunbookLink
from tillwatch.oncall.duty import Duty
from tillwatch.schedule import parse_duration
from tillwatch.store.silences import Silence
from tillwatch.web.handling import MAX_ID, PAGE_SIZE, FormHere, IncidentHere, PagesHere
from tillwatch.web.language import Texts
from tillwatch.web.services import Services
from tillwatch.web.views.evidence import evidence_view
from tillwatch.web.views.explain import explanation_view
from tillwatch.web.views.incident import incident_view, newest_first
from tillwatch.web.views.names import channel_names, system_names
from tillwatch.web.views.timeline import entry_views

router = APIRouter(prefix="/incidents", include_in_schema=False)

#: One incident can fold hundreds of alerts; the page shows the worst of them and says how many there are.
MAX_EVIDENCE_SHOWN = 12
MAX_DELIVERIES_SHOWN = 100
MAX_RUNS_SHOWN = 20
#: What is offered for an acknowledgement or a snooze; the command and the API take any span.
SPANS = ("30m", "1h", "2h", "8h", "1d")

IncidentId = Annotated[int, Query(ge=1, le=MAX_ID)]


@router.get("")
def listed(request: Request, pages: PagesHere, before: IncidentId | None = None) -> Response:
    services, reader = pages.services, pages.reader(request)
    found = services.records.incidents(limit=PAGE_SIZE, before=before)
    episodes = services.records.episodes([item.id for item in found])
    values = {
        "incidents": [incident_view(item, episodes.get(item.id, ()), services.config, reader.t) for item in found],
        "older": found[-1].id if len(found) == PAGE_SIZE else None,
        "paged": before is not None,
    }
    return pages.html(request, "incidents.html", values, reader=reader)


@router.get("/{incident}")
def show(request: Request, pages: PagesHere, incident: int) -> Response:
    services, reader = pages.services, pages.reader(request)
    item = services.records.incident(incident)
    episodes = newest_first(services.records.episodes([item.id]).get(item.id, ()))
    values = {
        "view": incident_view(item, episodes, services.config, reader.t),
        "evidence": [evidence_view(episode, reader.t) for episode in episodes[:MAX_EVIDENCE_SHOWN]],
        "episodes_total": len(episodes),
        "runbooks": runbook_titles(services, item.runbooks, reader.t),
        "runs": services.records.runs(incident=item.id, limit=MAX_RUNS_SHOWN),
        "similar": services.records.similar(item),
        "timeline": entry_views(services.records.timeline(item.id), services.config, reader.t, reader.f),
        "deliveries": services.records.deliveries(incident=item.id, limit=MAX_DELIVERIES_SHOWN),
        "systems": system_names(services.config, reader.t),
        "channels": channel_names(services.config, reader.t),
        "explained": explanation_view(explain(item, Duty.of(services.config), pages.now), services.config, reader.t),
        "spans": [(text, parse_duration(text).total_seconds()) for text in SPANS],
        "people": [reader.t.name(one.name, one.id) for one in services.config.people],
        "silences": _muting(services, episodes),
        "has_drift": "Drift" in {episode.labels.get("alertname") for episode in episodes},
    }
    return pages.html(request, "incident.html", values, reader=reader)


@router.post("/{incident}/ack")
def acknowledge(request: Request, pages: PagesHere, incident: IncidentHere, form: FormHere) -> Response:
    actor, span = form.text("actor"), form.optional("for")
    pages.services.desk.acknowledge(incident, actor, lasting=parse_duration(span) if span else None)
    return pages.redirect(request, f"/incidents/{incident}?done=acknowledged", actor=actor)


@router.post("/{incident}/unack")
def unacknowledge(request: Request, pages: PagesHere, incident: IncidentHere, form: FormHere) -> Response:
    actor = form.text("actor")
    pages.services.desk.unacknowledge(incident, actor, form.optional("reason"))
    return pages.redirect(request, f"/incidents/{incident}?done=given_back", actor=actor)


@router.post("/{incident}/snooze")
def snooze(request: Request, pages: PagesHere, incident: IncidentHere, form: FormHere) -> Response:
    actor = form.text("actor")
    pages.services.desk.snooze(incident, actor, parse_duration(form.text("for")), form.optional("reason"))
    return pages.redirect(request, f"/incidents/{incident}?done=snoozed", actor=actor)


@router.post("/{incident}/note")
def note(request: Request, pages: PagesHere, incident: IncidentHere, form: FormHere) -> Response:
    actor, text = form.text("actor"), form.text("text")
    pages.services.desk.note(incident, actor, text)
    return pages.redirect(request, f"/incidents/{incident}?done=noted", actor=actor)


@router.post("/{incident}/assign")
def assign(request: Request, pages: PagesHere, incident: IncidentHere, form: FormHere) -> Response:
    actor, assignee = form.text("actor"), form.text("assignee")
    pages.services.desk.assign(incident, actor, assignee)
    return pages.redirect(request, f"/incidents/{incident}?done=assigned", actor=actor)


@router.post("/{incident}/resolve")
def resolve(request: Request, pages: PagesHere, incident: IncidentHere, form: FormHere) -> Response:
    actor, reason = form.text("actor"), form.text("reason")
    pages.services.desk.resolve(incident, actor, reason)
    return pages.redirect(request, f"/incidents/{incident}?done=resolved", actor=actor)


def _muting(services: Services, episodes: Sequence[Episode]) -> list[tuple[Silence, int, int]]:
    """The silences in force that keep live alerts quiet, and how many of how many: the rest is still told."""
    live = [one.labels for one in episodes if one.is_live]
    counted = [(one, sum(map(one.mutes, live)), len(live)) for one in services.silences.active()]
    return [found for found in counted if found[1]]


def runbook_titles(services: Services, links: tuple[RunbookLink, ...], t: Texts) -> list[tuple[RunbookLink, str, int]]:
    """(link, title, minutes). A runbook that has left the chain directory keeps its id as its title."""
    cards = {card.id: card for card in services.runbooks.catalogue()}
    return [
        (link, t.name(cards[link.id].title, link.id), cards[link.id].minutes)
        if link.id in cards
        else (link, link.id, 0)
        for link in links
    ]
