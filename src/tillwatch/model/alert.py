"""Alerts: what arrives (a message) and what we remember (an episode)."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from tillwatch.model.labels import Labels, fingerprint

#: The alert Prometheus sends all the time, to prove that it can.
HEARTBEAT = "Watchdog"


class AlertState(enum.StrEnum):
    """Three states, because a source that fell silent is not a source that recovered."""

    FIRING = "firing"
    RESOLVED = "resolved"
    SILENT = "silent"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert as one source stated it once.

    `ends_at` at or before the receipt means resolved; in the future it is only a lease; None means open-ended.
    """

    labels: Labels
    annotations: Labels = field(default_factory=dict)
    starts_at: datetime
    ends_at: datetime | None = None
    generator_url: str = ""
    #: False when the sender gave no start and the receipt stands in for it: it then speaks of whatever is firing.
    starts_at_stated: bool = True
    #: Who said it: `probe`, `audit`, `prometheus`, `alertmanager` …
    source: str
    #: Evidence for the incident (probe log, drift sample …); JSON values only.
    evidence: Mapping[str, object] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    def state(self, now: datetime) -> AlertState:
        return AlertState.RESOLVED if self.ends_at is not None and self.ends_at <= now else AlertState.FIRING


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One continuous firing of one alert, from its start to its explicit end."""

    id: int
    fingerprint: str
    source: str
    labels: Labels
    annotations: Labels
    starts_at: datetime
    state: AlertState
    #: The explicit end, once resolved.
    ends_at: datetime | None
    #: When a future `endsAt` runs out: the source is then silent, never resolved.
    lease_until: datetime | None
    updated_at: datetime
    incident: int | None
    generator_url: str = ""
    evidence: Mapping[str, object] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def is_heartbeat(self) -> bool:
        """An alert that fires while all is well; its absence is the trouble."""
        return self.name == HEARTBEAT and "heartbeat" not in self.labels

    @property
    def is_live(self) -> bool:
        """Not known to be over: a silent alert may well be firing."""
        return self.state is not AlertState.RESOLVED


class ChangeKind(enum.StrEnum):
    """What one message, or the end of a lease, did to an episode."""

    OPENED = "opened"
    UPDATED = "updated"
    RESOLVED = "resolved"
    SILENT = "silent"
    #: Firing again after silence, or after an end its source has taken back.
    REOPENED = "reopened"


@dataclass(frozen=True, kw_only=True)
class EpisodeChange:
    """One episode before and after. `before` is None when it has just opened."""

    kind: ChangeKind
    episode: Episode
    before: Episode | None = None
