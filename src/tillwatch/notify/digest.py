"""One message that stands for many, when a channel may not send them one by one: each incident named once, with a link.

What is critical comes first, so that whatever a service's limit cuts off is the least urgent.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from tillwatch.model.notice import DeliveryRecord, NoticeKind
from tillwatch.model.text import language_of
from tillwatch.notify.base import Message
from tillwatch.notify.render import Renderer

#: Incidents named; no service's message has room for more. The rest is counted.
MAX_NAMED = 60
MAX_LINE_CHARACTERS = 120
_RANK = {"critical": 0, "warning": 1, "info": 2}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "[{worst}] Digest: {messages} messages about {incidents} incidents",
        "line": "[{severity}] #{incident} {component}: {title} ({state}) ×{count}",
        "acknowledge": "Acknowledge #{incident}: {url}",
        "more": "and {n} more incidents",
        "all": "All incidents: {url}",
        "plain": "Message",
    },
    "zh": {
        "title": "【{worst}】汇总：{messages} 条通知，涉及 {incidents} 个事件",
        "line": "【{severity}】#{incident} {component}：{title}（{state}）×{count}",
        "acknowledge": "确认 #{incident}：{url}",
        "more": "另有 {n} 个事件",
        "all": "全部事件：{url}",
        "plain": "消息",
    },
}


class DigestRenderer:
    """Give it to the outbox worker as its `digest`."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def __call__(self, connection: Connection, records: Sequence[DeliveryRecord]) -> Message:
        """The digest of messages of one channel. Each incident speaks through the newest message about it."""
        channel = records[0].channel
        locale = self._renderer.locale(channel)
        words = _WORDS[language_of(locale)]
        groups: dict[int, list[DeliveryRecord]] = {}
        for record in sorted(records, key=lambda one: one.id):
            if record.incident is not None:
                groups.setdefault(record.incident, []).append(record)
        urgent = sorted(groups, key=lambda one: min(record.priority for record in groups[one]))
        views = [(self._renderer.view(connection, groups[one][-1], locale), groups[one]) for one in urgent[:MAX_NAMED]]
        views.sort(key=lambda pair: (_RANK.get(str(pair[0]["severity"]), 3), int(pair[0]["incident"])))
        texts = [
            self._renderer.plain_title(record, locale) or words["plain"]
            for record in records
            if record.incident is None
        ]
        lines = [line for view, mine in views for line in _lines(view, len(mine), words)]
        lines += [text[:MAX_LINE_CHARACTERS] for text in texts]
        if len(urgent) > MAX_NAMED:
            lines.append(words["more"].format(n=len(urgent) - MAX_NAMED))
        url = self._renderer.url("/incidents")
        worst = views[0][0] if views else None
        return Message(
            key=_key(records),
            kind=NoticeKind.MESSAGE,
            channel=channel,
            receiver=records[0].receiver,
            mentions=tuple(dict.fromkeys(one for record in records for one in self._renderer.mentions(record))),
            locale=locale,
            title=words["title"].format(
                worst=worst["severity_name"] if worst else words["plain"], messages=len(records), incidents=len(groups)
            ),
            body="\n".join([*lines, words["all"].format(url=url)]),
            severity=str(worst["severity"]) if worst else "",
            url=url,
            chain=self._renderer.chain,
            at=self._renderer.now(),
        )


def _lines(view: Mapping[str, Any], count: int, words: Mapping[str, str]) -> list[str]:
    """What it is with its address; what is critical also with the link to acknowledge."""
    said = words["line"].format(
        severity=view["severity_name"],
        incident=view["incident"],
        component=view["component"],
        title=view["title"],
        state=view["state"],
        count=count,
    )
    lines = [f"{' '.join(said.split())[:MAX_LINE_CHARACTERS]} {view['url']}"]
    if view["severity"] == "critical" and view["ack_url"]:
        lines.append(words["acknowledge"].format(incident=view["incident"], url=view["ack_url"]))
    return lines


def _key(records: Sequence[DeliveryRecord]) -> str:
    """The same messages make the same digest."""
    keys = "\n".join(sorted(record.key for record in records))
    return f"digest:{hashlib.sha256(keys.encode('utf-8', 'replace')).hexdigest()[:32]}"
