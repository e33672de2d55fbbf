"""/api/v2: what Prometheus, amtool, karma and Grafana expect of an Alertmanager."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

import tillwatch
from tillwatch.alerting.route import route
from tillwatch.config.matcher import matches_all
from tillwatch.metrics import ALERTMANAGER_VERSION
from tillwatch.model.alert import AlertState, Episode
from tillwatch.web.api import documents
from tillwatch.web.api.silences import Filters, parsed_filters
from tillwatch.web.handling import BodyHere, ServicesHere, pages_of
from tillwatch.web.intake import answered
from tillwatch.web.services import Services

router = APIRouter(prefix="/api/v2", tags=["alertmanager"])

#: Regular expressions of clients name one receiver or a few.
MAX_RECEIVER_CHARACTERS = 1_024


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One alert, who hears of it, and what keeps it from being told."""

    episode: Episode
    receivers: tuple[str, ...]
    silenced_by: tuple[str, ...]
    inhibited_by: tuple[str, ...]
    #: Those of the receivers that were asked for; groups are shown for them only.
    asked: tuple[str, ...]

    def document(self, now: datetime) -> documents.Document:
        return documents.alertmanager_alert(
            self.episode,
            now,
            receivers=self.receivers,
            silenced_by=self.silenced_by,
            inhibited_by=self.inhibited_by,
        )


def found(
    services: ServicesHere,
    filters: Filters,
    active: bool = True,
    silenced: bool = True,
    inhibited: bool = True,
    unprocessed: bool = True,  # noqa: ARG001 - nothing here is ever unprocessed
    receiver: Annotated[str, Query(max_length=MAX_RECEIVER_CHARACTERS)] = "",
) -> list[Shown]:
    """What a client asked for, sorted by fingerprint: the query parameters of Alertmanager's lists of alerts."""
    matchers = parsed_filters(filters)
    wanted = parsed_filters([f"receiver=~{json.dumps(receiver, ensure_ascii=False)}"]) if receiver else []
    muting = services.desk.muting()
    episodes = [one for one in services.records.active_alerts() if one.state is not AlertState.RESOLVED]
    explained = _explained(services, episodes)
    shown = [
        Shown(
            episode=one,
            receivers=told,
            silenced_by=tuple(muting.silencing(one.labels)),
            inhibited_by=explained.get(one.incident) or tuple(muting.inhibiting(one.labels, one.fingerprint)),
            asked=tuple(name for name in told if matches_all(wanted, {"receiver": name})),
        )
        for one in episodes
        if matches_all(matchers, one.labels)
        for told in [_receivers(services, one)]
    ]
    chosen = [
        one
        for one in shown
        if (active or one.silenced_by or one.inhibited_by)
        and (silenced or not one.silenced_by)
        and (inhibited or not one.inhibited_by)
        and one.asked
    ]
    return sorted(chosen, key=lambda one: one.episode.fingerprint)


def _receivers(services: Services, episode: Episode) -> tuple[str, ...]:
    return tuple(dict.fromkeys(told.receiver for told in route(episode.labels, services.config.route)))


FoundHere = Annotated[list[Shown], Depends(found)]


@router.get("/alerts")
def alerts(request: Request, found: FoundHere) -> list[documents.Document]:
    """Everything that fires or whose source fell silent, sorted by fingerprint."""
    now = pages_of(request).now
    return [one.document(now) for one in found]


@router.post("/alerts")
def receive(services: ServicesHere, body: BodyHere) -> Response:
    """200 once everything in the body is stored for good: alerts as alerts, what makes no sense in quarantine.

    A batch with one bad item is not refused: Prometheus counts a refused batch as dropped, and nothing of it was. The
    header tells how many items are in quarantine. 400 with the reasons when nothing in the body could be stored.
    """
    return answered(services.ingest.v2(body, source="prometheus"))


@router.get("/alerts/groups")
def groups(request: Request, found: FoundHere) -> list[documents.Document]:
    """Alerts by receiver and incident: that is how this router groups."""
    now = pages_of(request).now
    grouped: dict[tuple[str, int | None], list[Shown]] = {}
    for one in found:
        for receiver in one.asked:
            grouped.setdefault((receiver, one.episode.incident), []).append(one)
    return [
        {
            "labels": {"incident": str(incident)} if incident is not None else {},
            "routeLabels": {},
            "receiver": {"name": receiver},
            "alerts": [one.document(now) for one in members],
        }
        for (receiver, incident), members in sorted(grouped.items(), key=lambda group: (group[0][1] or 0, group[0][0]))
    ]


@router.get("/status")
def status(request: Request) -> documents.Document:
    return {
        "cluster": {"name": "tillwatch", "status": "disabled", "peers": []},
        "config": {"original": ""},
        "uptime": documents.instant(pages_of(request).started_at),
        "versionInfo": {
            "branch": "",
            "buildDate": "",
            "buildUser": f"tillwatch {tillwatch.__version__}",
            "goVersion": "",
            "revision": "",
            "version": ALERTMANAGER_VERSION,
        },
    }


@router.get("/receivers")
def receivers(services: ServicesHere) -> list[Mapping[str, str]]:
    return [{"name": receiver.id} for receiver in services.config.receivers]


def _explained(services: Services, episodes: Sequence[Episode]) -> dict[int | None, tuple[str, ...]]:
    """By incident that is folded under another one: the fingerprints of that one's alerts, which explain its own."""
    above = {one.id: one.parent for one in services.records.open_incidents() if one.parent is not None}
    causes: dict[int | None, list[str]] = {}
    for one in episodes:
        causes.setdefault(one.incident, []).append(one.fingerprint)
    return {incident: tuple(sorted(causes.get(parent, []))) for incident, parent in above.items()}
