"""An incident as Markdown, in the reader's language: for the terminal, and as the start of a post-mortem."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from tillwatch.model.incident import Incident
from tillwatch.web.formats import Formats
from tillwatch.web.language import ENGLISH, Texts
from tillwatch.web.views.timeline import EntryView

#: Differing rows written out; the audit's export has all of them.
MAX_DIFFERENCES = 20

_HEADINGS = {
    "about": ("About", "对象"),
    "state": ("State", "状态"),
    "severity": ("Severity", "级别"),
    "opened": ("Opened", "创建"),
    "acknowledged": ("Acknowledged", "确认"),
    "resolved": ("Resolved", "解决"),
    "lasted": ("Lasted", "历时"),
    "assigned": ("Assigned to", "负责人"),
    "at_risk": ("Money at risk", "涉及金额"),
    "timeline": ("Timeline", "时间线"),
    "alerts": ("Alerts", "告警"),
    "differences": ("Differing rows", "差异明细"),
    "runbooks": ("Runbooks", "预案"),
    "notifications": ("Notifications", "通知"),
}


def title_of(incident: Incident, language: str) -> str:
    """The title in `en` or `zh`, else in whatever there is."""
    return incident.titles.get(language) or incident.title


def markdown(
    incident: Incident, document: Mapping[str, Any], entries: Sequence[EntryView], t: Texts, f: Formats
) -> str:
    """`entries` oldest first; `document` is that of `incident show --json`."""
    return "\n".join(_lines(incident, document, entries, t, f)) + "\n"


def _lines(
    incident: Incident, document: Mapping[str, Any], entries: Sequence[EntryView], t: Texts, f: Formats
) -> Iterator[str]:
    head = {key: english if t.language == ENGLISH else chinese for key, (english, chinese) in _HEADINGS.items()}
    yield f"# #{incident.id} {_line(title_of(incident, 'en' if t.language == ENGLISH else 'zh'))}"
    yield ""
    for key, value in _facts(incident, t, f):
        yield f"- **{head[key]}**: {_line(value)}"
    yield from ("", f"## {head['timeline']}", "")
    for entry in entries:
        who = f" ({_line(entry.actor)})" if entry.actor else ""
        said = f": {_line(entry.quote)}" if entry.quote else ""
        yield f"- {f.full(entry.at)} {_line(entry.text)}{said}{who}"
    yield from ("", f"## {head['alerts']}", "")
    for alert in document["alerts"]:
        yield from _alert(alert, head["differences"], t, f)
    if document["runbooks"]:
        yield from ("", f"## {head['runbooks']}", "")
        for link in document["runbooks"]:
            params = " ".join(f"{name}={value}" for name, value in link["params"].items())
            yield f"- {_line(link['id'])} {_line(params)}".rstrip()
    if document["notifications"]:
        yield from ("", f"## {head['notifications']}", "")
        for sent in document["notifications"]:
            words = (sent["kind"], sent["channel"], sent["state"], sent["code"], sent["detail"])
            yield "- " + " ".join(_line(str(word)) for word in words if word)


def _facts(incident: Incident, t: Texts, f: Formats) -> Iterator[tuple[str, str]]:
    yield "about", str(incident.component)
    yield "state", t.or_raw("state", incident.state.value)
    yield "severity", t.or_raw("severity", incident.severity.value)
    yield "opened", f.full(incident.opened_at)
    if incident.acknowledged_at is not None:
        yield "acknowledged", f"{f.full(incident.acknowledged_at)} {incident.acknowledged_by}"
    if incident.resolved_at is not None:
        yield "resolved", f.full(incident.resolved_at)
        yield "lasted", str(incident.resolved_at - incident.opened_at)
    if incident.assigned_to:
        yield "assigned", incident.assigned_to
    if incident.value_at_risk is not None:
        yield "at_risk", f"{incident.value_at_risk} {f.currency}"


def _alert(alert: Mapping[str, Any], differences_heading: str, t: Texts, f: Formats) -> Iterator[str]:
    notes = alert["annotations"]
    summary = (notes.get("summary") if t.language == ENGLISH else notes.get("summary_zh")) or notes.get("summary", "")
    ended = alert["ends_at"]
    span = f.full(datetime.fromisoformat(alert["starts_at"])) + (
        f" – {f.full(datetime.fromisoformat(ended))}" if ended else ""
    )
    yield f"- **{_line(alert['alertname'])}** {t.or_raw('alert_state', alert['state'])}, {span}: {_line(summary)}"
    differences = alert["evidence"].get("differences")
    if isinstance(differences, list) and differences:
        yield f"  - {differences_heading}:"
        for row in differences[:MAX_DIFFERENCES]:
            yield f"    - {_line(_difference(row))}"


def _difference(row: Any) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    key = " ".join(f"{name}={value}" for name, value in dict(row.get("key") or {}).items())
    sides = " | ".join("–" if row.get(side) is None else str(dict(row[side])) for side in ("left", "right"))
    return f"{row.get('kind', '')} {key}: {sides}"


def _line(text: str) -> str:
    """Foreign words on one line, without a way to become a heading, a link or a picture."""
    flat = " ".join(text.split())
    return flat.replace("\\", "\\\\").replace("<", "&lt;").replace("[", "\\[").replace("`", "\\`").replace("|", "\\|")
