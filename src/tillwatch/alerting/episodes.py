"""What one message does to what we remember of its alert. Pure.

Alertmanager's sources name an episode by its start, so messages may arrive late, twice or in any order and still lead
to the same state. Our own probes and audits, and senders that give no start, speak of whatever is firing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tillwatch.model.alert import Alert, AlertState, ChangeKind, Episode

#: Sources inside this process: ordered, never lost between us and them, and closed only by themselves.
LOCAL_SOURCES = frozenset({"probe", "audit", "validation", "heartbeat"})
REMOTE_FAMILY = "remote"
#: A firing message for an ended episode is a late copy within this time (Alertmanager retries a webhook for one
#: group_interval, 5 minutes); after it, the source has taken its end back.
END_TAKEN_BACK_AFTER = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a message did: the episode to store, and the change to tell, None when there is nothing to tell."""

    episode: Episode
    before: Episode | None
    kind: ChangeKind | None


def family(source: str) -> str:
    """Alerts of one family with equal labels are the same alert. A stranger cannot resolve what an audit found."""
    return source if source in LOCAL_SOURCES else REMOTE_FAMILY


def receive(known: Sequence[Episode], alert: Alert, now: datetime) -> Effect | None:
    """Fold `alert` into the episodes of the same family and fingerprint. None when it changes nothing at all."""
    ends_at = _end(alert, now)
    named = alert.starts_at_stated and alert.source not in LOCAL_SOURCES
    same_start = next((episode for episode in known if episode.starts_at == alert.starts_at), None)
    live = [episode for episode in known if episode.is_live]
    current = same_start if named else max(live, key=lambda episode: episode.starts_at, default=None)
    if ends_at is not None:
        return _resolve(current, alert, ends_at, now, named=named)
    if current is None and same_start is not None:
        # Only an unnamed message can meet an ended episode of the very same start: it goes on.
        return _fire(same_start, alert, now, taken_back=True)
    if current is None:
        return Effect(episode=_opened(alert, now), before=None, kind=ChangeKind.OPENED)
    # Counted from when we learned of the end: a late message about it carries an end long past.
    taken_back = now - current.updated_at >= END_TAKEN_BACK_AFTER
    return _fire(current, alert, now, taken_back=taken_back)


def lapse(episode: Episode, now: datetime) -> Episode:
    """The source promised to send again and did not: silent, which is neither firing nor resolved."""
    return replace(episode, state=AlertState.SILENT, updated_at=now)


def _end(alert: Alert, now: datetime) -> datetime | None:
    """The explicit end, or None while firing. A local source gives no leases: an end is an end, whatever the clock."""
    if alert.source in LOCAL_SOURCES:
        return alert.ends_at
    return alert.ends_at if alert.state(now) is AlertState.RESOLVED else None


def _lease(alert: Alert) -> datetime | None:
    return None if alert.source in LOCAL_SOURCES else alert.ends_at


def _opened(alert: Alert, now: datetime) -> Episode:
    return Episode(
        id=0,
        fingerprint=alert.fingerprint,
        source=alert.source,
        labels=dict(alert.labels),
        annotations=dict(alert.annotations),
        starts_at=alert.starts_at,
        state=AlertState.FIRING,
        ends_at=None,
        lease_until=_lease(alert),
        updated_at=now,
        incident=None,
        generator_url=alert.generator_url,
        evidence=dict(alert.evidence),
    )


def _fire(episode: Episode, alert: Alert, now: datetime, *, taken_back: bool) -> Effect | None:
    if episode.state is AlertState.RESOLVED and not taken_back:
        return None
    lease = _lease(alert)
    if _is_older(lease, episode):
        # A late copy: it neither shortens the promise of a newer message nor brings back its old words.
        return None
    if lease is None and episode.state is AlertState.FIRING:
        lease = episode.lease_until
    after = replace(
        episode,
        source=alert.source,
        annotations=dict(alert.annotations) or episode.annotations,
        evidence=dict(alert.evidence) or episode.evidence,
        generator_url=alert.generator_url or episode.generator_url,
        state=AlertState.FIRING,
        ends_at=None,
        lease_until=lease,
        updated_at=now,
    )
    if episode.state is not AlertState.FIRING:
        return Effect(episode=after, before=episode, kind=ChangeKind.REOPENED)
    told = (after.annotations, after.evidence) != (episode.annotations, episode.evidence)
    return Effect(episode=after, before=episode, kind=ChangeKind.UPDATED if told else None)


def _is_older(lease: datetime | None, episode: Episode) -> bool:
    """Whether a message with `lease` was sent before the one that the firing episode has its lease from."""
    if lease is None or episode.lease_until is None or episode.state is not AlertState.FIRING:
        return False
    return lease < episode.lease_until


def _resolve(current: Episode | None, alert: Alert, ends_at: datetime, now: datetime, *, named: bool) -> Effect | None:
    if current is None:
        # The end came before its beginning: remember it, so that the beginning, when it comes late, opens nothing.
        ended = replace(_opened(alert, now), state=AlertState.RESOLVED, ends_at=ends_at, lease_until=None)
        return Effect(episode=ended, before=None, kind=None) if named else None
    if not named and alert.source not in LOCAL_SOURCES and ends_at < current.starts_at:
        return None
    if current.state is AlertState.RESOLVED:
        end = max(ends_at, current.ends_at or ends_at)
        longer = replace(current, ends_at=end, updated_at=now)
        return Effect(episode=longer, before=current, kind=None) if end != current.ends_at else None
    after = replace(
        current,
        state=AlertState.RESOLVED,
        ends_at=max(ends_at, current.starts_at),
        lease_until=None,
        updated_at=now,
    )
    return Effect(episode=after, before=current, kind=ChangeKind.RESOLVED)
