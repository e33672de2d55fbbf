"""The dead man's switch: an alert that always fires, whose absence is the trouble. Pure.

Prometheus sends `Watchdog` all the time. While it arrives nothing is wrong; when its lease lapses, or it ends, whatever
Prometheus would have told us is not told any more, and that is an alert of our own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from tillwatch.config.schema import Heartbeat
from tillwatch.model.alert import HEARTBEAT, Alert, AlertState, ChangeKind, Episode, EpisodeChange
from tillwatch.schedule import Cron

#: Source and family of the alerts raised here: only the heartbeat's return ends them.
SOURCE = "heartbeat"
#: Before the id of a declared job.
_JOB = "heartbeat/"
#: In the evidence of a job that has not reported yet: since when it should.
_AWAITED = "awaited_since"
_LOST = frozenset({ChangeKind.SILENT, ChangeKind.RESOLVED})
_BACK = frozenset({ChangeKind.OPENED, ChangeKind.REOPENED})


def beat(declared: Heartbeat, now: datetime, zone: ZoneInfo) -> Alert:
    """One report of a declared job: all is well until it is due again and `grace` is over."""
    return _until_due(declared, now, zone, {"reported_at": now.isoformat()})


def awaited(declared: Heartbeat, now: datetime, zone: ZoneInfo) -> Alert:
    """A declared job that has not reported yet: it is missing when its first report does not come in time."""
    return _until_due(declared, now, zone, {_AWAITED: now.isoformat()})


def is_job(episode: Episode) -> bool:
    """Whether a live heartbeat is that of a declared job, not one that Prometheus sends."""
    return episode.is_heartbeat and episode.source.startswith(_JOB)


def _until_due(declared: Heartbeat, now: datetime, zone: ZoneInfo, evidence: Mapping[str, str]) -> Alert:
    about = {"system": declared.system, "interface": declared.interface, "site": declared.site}
    return Alert(
        labels={"alertname": HEARTBEAT, "job": declared.id, **{name: id for name, id in about.items() if id}},
        starts_at=now,
        starts_at_stated=False,
        ends_at=_due_after(declared, now, zone) + declared.grace,
        source=f"{_JOB}{declared.id}",
        evidence=evidence,
    )


def _due_after(declared: Heartbeat, now: datetime, zone: ZoneInfo) -> datetime:
    if declared.schedule is not None:
        return Cron(expression=declared.schedule, zone=declared.zone or zone).first_after(now, declared.id)
    assert declared.every is not None, "one of the two is declared"
    return now + declared.every


def verdicts(changes: Sequence[EpisodeChange], now: datetime) -> list[Alert]:
    """The alerts that follow from heartbeats that stopped or came back among `changes`."""
    stopped_or_back = (one for one in changes if one.episode.is_heartbeat and one.kind in _LOST | _BACK)
    return [_verdict(change, now) for change in stopped_or_back]


def due_by(episode: Episode, expected: Alert) -> Episode:
    """No later than declared now: a job that became hourly is not waited for until tomorrow."""
    if episode.lease_until is None or expected.ends_at is None:
        return episode
    return replace(episode, lease_until=min(episode.lease_until, expected.ends_at))


def forgotten(episode: Episode, now: datetime) -> Episode:
    """Nobody waits for it any more; it is over, and its end is nothing to tell."""
    return replace(episode, state=AlertState.RESOLVED, ends_at=now, lease_until=None, updated_at=now)


def given_up(episodes: Sequence[Episode], now: datetime) -> list[Alert]:
    """The ends of what was said about jobs that are no longer declared."""
    return [_verdict(EpisodeChange(kind=ChangeKind.REOPENED, episode=one, before=None), now) for one in episodes]


def _verdict(change: EpisodeChange, now: datetime) -> Alert:
    name, source = change.episode.name, change.episode.source
    summary = f"The heartbeat {name} from {source} no longer arrives; whatever it watches goes unreported"
    summary_zh = f"来自 {source} 的心跳告警 {name} 不再到达，其发现的问题将无法上报"
    if since := change.episode.evidence.get(_AWAITED):
        summary = f"{source} has never reported; it is expected since {since}"
        summary_zh = f"{source} 从未上报；自 {since} 起等待其首次上报"
    return Alert(
        labels={**change.episode.labels, "severity": "critical", "heartbeat": "missing"},
        annotations={"summary": summary, "summary_zh": summary_zh, "cause": "timeout"},
        starts_at=now,
        ends_at=now if change.kind in _BACK else None,
        source=SOURCE,
    )


def others(changes: Sequence[EpisodeChange]) -> list[EpisodeChange]:
    """The changes that speak for themselves."""
    return [change for change in changes if not change.episode.is_heartbeat]
