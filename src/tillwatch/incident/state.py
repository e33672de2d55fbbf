"""The life of an incident as a pure state machine: (incident, what happened, now) → what it is now, and what follows.

    open ──acknowledge──► acknowledged
      │                        │
      └──── no alert lives ────┴──► resolved (by evidence: every alert of it was ended by its own source)

A silent alert still lives: its source is gone, which proves nothing. A person may resolve an incident of silent alerts
only, with a reason; while anything fires nobody can.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

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
from tillwatch.oncall.calendar import Judged
from tillwatch.oncall.duty import NOBODY, Duty

#: Changes that came together and each get a timeline entry of their own; the alerts themselves are all stored.
TOLD_ONE_BY_ONE = 50
#: The same in an incident that has MANY live alerts already.
TOLD_ONE_BY_ONE_AMONG_MANY = 3
MANY = 10
#: A component with so many incidents within FLAP_WINDOW flaps: the next end is believed only after FLAP_HOLD of quiet.
FLAPS = 5
FLAP_WINDOW = timedelta(minutes=30)
FLAP_HOLD = timedelta(minutes=5)

_STEP = (
    *("policy", "step", "steps", "round", "target", "person"),
    *("channels", "not_before", "reason", "turn", "next_at"),
)
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
    "inhibited": ("causes",),
    "unsilenced": (),
    "severity_adjusted": ("stated", "severity", "calendar"),
    "notified": ("notice", "receiver", "person", "channels", "not_before", "reason", "held"),
    "escalated": _STEP,
    "step_in_vain": _STEP,
    "escalation_ended": ("receiver", "policy"),
    "nobody_oncall": ("rota", "reason", "not_before"),
    "notice_withdrawn": ("notice", "reason"),
    "nobody_told": ("receiver", "reason"),
    "runbooks_unavailable": ("error",),
    "acknowledged": ("until",),
    "unacknowledged": ("reason",),
    "acknowledgement_over": ("by",),
    "snoozed": ("until", "reason"),
    "snooze_over": (),
    "assigned": ("assignee",),
    "note": ("text",),
    "flapping": ("often", "until"),
    "automatic_held": ("runbook", "windows"),
    "automatic_refused": ("runbook", "reason"),
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
    #: People, rotas, escalations and the calendar.
    duty: Duty = NOBODY
    #: How often its component has had an incident within FLAP_WINDOW, this one included.
    often: int = 1
    #: Whether any of its alerts lives; only who asks for time's own changes says so.
    calm: bool = False
    #: How many alerts it has had in all, when that is asked for.
    ever: int = 0

    def judged(self, episode: Episode) -> Judged:
        """What the calendar makes of the severity an alert states."""
        return self.duty.calendar.judged(episode.labels, Severity.of(episode.labels), self.now)


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
    2. No alert lives any more: resolved, and everybody who was told hears so. It had `ever` alerts in all. When it has
       come back too often it stays open until it has been quiet for FLAP_HOLD.
    3. Otherwise title, evidence and money at risk follow the worst alerts that live; severity only ever rises.
    4. Whoever has to hear of it hears of it, in the rhythm of its route; under a folded incident nobody does.
    """
    now = setting.now
    one_by_one = TOLD_ONE_BY_ONE_AMONG_MANY if len(live) >= MANY else TOLD_ONE_BY_ONE
    entries = _alert_entries([change for change in changes if _is_news(change)], one_by_one, now)
    if incident.version == 0:
        incident, adjusted = _opened(incident, live, setting)
        severity = incident.severity.value
        entries = [entry(now, "opened", component=str(incident.component), severity=severity), *adjusted, *entries]
    if not live and setting.often >= FLAPS:
        return _held(incident, entries, setting)
    if not live:
        reason = "every alert was ended by its own source"
        return resolved(incident, ever, entries, now, actor=SYSTEM, reason=reason)
    back = incident.settles_at is not None
    described = replace(_described(incident, live, setting), settles_at=None)
    raised = incident.version > 0 and described.severity.rank < incident.severity.rank
    if raised:
        before, after = incident.severity.value, described.severity.value
        entries.append(entry(now, "severity_raised", before=before, after=after))
    described = replace(described, version=incident.version + bool(entries))
    if described.parent is not None:
        return Outcome(incident=described, entries=tuple(entries))
    heard = [change for change in changes if change.episode.id not in setting.muted]
    # That it is back again is no news while it flaps: whoever was told knows.
    news = not back and any(change.kind in _WORTH_TELLING for change in heard)
    told = telling.tell(described, setting.listeners, now, raised=raised and bool(heard), news=news, duty=setting.duty)
    return Outcome(
        incident=told.incident,
        entries=(*entries, *told.entries),
        notices=told.notices,
        withdrawn=told.withdrawn,
    )


def _held(incident: Incident, entries: Sequence[TimelineEntry], setting: Setting) -> Outcome:
    settles_at = setting.now + FLAP_HOLD
    held = entry(setting.now, "flapping", often=setting.often, until=settles_at.isoformat())
    after = replace(incident, settles_at=settles_at, version=incident.version + 1)
    return Outcome(incident=after, entries=(*entries, held))


def fold(incident: Incident, parent: Incident, now: datetime) -> Outcome:
    """Put an incident under the one that explains it: it stays open and complete, but nobody is told any more."""
    quiet = telling.hush(incident, now, "another incident explains it")
    entries = [entry(now, "folded", parent=parent.id, component=str(parent.component)), *quiet.entries]
    folded = replace(quiet.incident, parent=parent.id, version=incident.version + 1)
    return Outcome(incident=folded, entries=tuple(entries), withdrawn=quiet.withdrawn)


def unfold(incident: Incident, setting: Setting, reason: str) -> Outcome:
    """Let an incident stand for itself again; who was not told yet is told now."""
    alone = replace(incident, parent=None, version=incident.version + 1)
    told = telling.tell(alone, setting.listeners, setting.now, raised=False, news=True, duty=setting.duty)
    first = entry(setting.now, "unfolded", parent=incident.parent, reason=reason)
    return Outcome(incident=told.incident, entries=(first, *told.entries), notices=told.notices)


def quiet(incident: Incident, now: datetime, *, silences: Sequence[str], causes: Sequence[str]) -> Outcome:
    """Every live alert is muted: what nobody has heard of is not told, what somebody has is not repeated.

    `silences` are ids, `causes` the names of alerts that explain these ones by a declared inhibition.
    """
    hushed = telling.hush(incident, now, "silenced" if silences else "another alert explains it")
    entries = []
    if silences:
        entries.append(entry(now, "silenced", silences=list(silences)))
    if causes:
        entries.append(entry(now, "inhibited", causes=list(causes)))
    after = replace(hushed.incident, version=incident.version + 1)
    return Outcome(incident=after, entries=(*entries, *hushed.entries), withdrawn=hushed.withdrawn)


def unsilence(incident: Incident, setting: Setting) -> Outcome:
    """Something in it is not muted any more: whoever has to hear of it hears of it, unless somebody is on it."""
    heard = replace(incident, version=incident.version + 1)
    is_open = incident.state is IncidentState.OPEN
    told = telling.tell(heard, setting.listeners, setting.now, raised=False, news=is_open, duty=setting.duty)
    entries = (entry(setting.now, "unsilenced"), *told.entries)
    return Outcome(incident=told.incident, entries=entries, notices=told.notices)


#: Changes that whoever was told before is told of. An end of one alert among several is not: the end of all is.
_WORTH_TELLING = frozenset({ChangeKind.OPENED, ChangeKind.REOPENED, ChangeKind.SILENT})
_ENTRY_KINDS = {
    ChangeKind.OPENED: "alert_firing",
    ChangeKind.REOPENED: "alert_firing_again",
    ChangeKind.UPDATED: "alert_updated",
    ChangeKind.SILENT: "alert_silent",
    ChangeKind.RESOLVED: "alert_resolved",
}


def _is_news(change: EpisodeChange) -> bool:
    """A newer log or measurement is stored but told nobody; another cause, or other counts of an audit, is news."""
    if change.kind is not ChangeKind.UPDATED or change.before is None:
        return True
    before, after = change.before.annotations, change.episode.annotations
    if before.get("cause", "") != after.get("cause", ""):
        return True
    return change.episode.source in {"audit", "validation"} and before.get("summary") != after.get("summary")


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


def _opened(incident: Incident, live: Sequence[Episode], setting: Setting) -> tuple[Incident, list[TimelineEntry]]:
    """A new incident with the severity that the calendar gives its alerts, and what the calendar changed."""
    if not live:
        return incident, []
    worst = min((setting.judged(episode) for episode in live), key=lambda one: one.severity.rank)
    stated = min((Severity.of(episode.labels) for episode in live), key=lambda one: one.rank)
    begun = replace(incident, severity=worst.severity)
    if worst.severity is stated:
        return begun, []
    changed: dict[str, Any] = {
        "stated": stated.value,
        "severity": worst.severity.value,
        "calendar": list(worst.reasons),
    }
    return begun, [entry(setting.now, "severity_adjusted", **changed)]


def _described(incident: Incident, live: Sequence[Episode], setting: Setting) -> Incident:
    """The incident in the words and numbers of the alerts that live.

    When only milder alerts are left, the words of what gave the incident its severity stay: while an ERP comes back,
    its incident does not turn into one about the last audit that still waits.
    """
    severities = {episode.id: setting.judged(episode).severity for episode in live}
    worst = min(severities.values(), key=lambda severity: severity.rank)
    if incident.version > 0 and worst.rank > incident.severity.rank:
        return replace(incident, value_at_risk=_value_at_risk(live))
    main = min(live, key=lambda episode: (severities[episode.id].rank, episode.starts_at, episode.id))
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
        title=titles[setting.language],
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


def resolved(
    incident: Incident,
    ever: int,
    entries: Sequence[TimelineEntry],
    now: datetime,
    *,
    actor: str,
    reason: str,
) -> Outcome:
    """The end, by whoever says so."""
    ended = replace(
        incident,
        state=IncidentState.RESOLVED,
        resolved_at=now,
        acknowledged_until=None,
        snoozed_until=None,
        version=incident.version + 1,
    )
    told = telling.all_over(ended, now)
    end = entry(now, "resolved", actor=actor, reason=reason, alerts=ever)
    return Outcome(
        incident=told.incident,
        entries=(*entries, end, *told.entries),
        notices=told.notices,
        withdrawn=told.withdrawn,
    )
