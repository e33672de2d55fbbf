"""The life of an incident as a pure state machine: (incident, what happened, now) → what it is now, and what follows.

    open ──acknowledge──► acknowledged
      │                        │
      └──── no alert lives ────┴──► resolved (by evidence: every alert of it was ended by its own source)

A silent alert still lives: its source is gone, which proves nothing. A person may resolve an incident of silent alerts
only, with a reason; while anything fires nobody can.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tillwatch.errors import RefusedError, UsageError
from tillwatch.incident import telling
from tillwatch.incident.telling import SYSTEM, entry
from tillwatch.model.alert import ChangeKind, Episode, EpisodeChange
from tillwatch.model.incident import (
    Component,
    ComponentKind,
    Incident,
    IncidentState,
    Listener,
    Severity,
    TimelineEntry,
)
from tillwatch.model.notice import Notice, NoticeKind

#: A note longer than this is a file.
MAX_NOTE_CHARACTERS = 10_000
#: Changes that came together and each get a timeline entry of their own; the alerts themselves are all stored.
TOLD_ONE_BY_ONE = 50
#: The same in an incident that has MANY live alerts already.
TOLD_ONE_BY_ONE_AMONG_MANY = 3
MANY = 25

#: Every kind of timeline entry this module and its neighbours write, with the keys of its data.
TIMELINE_KINDS: Mapping[str, tuple[str, ...]] = {
    "opened": ("component", "severity"),
    "alert_firing": ("alertname", "labels", "summary", "summary_zh", "cause", "source"),
    "alert_firing_again": ("alertname", "labels", "summary", "summary_zh", "cause", "source"),
    "alert_updated": ("alertname", "labels", "summary", "summary_zh", "cause", "source"),
    "alert_silent": ("alertname", "labels", "summary", "summary_zh", "cause", "source", "lease_until"),
    "alert_resolved": ("alertname", "labels", "summary", "summary_zh", "cause", "source", "ends_at"),
    "alerts_more": ("count",),
    "severity_raised": ("before", "after"),
    "folded": ("parent", "component"),
    "unfolded": ("parent", "reason"),
    "silenced": ("silences",),
    "unsilenced": (),
    "notified": ("notice", "receiver", "channels", "not_before", "reason"),
    "notice_withdrawn": ("notice", "reason"),
    "nobody_told": ("receiver", "reason"),
    "runbooks_unavailable": ("error",),
    "acknowledged": (),
    "assigned": ("assignee",),
    "note": ("text",),
    "resolved": ("reason", "alerts"),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The incident after something happened, what to write into its timeline, whom to tell, what to take back."""

    incident: Incident
    entries: tuple[TimelineEntry, ...] = ()
    notices: tuple[Notice, ...] = ()
    #: Kinds of notices that nobody has begun to send and nobody needs any more.
    withdrawn: tuple[NoticeKind, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What the machine needs to know of its surroundings."""

    now: datetime
    #: `zh` or `en`: the language of `Incident.title`.
    language: str
    #: Who is told about the alerts that live, in the order of the routing tree.
    listeners: tuple[Listener, ...]
    #: Episodes a silence mutes: they open and close incidents, and are told to nobody.
    muted: frozenset[int] = frozenset()


def begin(id: int, component: Component, episode: Episode, now: datetime) -> Incident:
    """An incident about `component` that has not taken in its first alert yet; its version is 0."""
    return Incident(
        id=id,
        component=component,
        state=IncidentState.OPEN,
        severity=Severity.of(episode.labels),
        title="",
        opened_at=now,
        version=0,
    )


def absorb(
    incident: Incident, live: Sequence[Episode], changes: Sequence[EpisodeChange], setting: Setting, *, ever: int = 0
) -> Outcome:
    """Take in `changes` of the incident's alerts. `live` are the worst of its alerts that live, none when none lives.

    1. Every change becomes a timeline entry, unless it is only a newer measurement; of very many, some do.
    2. No alert lives any more: resolved, and everybody who was told hears so. It had `ever` alerts in all.
    3. Otherwise title, evidence and money at risk follow the worst alerts that live; severity only ever rises.
    4. Whoever has to hear of it hears of it, in the rhythm of its route; under a folded incident nobody does.
    """
    now = setting.now
    one_by_one = TOLD_ONE_BY_ONE_AMONG_MANY if len(live) >= MANY else TOLD_ONE_BY_ONE
    entries = _alert_entries([change for change in changes if _is_news(change)], one_by_one, now)
    if incident.version == 0:
        severity = incident.severity.value
        entries.insert(0, entry(now, "opened", component=str(incident.component), severity=severity))
    if not live:
        reason = "every alert was ended by its own source"
        return _resolved(incident, ever, entries, now, actor=SYSTEM, reason=reason)
    described = _described(incident, live, setting.language)
    raised = incident.version > 0 and described.severity.rank < incident.severity.rank
    if raised:
        before, after = incident.severity.value, described.severity.value
        entries.append(entry(now, "severity_raised", before=before, after=after))
    described = replace(described, version=incident.version + bool(entries))
    if described.parent is not None:
        return Outcome(incident=described, entries=tuple(entries))
    heard = [change for change in changes if change.episode.id not in setting.muted]
    news = any(change.kind in _WORTH_TELLING for change in heard)
    told = telling.tell(described, setting.listeners, now, raised=raised and bool(heard), news=news)
    return Outcome(incident=told.incident, entries=(*entries, *told.entries), notices=told.notices)


def fold(incident: Incident, parent: Incident, now: datetime) -> Outcome:
    """Put an incident under the one that explains it: it stays open and complete, but nobody is told any more."""
    quiet = telling.hush(incident, now, "another incident explains it")
    entries = [entry(now, "folded", parent=parent.id, component=str(parent.component)), *quiet.entries]
    folded = replace(quiet.incident, parent=parent.id, version=incident.version + 1)
    return Outcome(incident=folded, entries=tuple(entries), withdrawn=quiet.withdrawn)


def unfold(incident: Incident, setting: Setting, reason: str) -> Outcome:
    """Let an incident stand for itself again; who was not told yet is told now."""
    alone = replace(incident, parent=None, version=incident.version + 1)
    told = telling.tell(alone, setting.listeners, setting.now, raised=False, news=True)
    first = entry(setting.now, "unfolded", parent=incident.parent, reason=reason)
    return Outcome(incident=told.incident, entries=(first, *told.entries), notices=told.notices)


def silence(incident: Incident, silences: Sequence[str], now: datetime) -> Outcome:
    """Every live alert is muted: what nobody has heard of is not told, what somebody has is not repeated."""
    hushed = telling.hush(incident, now, "silenced")
    entries = (entry(now, "silenced", silences=list(silences)), *hushed.entries)
    quiet = replace(hushed.incident, version=incident.version + 1)
    return Outcome(incident=quiet, entries=entries, withdrawn=hushed.withdrawn)


def unsilence(incident: Incident, setting: Setting) -> Outcome:
    """Something in it is not muted any more: whoever has to hear of it hears of it, unless somebody is on it."""
    heard = replace(incident, version=incident.version + 1)
    is_open = incident.state is IncidentState.OPEN
    told = telling.tell(heard, setting.listeners, setting.now, raised=False, news=is_open)
    entries = (entry(setting.now, "unsilenced"), *told.entries)
    return Outcome(incident=told.incident, entries=entries, notices=told.notices)


def remind(incident: Incident, now: datetime) -> Outcome:
    """Tell again those whose time has come. Nobody is reminded of what is acknowledged, folded or resolved."""
    if incident.state is not IncidentState.OPEN or incident.parent is not None:
        return Outcome(incident=incident)
    told = telling.remind(incident, now)
    return Outcome(incident=told.incident, entries=told.entries, notices=told.notices)


def acknowledge(incident: Incident, actor: str, now: datetime) -> Outcome:
    """Somebody is on it: no more reminders. A second acknowledgement changes nothing. RefusedError when resolved."""
    _must_be_open(incident, "acknowledged")
    if incident.state is IncidentState.ACKNOWLEDGED:
        return Outcome(incident=incident)
    acknowledged = replace(
        incident,
        state=IncidentState.ACKNOWLEDGED,
        acknowledged_at=now,
        acknowledged_by=actor,
        version=incident.version + 1,
        told=tuple(replace(told, remind_at=None) for told in incident.told),
    )
    return Outcome(
        incident=acknowledged,
        entries=(entry(now, "acknowledged", actor=actor),),
        withdrawn=(NoticeKind.REMINDER,),
    )


def assign(incident: Incident, actor: str, assignee: str, now: datetime) -> Outcome:
    """Say who works on it. Raises RefusedError when resolved, UsageError when nobody is named."""
    _must_be_open(incident, "assigned")
    if not assignee.strip():
        raise UsageError("nobody is named; say to whom the incident is assigned")
    assigned = replace(incident, assigned_to=assignee.strip(), version=incident.version + 1)
    return Outcome(incident=assigned, entries=(entry(now, "assigned", actor=actor, assignee=assignee.strip()),))


def note(incident: Incident, actor: str, text: str, now: datetime) -> Outcome:
    """Write something down; possible at any time, also after the end. UsageError when empty or far too long."""
    if not text.strip():
        raise UsageError("the note is empty")
    if len(text) > MAX_NOTE_CHARACTERS:
        raise UsageError(f"the note has {len(text)} characters; at most {MAX_NOTE_CHARACTERS}")
    return Outcome(incident=incident, entries=(entry(now, "note", actor=actor, text=text.strip()),))


def resolve(
    incident: Incident, firing: Sequence[str], actor: str, reason: str, now: datetime, *, ever: int = 0
) -> Outcome:
    """Close by hand what can never close by evidence, because its sources are gone. `firing` are names of alerts.

    Raises RefusedError while anything fires (only its own source ends it, and drift only a clean re-check) and when
    it is resolved already; UsageError without a reason.
    """
    _must_be_open(incident, "resolved")
    if not reason.strip():
        raise UsageError("a reason is needed to resolve an incident by hand")
    if firing:
        raise RefusedError(
            f"incident {incident.id} cannot be resolved by hand while alerts fire ({', '.join(firing)}); it resolves "
            "by itself when their checks succeed again: mend the cause, then run the check or the audit"
        )
    return _resolved(incident, ever, [], now, actor=actor, reason=reason.strip())


#: Changes that whoever was told before is told of. An end of one alert among several is not: the end of all is.
_WORTH_TELLING = frozenset({ChangeKind.OPENED, ChangeKind.REOPENED, ChangeKind.SILENT})
_ENTRY_KINDS = {
    ChangeKind.OPENED: "alert_firing",
    ChangeKind.REOPENED: "alert_firing_again",
    ChangeKind.UPDATED: "alert_updated",
    ChangeKind.SILENT: "alert_silent",
    ChangeKind.RESOLVED: "alert_resolved",
}


def _must_be_open(incident: Incident, verb: str) -> None:
    if incident.state is IncidentState.RESOLVED:
        raise RefusedError(f"incident {incident.id} is resolved and cannot be {verb} any more; a note can be added")


def _is_news(change: EpisodeChange) -> bool:
    """A newer log or measurement is stored but told nobody; another cause, or other counts of an audit, is news."""
    if change.kind is not ChangeKind.UPDATED or change.before is None:
        return True
    before, after = change.before.annotations, change.episode.annotations
    if before.get("cause", "") != after.get("cause", ""):
        return True
    return change.episode.source == "audit" and before.get("summary") != after.get("summary")


def _alert_entries(changes: Sequence[EpisodeChange], one_by_one: int, now: datetime) -> list[TimelineEntry]:
    """One entry for each change; of a storm the first ones and how many more, or nobody could read the timeline."""
    entries = [_alert_entry(change, now) for change in changes[:one_by_one]]
    if (more := len(changes) - one_by_one) > 0:
        entries.append(entry(now, "alerts_more", count=more))
    return entries


def _alert_entry(change: EpisodeChange, now: datetime) -> TimelineEntry:
    episode = change.episode
    data: dict[str, Any] = {
        "alertname": episode.name,
        "labels": dict(episode.labels),
        "summary": episode.annotations.get("summary", ""),
        "summary_zh": episode.annotations.get("summary_zh", ""),
        "cause": episode.annotations.get("cause", ""),
        "source": episode.source,
    }
    if change.kind is ChangeKind.RESOLVED and episode.ends_at is not None:
        data["ends_at"] = episode.ends_at.isoformat()
    if change.kind is ChangeKind.SILENT and episode.lease_until is not None:
        data["lease_until"] = episode.lease_until.isoformat()
    return entry(now, _ENTRY_KINDS[change.kind], **data)


def _described(incident: Incident, live: Sequence[Episode], language: str) -> Incident:
    """The incident in the words and numbers of the alerts that live.

    When only milder alerts are left, the words of what gave the incident its severity stay: while an ERP comes back,
    its incident does not turn into one about the last audit that still waits.
    """
    worst = min((Severity.of(episode.labels) for episode in live), key=lambda severity: severity.rank)
    if incident.version > 0 and worst.rank > incident.severity.rank:
        return replace(incident, value_at_risk=_value_at_risk(live))
    main = min(live, key=lambda episode: (Severity.of(episode.labels).rank, episode.starts_at, episode.id))
    plain = (
        main.annotations.get("summary") or main.annotations.get("description") or f"{main.name}: {incident.component}"
    )
    titles = {"en": plain, "zh": main.annotations.get("summary_zh") or plain}
    if incident.component.kind is ComponentKind.STORM:
        titles = {"en": f"Alert storm: {titles['en']}, and others", "zh": f"告警风暴：{titles['zh']} 等"}
    return replace(
        incident,
        severity=min(worst, incident.severity, key=lambda severity: severity.rank),
        titles=titles,
        title=titles[language],
        evidence=dict(main.evidence),
        value_at_risk=_value_at_risk(live),
    )


def _value_at_risk(live: Iterable[Episode]) -> Decimal | None:
    amounts: list[Decimal] = []
    for episode in live:
        try:
            amounts.append(Decimal(str(episode.evidence["value_at_risk"])))
        except (KeyError, InvalidOperation):
            continue
    finite = [amount for amount in amounts if amount.is_finite()]
    return sum(finite, Decimal(0)) if finite else None


def _resolved(
    incident: Incident,
    ever: int,
    entries: Sequence[TimelineEntry],
    now: datetime,
    *,
    actor: str,
    reason: str,
) -> Outcome:
    ended = replace(incident, state=IncidentState.RESOLVED, resolved_at=now, version=incident.version + 1)
    told = telling.all_over(ended, now)
    end = entry(now, "resolved", actor=actor, reason=reason, alerts=ever)
    return Outcome(
        incident=told.incident,
        entries=(*entries, end, *told.entries),
        notices=told.notices,
        withdrawn=told.withdrawn,
    )
