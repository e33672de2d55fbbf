"""The dead man's switch: an alert that always fires, whose absence is the trouble. Pure.

Prometheus sends `Watchdog` all the time. While it arrives nothing is wrong; when its lease lapses, or it ends, whatever
Prometheus would have told us is not told any more, and that is an alert of our own.
"""

from collections.abc import Sequence
from datetime import datetime

from tillwatch.config.schema import Heartbeat
from tillwatch.model.alert import HEARTBEAT, Alert, ChangeKind, EpisodeChange

#: Source and family of the alerts raised here: only the heartbeat's return ends them.
SOURCE = "heartbeat"
_LOST = frozenset({ChangeKind.SILENT, ChangeKind.RESOLVED})
_BACK = frozenset({ChangeKind.OPENED, ChangeKind.REOPENED})


def beat(declared: Heartbeat, now: datetime) -> Alert:
    """One report of a declared job: all is well until `every` and `grace` are over."""
    about = {"system": declared.system, "interface": declared.interface, "site": declared.site}
    return Alert(
        labels={"alertname": HEARTBEAT, "job": declared.id, **{name: id for name, id in about.items() if id}},
        starts_at=now,
        starts_at_stated=False,
        ends_at=now + declared.every + declared.grace,
        source=f"heartbeat/{declared.id}",
    )


def verdicts(changes: Sequence[EpisodeChange], now: datetime) -> list[Alert]:
    """The alerts that follow from heartbeats that stopped or came back among `changes`."""
    stopped_or_back = (one for one in changes if one.episode.is_heartbeat and one.kind in _LOST | _BACK)
    return [_verdict(change, now) for change in stopped_or_back]


def _verdict(change: EpisodeChange, now: datetime) -> Alert:
    name, source = change.episode.name, change.episode.source
    return Alert(
        labels={**change.episode.labels, "severity": "critical", "heartbeat": "missing"},
        annotations={
            "summary": f"The heartbeat {name} from {source} no longer arrives; whatever it watches goes unreported",
            "summary_zh": f"来自 {source} 的心跳告警 {name} 不再到达，其发现的问题将无法上报",
            "cause": "timeout",
        },
        starts_at=now,
        ends_at=now if change.kind in _BACK else None,
        source=SOURCE,
    )


def others(changes: Sequence[EpisodeChange]) -> list[EpisodeChange]:
    """The changes that speak for themselves."""
    return [change for change in changes if not change.episode.is_heartbeat]
