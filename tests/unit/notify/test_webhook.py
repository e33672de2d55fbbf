"""The webhook's document and its headers."""

import json
from datetime import UTC, datetime

import pytest
from tests.support.receiver import Receiver, answer

from tillwatch.clock import SystemClock
from tillwatch.config.bind import Secret, bind
from tillwatch.config.yaml import parse
from tillwatch.errors import DeliveryError, Problem
from tillwatch.model.notice import NoticeKind
from tillwatch.notify.base import Link, Message
from tillwatch.notify.exchange import MAX_RETRY_AFTER_SECONDS, retry_after_seconds
from tillwatch.notify.webhook import Webhook, WebhookOptions

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MESSAGE = Message(
    key="7:opened:1:ops",
    kind=NoticeKind.OPENED,
    channel="ops",
    receiver="oncall",
    locale="zh-CN",
    title="【严重】ERP：无法连接",
    body="详情",
    severity="critical",
    url="http://127.0.0.1:8080/incidents/7",
    runbooks=(
        Link(
            id="erp-restart",
            title="重启 ERP",
            url="http://127.0.0.1:8080/runbooks/erp-restart?incident=7",
            params={"service": "erp"},
        ),
    ),
    incident={"incident": 7, "state": "open"},
    chain="demo",
    at=AT,
)


def test_the_document_is_versioned_and_complete(receiver: Receiver) -> None:
    hook = Webhook(
        WebhookOptions(url=Secret(f"http://{receiver.address}/hook"), headers={"X-Team": Secret("pos")}),
        clock=SystemClock(),
    )
    hook.send(MESSAGE, key=MESSAGE.key)
    hook.close()
    (request,) = receiver.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert (request.headers["idempotency-key"], request.headers["content-type"], request.headers["x-team"]) == (
        "7:opened:1:ops",
        "application/json",
        "pos",
    )
    assert json.loads(request.body) == {
        "version": "1",
        "key": "7:opened:1:ops",
        "possible_repeat": False,
        "kind": "opened",
        "channel": "ops",
        "receiver": "oncall",
        "person": "",
        "mentions": [],
        "locale": "zh-CN",
        "chain": "demo",
        "title": "【严重】ERP：无法连接",
        "body": "详情",
        "severity": "critical",
        "url": "http://127.0.0.1:8080/incidents/7",
        "ack_url": "",
        "runbooks": [
            {
                "id": "erp-restart",
                "title": "重启 ERP",
                "url": "http://127.0.0.1:8080/runbooks/erp-restart?incident=7",
                "params": {"service": "erp"},
            }
        ],
        "incident": {"incident": 7, "state": "open"},
        "at": "2026-11-24T03:00:00+00:00",
    }


def test_a_stored_message_comes_back_as_it_was() -> None:
    assert Message.read(json.loads(json.dumps(MESSAGE.document())), possible_repeat=False) == MESSAGE


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("999999999999", MAX_RETRY_AFTER_SECONDS),
        ("Tue, 24 Nov 2026 03:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 02:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 03:00:30", None),
        ("soon", None),
        ("-5", None),
        ("７", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(header: str, seconds: float | None) -> None:
    assert retry_after_seconds(header, AT) == seconds


def test_a_retry_after_reaches_the_outbox(receiver: Receiver) -> None:
    receiver.says(answer(429, "", Retry_After="42"))
    hook = Webhook(WebhookOptions(url=Secret(f"http://{receiver.address}/hook")), clock=SystemClock())
    with pytest.raises(DeliveryError) as caught:
        hook.send(MESSAGE, key="k")
    hook.close()
    assert caught.value.retry_after_seconds == 42.0


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("url: 127.0.0.1/hook", "c.yaml:1:6: channel 'ops' (webhook): not a web address; write for example https://HOST/PATH"),
        ("url: ftp://host/x", "c.yaml:1:6: channel 'ops' (webhook): not a web address; write for example https://HOST/PATH"),
        ("ulr: http://host/x", "c.yaml:1:1: channel 'ops' (webhook): unknown key 'ulr'; did you mean 'url'?"),
        ("{url: 'http://h/x', timeout: 5m}", "c.yaml:1:30: channel 'ops' (webhook): '5m': expected at most 60s"),
        ("{url: 'http://h/x', headers: {Host: y}}", "c.yaml:1:30: channel 'ops' (webhook): header 'Host' is set by tillwatch; remove it"),
    ],
)  # fmt: skip
def test_wrong_options_are_named_at_their_place(options: str, problem: str) -> None:
    problems: list[Problem] = []
    assert bind(parse(options, "c.yaml"), WebhookOptions, where="channel 'ops' (webhook)", problems=problems) is None
    assert [str(one) for one in problems] == [problem]
