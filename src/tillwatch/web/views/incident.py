"""An incident as a page shows it: the headline, what it touches, and the evidence worth reading first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tillwatch.config.schema import ChainConfig
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Incident
from tillwatch.web.language import ENGLISH, Texts
from tillwatch.web.views.places import affected_shops, component_names

#: Two screens of log are evidence; more is a file.
MAX_LOG_LINES = 200
MAX_PROCESSES = 20
MAX_DIFFERENCES = 20
#: Evidence keys with a presentation of their own; the rest is shown as a small table.
_SHOWN = frozenset(
    {"log", "phases", "processes", "top_processes", "differences", "cause", "probe", "audit", "run", "counts", "fields"}
)


@dataclass(frozen=True, kw_only=True)
class IncidentView:
    """One incident in one language."""

    incident: Incident
    headline: str
    component: str
    shops: tuple[str, ...]
    firing: int


@dataclass(frozen=True, kw_only=True)
class EvidenceView:
    """What one episode brought with it."""

    episode: Episode
    summary: str
    cause: str
    probe: str
    audit: str
    run: int | None
    log: tuple[str, ...]
    phases: tuple[tuple[str, float], ...]
    processes: tuple[Mapping[str, object], ...]
    differences: tuple[Mapping[str, object], ...]
    facts: tuple[tuple[str, str], ...]


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


def summary(episode: Episode, t: Texts) -> str:
    """The annotation in the reader's language, else the other one."""
    keys = ("summary", "summary_zh") if t.language == ENGLISH else ("summary_zh", "summary")
    return next((episode.annotations[key] for key in keys if episode.annotations.get(key)), "")


def evidence_view(episode: Episode, t: Texts) -> EvidenceView:
    evidence = episode.evidence
    run = evidence.get("run")
    return EvidenceView(
        episode=episode,
        summary=summary(episode, t),
        cause=str(evidence.get("cause") or episode.annotations.get("cause", "")),
        probe=str(evidence.get("probe") or episode.labels.get("probe", "")),
        audit=str(evidence.get("audit") or episode.labels.get("audit", "")),
        run=run if isinstance(run, int) else None,
        log=tuple(str(line) for line in _list(evidence.get("log"))[-MAX_LOG_LINES:]),
        phases=_phases(evidence.get("phases")),
        processes=_tables(evidence.get("processes") or evidence.get("top_processes"))[:MAX_PROCESSES],
        differences=_tables(evidence.get("differences"))[:MAX_DIFFERENCES],
        facts=tuple((key, _plain(value)) for key, value in evidence.items() if key not in _SHOWN),
    )


def newest_first(episodes: Sequence[Episode]) -> list[Episode]:
    """Firing ones first, then by start, newest first."""
    order: list[Episode] = sorted(episodes, key=_start, reverse=True)
    return sorted(order, key=lambda episode: episode.state is not AlertState.FIRING)


def _start(episode: Episode) -> tuple[datetime, int]:
    return episode.starts_at, episode.id


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _tables(value: object) -> tuple[Mapping[str, object], ...]:
    return tuple(item for item in _list(value) if isinstance(item, Mapping))


def _phases(value: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple((str(name), float(seconds)) for name, seconds in value.items() if isinstance(seconds, int | float))


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={_plain(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_plain(item) for item in value)
    return "" if value is None else str(value)
