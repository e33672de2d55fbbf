"""The digest of a channel that is short: every incident once, what is critical first, never over a limit."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.notify.test_render import CLOCK, DOCUMENT, chain, row
from tests.unit.notify.test_robot import ding, lark, wecom

from tillwatch.model.notice import DeliveryRecord, NoticeKind
from tillwatch.notify.base import Message
from tillwatch.notify.digest import MAX_NAMED, DigestRenderer
from tillwatch.notify.render import Renderer
from tillwatch.notify.robot import size_bytes
from tillwatch.notify.wecom_bot import LIMIT_BYTES

BASE = "https://watch.example.com"


def digest(root: Path, records: list[DeliveryRecord], title: str = "无法连接", **by_incident: str) -> Message:
    """`by_incident`: the severity of incident n is given as `i<n>`, critical when it is not."""

    def lookup(_connection: object, incident: int) -> dict[str, Any]:
        severity = by_incident.get(f"i{incident}", "critical")
        titles = {"zh": title, "en": title}
        return {**DOCUMENT, "incident": incident, "severity": severity, "title": title, "titles": titles}

    renderer = Renderer(chain(root), clock=CLOCK, incident=lookup, sign=lambda record, *_: f"t{record.id}")
    return DigestRenderer(renderer)(None, records)  # type: ignore[arg-type]


def records(*incidents: int, channel: str = "ops") -> list[DeliveryRecord]:
    return [
        row(id=number, key=f"{incident}:opened:{number}:ops", incident=incident, channel=channel)
        for number, incident in enumerate(incidents, start=1)
    ]


def test_each_incident_is_named_once_with_its_count_and_its_address(tmp_path: Path) -> None:
    message = digest(tmp_path, records(7, 8, 7, 7), i7="warning", i8="warning")
    assert message.title == "【警告】汇总：4 条通知，涉及 2 个事件"
    assert message.body.splitlines() == [
        f"【警告】#7 ERP 系统：无法连接（未确认）×3 {BASE}/incidents/7",
        f"【警告】#8 ERP 系统：无法连接（未确认）×1 {BASE}/incidents/8",
        f"全部事件：{BASE}/incidents",
    ]
    assert (message.kind, message.url, message.severity) == (NoticeKind.MESSAGE, f"{BASE}/incidents", "warning")


def test_what_is_critical_stands_first_with_the_link_of_its_newest_message(tmp_path: Path) -> None:
    message = digest(tmp_path, records(7, 8, 9, 9, channel="abroad"), i7="info", i8="warning")
    lines = message.body.splitlines()
    assert message.title == "[Critical] Digest: 4 messages about 3 incidents"
    assert lines[0] == f"[Critical] #9 ERP: 无法连接 (not acknowledged) ×2 {BASE}/incidents/9"
    assert lines[1] == f"Acknowledge #9: {BASE}/ack/t4"
    assert [line[:9] for line in lines[2:4]] == ["[Warning]", "[Info] #7"]
    assert "/ack/" not in "".join(lines[2:])


def test_a_message_of_its_own_stands_in_it_with_its_title(tmp_path: Path) -> None:
    own = row(id=9, kind=NoticeKind.MESSAGE, incident=None, text={"zh": "请关店\n今天", "en": "close"})
    message = digest(tmp_path, [*records(7), own])
    assert "请关店" in message.body.splitlines()
    assert message.title.endswith("2 条通知，涉及 1 个事件")
    alone = digest(tmp_path, [own, own])
    assert (alone.severity, alone.title) == ("", "【消息】汇总：2 条通知，涉及 0 个事件")


def test_more_incidents_than_anybody_reads_are_counted(tmp_path: Path) -> None:
    message = digest(tmp_path, records(*range(1, MAX_NAMED + 41)))
    assert "另有 40 个事件" in message.body
    assert message.body.count("/ack/") == MAX_NAMED


def test_the_same_messages_make_the_same_key_in_whatever_order(tmp_path: Path) -> None:
    several = records(7, 8, 9)
    assert digest(tmp_path, several).key == digest(tmp_path, several[::-1]).key
    assert digest(tmp_path, several).key != digest(tmp_path, several[:2]).key


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(title=st.text(st.sampled_from('门店订单😀👨‍👩‍👧é"\\\n<@all>[x](y)'), max_size=400), count=st.integers(2, 200))
def test_no_digest_is_over_a_services_limit(tmp_path: Path, title: str, count: int) -> None:
    message = digest(tmp_path, records(*range(1, count + 1)), title=title)
    robots = [wecom(), ding(), lark()]
    texts = [robot.text_of(message) for robot in robots]
    for robot in robots:
        robot.close()
    assert size_bytes(texts[0]) <= LIMIT_BYTES
    assert [text.splitlines()[-1] for text in texts] == [f"全部事件：{BASE}/incidents"] * 3
    assert "<@" not in "".join(texts)


@pytest.mark.parametrize("count", [2, 200])
def test_the_first_incident_of_a_digest_can_always_be_acknowledged(tmp_path: Path, count: int) -> None:
    robot = wecom()
    text = robot.text_of(digest(tmp_path, records(*range(1, count + 1))))
    robot.close()
    assert text.splitlines()[2].endswith(f"：{BASE}/ack/t1")
