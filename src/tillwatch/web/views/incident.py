"""An incident as a page shows it: the headline and what it touches."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tillwatch.config.declared import ChainConfig
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Incident
from tillwatch.web.language import Texts
from tillwatch.web.views.evidence import summary
from tillwatch.web.views.places import affected_shops, component_names


@dataclass(frozen=True, kw_only=True)
class IncidentView:
    """One incident in one language."""

    incident: Incident
    headline: str
    component: str
    shops: tuple[str, ...]
    firing: int


def incident_view(incident: Incident, episodes: Sequence[Episode], config: ChainConfig, t: Texts) -> IncidentView:
    names = component_names(config, incident.component)
    component = t.name(names, incident.component.id)
    sites = {site.id: site.name for site in config.sites}
    return IncidentView(
        incident=incident,
        headline=headline(incident, episodes, component, t),
        component=component,
        shops=tuple(t.name(sites.get(site, {}), site) for site in affected_shops(config, incident.component)),
        firing=sum(episode.state is AlertState.FIRING for episode in episodes),
    )


def headline(incident: Incident, episodes: Sequence[Episode], component: str, t: Texts) -> str:
    """The worst alert that lives names the trouble; one we have no words for speaks through its own summary."""
    order = sorted(episodes, key=lambda item: (not item.is_live, _rank(item), item.starts_at, item.id))
    for episode in order:
        key = f"alert.{episode.labels.get('alertname', '')}"
        if t.has(key):
            return t(key, name=component)
        if said := summary(episode, t):
            return said
    return t.name(incident.titles, incident.title or component)


def _rank(episode: Episode) -> int:
    return {"critical": 0, "warning": 1}.get(episode.labels.get("severity", ""), 2)


def newest_first(episodes: Sequence[Episode]) -> list[Episode]:
    """Firing ones first, then by start, newest first."""
    order: list[Episode] = sorted(episodes, key=_start, reverse=True)
    return sorted(order, key=lambda episode: episode.state is not AlertState.FIRING)


def _start(episode: Episode) -> tuple[datetime, int]:
    return episode.starts_at, episode.id
