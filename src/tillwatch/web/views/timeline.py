"""The timeline in words: one sentence an entry, in the reader's language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tillwatch.config.declared import ChainConfig
from tillwatch.incident.telling import SYSTEM
from tillwatch.model.incident import TimelineEntry
from tillwatch.model.notice import DeliveryState
from tillwatch.model.runbook import RunState
from tillwatch.web.formats import Formats
from tillwatch.web.language import ENGLISH, Texts
from tillwatch.web.views.names import channel_names, component_name, target_name, window_name

#: How an entry is marked: trouble, relief, or a person. The rest is bookkeeping.
GROUPS: Mapping[str, str] = {
    "opened": "bad",
    "alert_firing": "bad",
    "alert_firing_again": "bad",
    "alert_silent": "bad",
    "severity_raised": "bad",
    "nobody_told": "bad",
    "nobody_oncall": "bad",
    "escalated": "bad",
    "step_in_vain": "bad",
    "escalation_ended": "bad",
    "acknowledgement_over": "bad",
    "run_compensating": "bad",
    "runbooks_unavailable": "bad",
    "alert_resolved": "good",
    "resolved": "good",
    "acknowledged": "person",
    "unacknowledged": "person",
    "snoozed": "person",
    "assigned": "person",
    "note": "person",
    "run_requested": "person",
    "run_voted": "person",
    "run_confirmed": "person",
    "run_stopped": "person",
    "run_reopened": "person",
}
#: Who acts when no person does.
MACHINES = frozenset({"", SYSTEM, "runbook"})
#: What a person or a program said in its own words; shown as it is, below the sentence.
_QUOTES = ("text", "error")


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """One entry. `actor` is empty when it was the system itself."""

    at: datetime
    group: str
    text: str
    actor: str
    quote: str
    run: int | None
    audit_run: int | None


def entry_views(entries: Sequence[TimelineEntry], config: ChainConfig, t: Texts, f: Formats) -> list[EntryView]:
    """Newest first: at 3 a.m. the last thing that happened is the first question."""
    return [_view(entry, config, t, f) for entry in reversed(entries)]


def _view(entry: TimelineEntry, config: ChainConfig, t: Texts, f: Formats) -> EntryView:
    by_person = entry.actor not in MACHINES
    return EntryView(
        at=entry.at,
        group=_group(entry),
        text=_text(entry, config, t, f, by_person=by_person),
        actor=entry.actor if by_person else "",
        quote=_quote(entry, by_person=by_person),
        run=_number(entry.data.get("run")),
        audit_run=_number(entry.data.get("audit_run")),
    )


def _group(entry: TimelineEntry) -> str:
    if entry.kind == "run_finished":
        return "good" if entry.data.get("state") == RunState.SUCCEEDED.value else "bad"
    if entry.kind == "delivery":
        return "" if entry.data.get("result") == DeliveryState.DELIVERED.value else "bad"
    return GROUPS.get(entry.kind, "")


def _text(entry: TimelineEntry, config: ChainConfig, t: Texts, f: Formats, *, by_person: bool) -> str:
    """A kind we have no words for is shown with its data: unknown is not a reason to hide."""
    data = entry.data
    key = f"timeline.{entry.kind}"
    if entry.kind == "resolved" and by_person:
        key = "timeline.resolved_by_hand"
    if entry.kind == "acknowledged" and data.get("until"):
        key = "timeline.acknowledged_until"
    at = _instant(data.get("not_before"))
    if entry.kind == "notified" and at is not None and at > entry.at:
        key = "timeline.notified_after_quiet_hours" if data.get("held") else "timeline.notified_later"
    if not t.has(key):
        facts = ", ".join(f"{name}: {value}" for name, value in data.items() if value not in (None, "", [], {}))
        return f"{entry.kind} ({facts})" if facts else entry.kind
    values = {name: str(value) for name, value in data.items()}
    channels = channel_names(config, t)
    title = data.get("title", "")
    values |= {
        "what": _what(data, t),
        "component": component_name(config, str(data.get("component", "")), t),
        "at": f.seconds_clock(at) if at else "",
        "severity": t.or_raw("severity", str(data.get("severity", ""))),
        "before": t.or_raw("severity", str(data.get("before") or data.get("stated") or "")),
        "after": t.or_raw("severity", str(data.get("after") or data.get("severity") or "")),
        "to": target_name(config, str(data.get("target", "")), str(data.get("person", "")), t),
        "turn": t.or_raw("turn", str(data.get("turn") or data.get("reason") or "")),
        "why": t.or_raw("step", str(data.get("reason", ""))),
        "windows": t("list").join(window_name(config, str(one), t) for one in _list(data.get("windows"))),
        "causes": t("list").join(str(one) for one in _list(data.get("causes"))),
        "calendar": t("list").join(window_name(config, str(one), t) for one in _list(data.get("calendar"))),
        "until": f.seconds_clock(until) if (until := _instant(data.get("until"))) else "",
        "notice": t.or_raw("delivery_kind", str(data.get("notice", ""))),
        "title": t.name(title, str(data.get("runbook", ""))) if isinstance(title, Mapping) else str(title),
        "decision": t.or_raw("vote", str(data.get("decision", ""))),
        "state": t.or_raw("run.state", str(data.get("state", ""))),
        "result": t.or_raw("delivery_state", str(data.get("result", ""))),
        "channel": channels.get(str(data.get("channel", "")), str(data.get("channel", ""))),
        "channels": t("list").join(channels.get(str(one), str(one)) for one in _list(data.get("channels"))),
    }
    return t.loosely(key, values)


def _what(data: Mapping[str, object], t: Texts) -> str:
    first, second = ("summary", "summary_zh") if t.language == ENGLISH else ("summary_zh", "summary")
    return str(data.get(first) or data.get(second) or data.get("alertname") or "")


def _quote(entry: TimelineEntry, *, by_person: bool) -> str:
    if by_person and entry.data.get("reason"):
        return str(entry.data["reason"])
    if entry.kind in ("nobody_told", "run_compensating"):
        return str(entry.data.get("reason", ""))
    if entry.kind == "run_finished" and entry.data.get("state") != RunState.SUCCEEDED.value:
        return str(entry.data.get("reason", ""))
    if entry.kind == "delivery" and entry.data.get("result") != DeliveryState.DELIVERED.value:
        return f"{entry.data.get('code', '')} {entry.data.get('detail', '')}".strip()
    return next((str(entry.data[name]) for name in _QUOTES if entry.data.get(name)), "")


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None
