"""The wording of messages in both languages, from the templates that ship."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection

from tillwatch.clock import ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load, pack_root
from tillwatch.config.schema import Chain, Channel, Listen, Person, Route, Site, StoreSpec, System
from tillwatch.model.notice import DeliveryRecord, DeliveryState, NoticeKind
from tillwatch.notify.base import Message
from tillwatch.notify.render import MAX_BODY_CHARACTERS, MAX_TITLE_CHARACTERS, Renderer, check

CLOCK = ManualClock()
DOCUMENT: dict[str, Any] = {
    "incident": 7,
    "state": "open",
    "severity": "critical",
    "component": "system:erp",
    "title": "无法连接",
    "titles": {"zh": "无法连接", "en": "cannot be reached"},
    "opened_at": "2026-11-24T01:55:00+00:00",
    "acknowledged_at": None,
    "acknowledged_by": "",
    "assigned_to": "",
    "resolved_at": None,
    "value_at_risk": "128.50",
    "alerts": [
        {
            "state": "firing",
            "labels": {"alertname": "InterfaceDown", "system": "erp"},
            "annotations": {"summary": "erp-tcp: connection refused", "summary_zh": "erp-tcp：连接被拒绝"},
        }
    ],
    "timeline": [{"kind": "opened"}],
    "notifications": [],
    "runbooks": [{"id": "erp-restart", "url": "/runbooks/erp-restart?incident=7", "params": {"service": "erp"}}],
    "evidence": {"cause": "tcp"},
}


def chain(root: Path) -> ChainConfig:
    return ChainConfig(
        root=root,
        chain=Chain(
            id="demo", name={"en": "Demo chain", "zh": "示例连锁"}, timezone=ZoneInfo("Asia/Shanghai"), currency="CNY"
        ),
        store=StoreSpec(url="sqlite:///x.db"),
        listen=Listen(public_url="https://watch.example.com/"),
        sites=(Site(id="hq", name={"en": "Head office", "zh": "总部"}),),
        systems=(System(id="erp", name={"en": "ERP", "zh": "ERP 系统"}, site="hq", source="tryton"),),
        channels=(Channel(id="ops", kind="webhook"), Channel(id="abroad", kind="webhook", locale="en")),
        route=Route(receiver="ops"),
    )


def row(**changes: Any) -> DeliveryRecord:
    now = CLOCK.now()
    given: dict[str, Any] = {
        "id": 1, "key": "7:opened:1:ops", "kind": NoticeKind.OPENED, "incident": 7, "version": 1, "repeat": 0, "receiver": "ops",
        "channel": "ops", "state": DeliveryState.SENDING, "created_at": now, "not_before": now, "finished_at": None,
        "possible_repeat": False, "text": {}, "payload": None, "attempts": 0, "unknown_results": 0, "code": "", "detail": "",
        "epoch": 1,
    }  # fmt: skip
    return DeliveryRecord(**{**given, **changes})


def renderer(root: Path, document: dict[str, Any] | None = None, token: str = "") -> Renderer:
    def lookup(connection: Connection, incident: int) -> dict[str, Any]:  # noqa: ARG001
        assert incident == 7
        return document or DOCUMENT

    titles = {"erp-restart": {"en": "Restart the ERP", "zh": "重启 ERP"}}
    return Renderer(chain(root), clock=CLOCK, incident=lookup, runbook_titles=titles, sign=lambda *_: token)


def words(root: Path, document: dict[str, Any] | None = None, **changes: Any) -> tuple[str, list[str]]:
    message = renderer(root, document)(None, row(**changes))  # type: ignore[arg-type]
    return message.title, message.body.split("\n")


def test_a_new_incident_in_chinese(tmp_path: Path) -> None:
    title, body = words(tmp_path)
    assert title == "【严重】ERP 系统：无法连接"
    assert body == [
        "事件 #7 · 示例连锁 · 总部",
        "状态：未确认",
        "开始：2026-11-24 09:55+08:00，已持续 1 小时 5 分钟",
        "涉及金额：CNY 128.50",
        "- erp-tcp：连接被拒绝",
        "处理预案：重启 ERP https://watch.example.com/runbooks/erp-restart?incident=7",
        "详情：https://watch.example.com/incidents/7",
    ]


def test_a_step_of_an_escalation_names_whom_it_calls_and_knows_how_the_channel_calls_them(tmp_path: Path) -> None:
    config = replace(
        chain(tmp_path),
        people=(
            Person(id="li", name={"en": "Li Na", "zh": "李娜"}, addresses={"wecom_bot": "lina", "email": "li@x.cn"}),
        ),
        channels=(Channel(id="ops", kind="wecom_bot"), Channel(id="abroad", kind="webhook", locale="en")),
    )
    word = Renderer(config, clock=CLOCK, incident=lambda *_: DOCUMENT)
    group = word(None, row(kind=NoticeKind.ESCALATED, repeat=2, person="li"))  # type: ignore[arg-type]
    other = word(None, row(kind=NoticeKind.ESCALATED, repeat=2, person="li", channel="abroad"))  # type: ignore[arg-type]
    assert (group.title, group.person, group.mentions) == (
        "【无人确认，升级·严重】ERP 系统：无法连接",
        "李娜",
        ("lina",),
    )
    assert group.body.split("\n")[1] == "呼叫：李娜"
    assert (other.title, other.mentions) == ("[Nobody acknowledged, Critical] ERP: cannot be reached", ())
    assert other.body.split("\n")[1] == "Calling: Li Na"
    assert Message.read(group.document(), possible_repeat=False) == group


def test_a_new_incident_in_the_language_of_its_channel(tmp_path: Path) -> None:
    title, body = words(tmp_path, channel="abroad")
    assert title == "[Critical] ERP: cannot be reached"
    assert body == [
        "Incident #7 · Demo chain · Head office",
        "State: not acknowledged",
        "Since: 2026-11-24 09:55+08:00, for 1 h 5 min",
        "Value at risk: CNY 128.50",
        "- erp-tcp: connection refused",
        "Runbook: Restart the ERP https://watch.example.com/runbooks/erp-restart?incident=7",
        "Details: https://watch.example.com/incidents/7",
    ]


def test_a_resolved_incident_says_how_long_it_lasted_and_offers_no_runbook(tmp_path: Path) -> None:
    ended = {
        **DOCUMENT,
        "state": "resolved",
        "resolved_at": "2026-11-24T01:57:05+00:00",
        "value_at_risk": None,
        "acknowledged_by": "李雷",
    }
    title, body = words(tmp_path, ended, kind=NoticeKind.RESOLVED)
    assert title == "【已恢复】ERP 系统：无法连接"
    assert body == [
        "事件 #7 · 示例连锁 · 总部",
        "状态：已恢复",
        "开始：2026-11-24 09:55+08:00，历时 2 分钟 5 秒",
        "- erp-tcp：连接被拒绝",
        "详情：https://watch.example.com/incidents/7",
    ]


def test_a_reminder_is_numbered_and_says_who_has_it(tmp_path: Path) -> None:
    held = {**DOCUMENT, "state": "acknowledged", "acknowledged_by": "李雷"}
    title, body = words(tmp_path, held, kind=NoticeKind.REMINDER, repeat=2)
    assert title == "【第 2 次提醒·严重】ERP 系统：无法连接"
    assert body[1] == "状态：已确认（李雷）"


def test_many_alerts_are_counted_not_listed(tmp_path: Path) -> None:
    many = {**DOCUMENT, "alerts": DOCUMENT["alerts"] * 40}
    body = words(tmp_path, many)[1]
    assert body.count("- erp-tcp：连接被拒绝") == 5
    assert "- 另有 35 条告警" in body


def test_a_message_of_its_own_needs_no_incident(tmp_path: Path) -> None:
    said = row(
        kind=NoticeKind.MESSAGE,
        incident=None,
        key="run:1:tell:ops",
        text={"zh": "请关闭三号收银台\n正在恢复数据", "en": "Close till 3\nrestoring"},
    )
    message = renderer(tmp_path)(None, said)  # type: ignore[arg-type]
    assert (message.title, message.body, message.incident, message.url) == (
        "请关闭三号收银台",
        "正在恢复数据",
        None,
        "",
    )


def test_what_belongs_on_the_page_is_not_sent_along(tmp_path: Path) -> None:
    message = renderer(tmp_path)(None, row())  # type: ignore[arg-type]
    assert message.incident is not None
    assert {"timeline", "notifications"} & set(message.incident) == set()
    assert message.incident["evidence"] == {"cause": "tcp"}


def test_text_from_outside_is_neither_executed_nor_escaped(tmp_path: Path) -> None:
    hostile = {**DOCUMENT, "titles": {"zh": "{{ 7*7 }}<b>{% raw %}\n假标题"}, "alerts": []}
    title, body = words(tmp_path, hostile)
    assert title == "【严重】ERP 系统：{{ 7*7 }}<b>{% raw %}"
    assert len(title) <= MAX_TITLE_CHARACTERS
    assert "假标题" in body[0]


def test_an_endless_text_is_cut(tmp_path: Path) -> None:
    long = {**DOCUMENT, "titles": {"zh": "长" * 5000}}
    long["alerts"] = [{"state": "firing", "labels": {}, "annotations": {"summary_zh": "长" * 50_000}}]
    message = renderer(tmp_path, long)(None, row())  # type: ignore[arg-type]
    assert (len(message.title), len(message.body)) == (MAX_TITLE_CHARACTERS, MAX_BODY_CHARACTERS)


def own_template(root: Path, text: str) -> None:
    (root / "alerts/messages").mkdir(parents=True)
    (root / "alerts/messages/incident.zh.j2").write_text(text, encoding="utf-8")


def test_a_teams_own_wording_wins(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ component }}坏了\n快去 {{ url }}")
    assert words(tmp_path) == ("ERP 系统坏了", ["快去 https://watch.example.com/incidents/7"])


@pytest.mark.parametrize(
    "text",
    ["{{ titel }}", "{% if %}", "{{ ''.__class__.__mro__ }}", "{{ 1 / 0 }}", "", "{% include 'secret.j2' %}"],
    ids=["unknown", "syntax", "forbidden", "arithmetic", "empty", "missing"],
)
def test_a_broken_template_never_loses_a_message(tmp_path: Path, text: str) -> None:
    own_template(tmp_path, text)
    title, body = words(tmp_path)
    assert title == "新事件 · 严重 · ERP 系统: 无法连接"
    assert body == ["（消息模板出错，以下为内置文字）", "未确认", "https://watch.example.com/incidents/7"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\n\n{{ titel }}", "alerts/messages/incident.zh.j2:3:1: 'titel' is undefined"),
        ("a\n{% if %}", "alerts/messages/incident.zh.j2:2:1: Expected an expression, got 'end of statement block'"),
        (" \n", "alerts/messages/incident.zh.j2: the template prints nothing; its first line must be a title"),
    ],
)
def test_check_names_the_line_of_a_broken_template(tmp_path: Path, text: str, problem: str) -> None:
    own_template(tmp_path, text)
    assert [str(one) for one in check(chain(tmp_path))] == [problem]


def test_check_names_a_template_that_nobody_reads(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ title }}")
    (tmp_path / "alerts/messages/title.j2").write_text("x", encoding="utf-8")
    assert [str(one) for one in check(chain(tmp_path))] == [
        "alerts/messages/title.j2: not read; the names are incident.en.j2 and incident.zh.j2"
    ]


def test_the_templates_that_ship_have_no_fault() -> None:
    assert check(dataclasses.replace(load(pack_root(), secrets=False))) == []


ACK = "https://watch.example.com/ack/t0ken"


def with_ack(root: Path, **changes: Any) -> Message:
    return renderer(root, token="t0ken")(None, row(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("channel", "words"), [("ops", "确认（我来处理）："), ("abroad", "Acknowledge (I am on it): ")]
)
def test_a_message_carries_the_link_to_acknowledge_before_the_one_to_the_incident(
    tmp_path: Path, channel: str, words: str
) -> None:
    message = with_ack(tmp_path, channel=channel)
    assert message.ack_url == ACK
    assert message.body.splitlines()[-1].endswith("https://watch.example.com/incidents/7")
    assert f"{words}{ACK}" in message.body.splitlines()


@pytest.mark.parametrize("text", ["{{ title }}\none line", "{{ title }}", "{{ titel }}", "{{ title }}\n{{ ack_url }}"])
def test_a_teams_own_template_cannot_lose_the_link_to_acknowledge(tmp_path: Path, text: str) -> None:
    own_template(tmp_path, text)
    assert with_ack(tmp_path).body.count(ACK) == 1


def test_however_long_a_template_is_both_links_stay(tmp_path: Path) -> None:
    own_template(tmp_path, "{{ title }}\n" + "长" * 20_000 + "\n{{ url }}")
    body = with_ack(tmp_path).body
    assert len(body) <= MAX_BODY_CHARACTERS
    assert body.splitlines()[-2].endswith(ACK)
    assert body.endswith("https://watch.example.com/incidents/7")


def test_a_message_of_no_incident_calls_the_person_it_is_meant_for(tmp_path: Path) -> None:
    config = replace(
        chain(tmp_path),
        people=(Person(id="li", addresses={"dingtalk": "13800000000"}),),
        channels=(Channel(id="ops", kind="dingtalk"),),
    )
    handover = row(kind=NoticeKind.MESSAGE, incident=None, person="li", text={"zh": "值班交接\n没有未关闭的事件。"})
    message = Renderer(config, clock=CLOCK, incident=lambda *_: DOCUMENT)(None, handover)  # type: ignore[arg-type]
    assert (message.title, message.body, message.mentions) == ("值班交接", "没有未关闭的事件。", ("13800000000",))
