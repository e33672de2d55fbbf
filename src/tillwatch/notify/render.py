"""The wording of messages: one template per language, edited by the on-call team, never able to lose a message.

`alerts/messages/incident.zh.j2` and `incident.en.j2`: the first line is the title, the rest the body. Templates run in
a sandbox without autoescape (the text is no HTML); an unknown variable is an error. When a team's template fails, the
message goes out in the wording that ships with the product and says so, because a badly worded page beats none.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import BaseLoader, DictLoader, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from sqlalchemy import Connection

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import pack_root
from tillwatch.errors import Problem, UsageError
from tillwatch.model.incident import Component
from tillwatch.model.notice import DeliveryRecord, NoticeKind
from tillwatch.model.text import language_of, pick
from tillwatch.notify.base import Link, Message

FOLDER = Path("alerts/messages")
#: A title longer than this is cut by every service anyway.
MAX_TITLE_CHARACTERS = 200
MAX_BODY_CHARACTERS = 8_000
#: Alerts named one by one; the page has the rest.
MAX_ALERTS_NAMED = 5

#: What the incident's document holds beyond this is for the page, not for a message.
_NOT_SENT = frozenset({"timeline", "notifications"})
_WORDS: dict[str, dict[str, str]] = {
    "zh": {
        "critical": "严重", "warning": "警告", "info": "提示",
        "open": "未确认", "acknowledged": "已确认", "resolved": "已恢复",
        "opened": "新事件", "updated": "更新", "reminder": "提醒", "escalated": "升级",
        "days": "{} 天", "hours": "{} 小时", "minutes": "{} 分钟", "seconds": "{} 秒",
        "acknowledge": "确认（我来处理）：",
        "fallback": "（消息模板出错，以下为内置文字）",
    },
    "en": {
        "critical": "Critical", "warning": "Warning", "info": "Info",
        "open": "not acknowledged", "acknowledged": "acknowledged", "resolved": "resolved",
        "opened": "New incident", "updated": "Update", "reminder": "Reminder", "escalated": "Escalated",
        "days": "{} d", "hours": "{} h", "minutes": "{} min", "seconds": "{} s",
        "acknowledge": "Acknowledge (I am on it): ",
        "fallback": "(the message template failed; this is the built-in wording)",
    },
}  # fmt: skip
_BUILT_IN = """\
{{ kind_name }} · {{ severity_name }} · {{ component }}: {{ title }}

{{ state }}
{% if ack_url %}
{{ acknowledge }}{{ ack_url }}
{% endif %}
{{ url }}"""

_log = logging.getLogger(__name__)

#: An incident's document, as `incident show --json` prints it.
Lookup = Callable[[Connection, int], Mapping[str, Any]]
#: The token of a message's acknowledge link; empty when there is nothing to acknowledge.
Sign = Callable[[DeliveryRecord, Mapping[str, Any], datetime], str]
#: Titles by language of each runbook.
Titles = Mapping[str, Mapping[str, str]]


class Renderer:
    """Words the messages of one chain. Give it to the outbox worker as its `render`."""

    def __init__(
        self,
        config: ChainConfig,
        *,
        clock: Clock,
        incident: Lookup,
        runbook_titles: Titles | None = None,
        sign: Sign = lambda _record, _incident, _now: "",
    ) -> None:
        self._config = config
        self._clock = clock
        self._incident = incident
        self._runbook_titles = runbook_titles or {}
        self._sign = sign
        own, shipped = config.root / FOLDER, pack_root() / FOLDER
        self._environment = environment(FileSystemLoader([own, shipped]))
        self._built_in = environment(DictLoader({"built_in": _BUILT_IN})).get_template("built_in")

    def __call__(self, connection: Connection, record: DeliveryRecord) -> Message:
        """The worded message of one outbox row, in the language of its channel."""
        locale = self.locale(record.channel)
        if record.kind is NoticeKind.MESSAGE:
            return self._plain(record, locale, self._document(connection, record))
        document = self._incident(connection, record.incident or 0)
        view = self._view(record, document, locale)
        title, body = self._words(view, language_of(locale))
        return Message(
            key=record.key,
            kind=record.kind,
            channel=record.channel,
            receiver=record.receiver,
            person=self._called(record.person, locale),
            mentions=self.mentions(record),
            locale=locale,
            title=title,
            body=body,
            severity=str(document["severity"]),
            url=view["url"],
            ack_url=view["ack_url"],
            runbooks=tuple(view["runbooks"]),
            incident=_sendable(document),
            chain=self._config.chain.id,
            at=self._clock.now(),
        )

    @property
    def chain(self) -> str:
        return self._config.chain.id

    def now(self) -> datetime:
        return self._clock.now()

    def view(self, connection: Connection, record: DeliveryRecord, locale: str) -> Mapping[str, Any]:
        """What there is to say about the incident of a message."""
        return self._view(record, self._incident(connection, record.incident or 0), locale)

    def plain_title(self, record: DeliveryRecord, locale: str) -> str:
        """The first line of a text of its own."""
        return pick(record.text, locale, record.key).partition("\n")[0]

    def _document(self, connection: Connection, record: DeliveryRecord) -> Mapping[str, Any] | None:
        return None if record.incident is None else self._incident(connection, record.incident)

    def _called(self, person: str, locale: str) -> str:
        known = next((one for one in self._config.people if one.id == person), None)
        return pick(known.name, locale, known.id) if known else person

    def mentions(self, record: DeliveryRecord) -> tuple[str, ...]:
        """How the person meant is called on a channel of this kind; nothing when no address is declared."""
        kind = next((one.kind for one in self._config.channels if one.id == record.channel), "")
        address = next((one.addresses.get(kind) for one in self._config.people if one.id == record.person), None)
        return (address,) if address else ()

    def locale(self, channel: str) -> str:
        spec = next((one for one in self._config.channels if one.id == channel), None)
        return (spec.locale if spec else None) or self._config.chain.locale

    def _plain(self, record: DeliveryRecord, locale: str, document: Mapping[str, Any] | None) -> Message:
        title, _, body = pick(record.text, locale, record.key).partition("\n")
        return Message(
            key=record.key,
            kind=record.kind,
            channel=record.channel,
            receiver=record.receiver,
            person=self._called(record.person, locale),
            mentions=self.mentions(record),
            locale=locale,
            title=title[:MAX_TITLE_CHARACTERS],
            body=body.strip()[:MAX_BODY_CHARACTERS],
            severity=str(document["severity"]) if document else "",
            url=self.url(f"/incidents/{record.incident}") if record.incident is not None else "",
            incident=_sendable(document) if document else None,
            chain=self._config.chain.id,
            at=self._clock.now(),
        )

    def _view(self, record: DeliveryRecord, document: Mapping[str, Any], locale: str) -> dict[str, Any]:
        """What a template may use; every value is ready to be printed."""
        words = _WORDS[language_of(locale)]
        token = self._sign(record, document, self._clock.now())
        opened, ended = _instant(document["opened_at"]), _instant(document.get("resolved_at"))
        component = str(document["component"])
        alerts = [_alert(alert, locale) for alert in document.get("alerts", ())]
        at_risk = document.get("value_at_risk")
        return {
            "kind": record.kind.value,
            "kind_name": words.get(record.kind.value, record.kind.value),
            "repeat": record.repeat,
            "person": self._called(record.person, locale),
            "incident": document["incident"],
            "title": pick(document.get("titles") or {}, locale, str(document["title"])),
            "severity": document["severity"],
            "severity_name": words[str(document["severity"])],
            "state": words[str(document["state"])],
            "acknowledged_by": document.get("acknowledged_by") or "",
            "assigned_to": document.get("assigned_to") or "",
            "component": self.name_of(component, locale),
            "component_id": component,
            "site": self._site_of(component, locale),
            "chain": pick(self._config.chain.name, locale, self._config.chain.id),
            "opened_at": self._local(opened),
            "resolved_at": self._local(ended),
            "duration": _duration((ended or self._clock.now()) - opened, words) if opened else "",
            "value_at_risk": f"{self._config.chain.currency} {at_risk}" if at_risk else "",
            "alerts": alerts[:MAX_ALERTS_NAMED],
            "alerts_more": max(0, len(alerts) - MAX_ALERTS_NAMED),
            "url": self.url(f"/incidents/{document['incident']}"),
            "ack_url": self.url(f"/ack/{token}") if token else "",
            "acknowledge": words["acknowledge"],
            "runbooks": self._links(document.get("runbooks", ()), locale),
        }

    def _words(self, view: Mapping[str, Any], language: str) -> tuple[str, str]:
        try:
            text = self._environment.get_template(f"incident.{language}.j2").render(view)
            title, _, body = text.strip().partition("\n")
            if not title.strip():
                raise TemplateError("the template printed no title")
        except Exception as error:
            # Anything a template can do wrong: syntax, an unknown variable, a forbidden attribute, a division by zero.
            _log.exception("incident.%s.j2 failed: %s; run 'tillwatch check'", language, error)
            title, _, body = self._built_in.render(view).partition("\n")
            body = f"{_WORDS[language]['fallback']}\n{body.strip()}"
        body = with_link(body.strip(), str(view["acknowledge"]), str(view["ack_url"]))
        return " ".join(title.split())[:MAX_TITLE_CHARACTERS], shortened(body, MAX_BODY_CHARACTERS)

    def name_of(self, component: str, locale: str) -> str:
        """`system:erp` as people call it."""
        spec = self._spec(component)
        identity = component.partition(":")[2] or component
        return pick(spec.name, locale, identity) if spec is not None else identity

    def _spec(self, component: str) -> Any:
        parsed = Component.parse(component)
        lists: dict[str, Sequence[Any]] = {
            "interface": self._config.interfaces,
            "system": self._config.systems,
            "host": self._config.systems,
            "site": self._config.sites,
        }
        if parsed.kind in {"chain", "storm"}:
            return self._config.chain
        return next((one for one in lists[parsed.kind.value] if one.id == parsed.id), None)

    def _site_of(self, component: str, locale: str) -> str:
        site = getattr(self._spec(component), "site", "")
        found = next((one for one in self._config.sites if one.id == site), None)
        return pick(found.name, locale, found.id) if found else ""

    def _links(self, runbooks: Sequence[Mapping[str, Any]], locale: str) -> list[Link]:
        return [
            Link(
                id=str(link["id"]),
                title=pick(self._runbook_titles.get(str(link["id"]), {}), locale, str(link["id"])),
                url=self.url(str(link["url"])),
                params={str(name): str(value) for name, value in dict(link.get("params") or {}).items()},
            )
            for link in runbooks
        ]

    def url(self, path: str) -> str:
        return path if path.startswith(("http://", "https://")) else self._config.listen.base_url + path

    def _local(self, instant: datetime | None) -> str:
        zone: ZoneInfo = self._config.chain.timezone
        return instant.astimezone(zone).isoformat(sep=" ", timespec="minutes") if instant else ""


def with_link(body: str, words: str, url: str) -> str:
    """The body with its acknowledge link, before the last line; a team's own template may already have it."""
    if not url or url in body:
        return body
    rest, _, last = body.rpartition("\n")
    return "\n".join(filter(None, (rest, f"{words}{url}", last)))


def shortened(body: str, limit: int) -> str:
    """The first lines and the last two: whatever is cut, the ways to the incident stay."""
    if len(body) <= limit:
        return body
    rest, tail = body.rsplit("\n", 2)[0], "\n".join(body.rsplit("\n", 2)[1:])
    return f"{rest[: max(0, limit - len(tail) - 2)]}…\n{tail}"[:limit]


def environment(loader: BaseLoader) -> ImmutableSandboxedEnvironment:
    """A sandbox for message templates."""
    return ImmutableSandboxedEnvironment(
        loader=loader, autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def check(config: ChainConfig) -> list[Problem]:
    """Try every template of the chain directory on an example. Each failure is a problem at its line."""
    problems: list[Problem] = []
    own = config.root / FOLDER
    sandbox = environment(FileSystemLoader([own]))
    view = _example(config)
    for path in sorted(own.glob("*.j2")):
        file = path.relative_to(config.root).as_posix()
        if path.name not in {"incident.en.j2", "incident.zh.j2"}:
            problems.append(Problem(file=file, message="not read; the names are incident.en.j2 and incident.zh.j2"))
            continue
        try:
            text = sandbox.get_template(path.name).render(view)
            if not text.strip():
                raise UsageError("the template prints nothing; its first line must be a title")
        except Exception as error:
            line = getattr(error, "lineno", None) or _line_of(error, path)
            problems.append(Problem(file=file, line=line, column=1 if line else 0, message=str(error)))
    return problems


def _line_of(error: BaseException, path: Path) -> int:
    """Where in the template an error came up, out of its traceback; 0 when nowhere."""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _example(config: ChainConfig) -> dict[str, Any]:
    names = (
        "kind_name title severity_name state acknowledged_by assigned_to component component_id site chain opened_at "
        "resolved_at duration value_at_risk url ack_url acknowledge person"
    )
    example: dict[str, Any] = {name: name for name in names.split()}
    link = Link(id="erp-restart", title="runbook", url=f"{config.listen.base_url}/runbooks/erp-restart")
    alert = {"name": "InterfaceDown", "summary": "summary", "state": "firing", "labels": {"system": "erp"}}
    return {
        **example,
        "kind": "opened",
        "severity": "critical",
        "incident": 1,
        "repeat": 0,
        "alerts": [alert],
        "alerts_more": 1,
        "runbooks": [link],
    }


def _alert(alert: Mapping[str, Any], locale: str) -> dict[str, Any]:
    annotations: Mapping[str, str] = alert.get("annotations") or {}
    wordings = {"en": annotations.get("summary", ""), "zh": annotations.get("summary_zh", "")}
    labels: Mapping[str, str] = alert.get("labels") or {}
    name = labels.get("alertname", "")
    return {
        "name": name,
        "summary": pick(wordings, locale, annotations.get("description") or name),
        "state": str(alert.get("state", "")),
        "labels": dict(labels),
    }


def _sendable(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in _NOT_SENT}


def _instant(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def _duration(span: timedelta, words: Mapping[str, str]) -> str:
    """The two largest units: `1 小时 5 分钟`."""
    seconds = max(0, int(span.total_seconds()))
    parts = [
        (seconds // 86_400, "days"), (seconds // 3_600 % 24, "hours"), (seconds // 60 % 60, "minutes"),
        (seconds % 60, "seconds"),
    ]  # fmt: skip
    shown = [words[unit].format(number) for number, unit in parts if number]
    return " ".join(shown[:2]) or words["seconds"].format(0)
