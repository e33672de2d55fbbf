"""Chat robots: a refusal inside HTTP 200 is a refusal, and no message is ever over the limit.

The receiver is a stub of ours that answers as the services document; none of them was reached.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.receiver import Receiver, answer

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.config.bind import Secret
from tillwatch.errors import DeliveryError
from tillwatch.model.notice import NoticeKind
from tillwatch.notify import dingtalk, feishu
from tillwatch.notify.base import Link, Message, Result
from tillwatch.notify.dingtalk import Dingtalk, DingtalkOptions
from tillwatch.notify.feishu import Feishu, FeishuOptions
from tillwatch.notify.robot import RATE_LIMITED_SECONDS, Robot, body_of, fit, size_bytes
from tillwatch.notify.wecom_bot import WecomBot, WecomBotOptions

KEY = Secret("0123456789-KEY")
TIMEOUT = timedelta(seconds=2)


def wecom(address: str = "127.0.0.1:9", **more: Any) -> WecomBot:
    return WecomBot(WecomBotOptions(url=f"http://{address}", key=KEY, timeout=TIMEOUT, **more), clock=SystemClock())


def ding(address: str = "127.0.0.1:9", **more: Any) -> Dingtalk:
    options = DingtalkOptions(url=f"http://{address}", token=KEY, timeout=TIMEOUT, **more)
    return Dingtalk(options, clock=ManualClock(datetime(2026, 11, 24, tzinfo=UTC)))


def lark(address: str = "127.0.0.1:9", **more: Any) -> Feishu:
    options = FeishuOptions(url=f"http://{address}", token=KEY, timeout=TIMEOUT, **more)
    return Feishu(options, clock=ManualClock(datetime(2026, 11, 24, tzinfo=UTC)))


def message(**changes: Any) -> Message:
    given_ = {
        "key": "k", "kind": NoticeKind.OPENED, "channel": "ops", "receiver": "ops", "locale": "zh-CN",
        "title": "【严重】ERP 无法连接", "body": "事件 #7\n\n详情：http://127.0.0.1/incidents/7", "severity": "critical",
        "url": "http://127.0.0.1/incidents/7", "at": datetime(2026, 11, 24, tzinfo=UTC),
    }  # fmt: skip
    return Message(**{**given_, **changes})


def sent(robot: Robot, **changes: Any) -> Any:
    try:
        return robot.send(message(**changes), key="k")
    finally:
        robot.close()


REFUSALS = [
    (wecom, '{"errcode":40058,"errmsg":"content exceed max length"}', "40058"),
    (wecom, '{"errcode":93000,"errmsg":"invalid webhook url"}', "93000"),
    (ding, '{"errcode":310000,"errmsg":"sign not match"}', "310000"),
    (ding, '{"errcode":460101,"errmsg":"message too long"}', "460101"),
    (lark, '{"code":19021,"msg":"sign match fail"}', "19021"),
    (lark, '{"code":19036,"msg":"too long"}', "19036"),
]


@pytest.mark.parametrize(("make", "body", "code"), REFUSALS)
def test_a_refusal_inside_http_200_is_a_rejection_with_the_services_code_and_words(
    make: Any, body: str, code: str, receiver: Receiver
) -> None:
    receiver.says(answer(200, body))
    delivery = sent(make(receiver.address))
    assert (delivery.result, delivery.code) == (Result.REJECTED, code)
    assert delivery.detail == next(value for value in json.loads(body).values() if isinstance(value, str))


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (wecom, '{"errcode":45009,"errmsg":"api freq out of limit"}'),
        (ding, '{"errcode":130101,"errmsg":"send too fast"}'),
        (lark, '{"code":9499,"msg":"too many request"}'),
        (lark, '{"code":11232,"msg":"frequency limited"}'),
    ],
)
def test_too_many_messages_is_tried_again_after_a_minute(make: Any, body: str, receiver: Receiver) -> None:
    receiver.says(answer(200, body))
    with pytest.raises(DeliveryError) as caught:
        sent(make(receiver.address))
    assert (caught.value.retryable, caught.value.retry_after_seconds) == (True, RATE_LIMITED_SECONDS)


@pytest.mark.parametrize("make", [wecom, ding])
def test_a_busy_service_is_tried_again_soon(make: Any, receiver: Receiver) -> None:
    receiver.says(answer(200, '{"errcode":-1,"errmsg":"system busy"}'))
    with pytest.raises(DeliveryError) as caught:
        sent(make(receiver.address))
    assert (caught.value.retryable, caught.value.retry_after_seconds) == (True, None)


@pytest.mark.parametrize("body", ["", "ok", "[]", '{"errcode":"0"}', '{"errmsg":"ok"}'])
def test_an_answer_without_a_code_leaves_it_open(body: str, receiver: Receiver) -> None:
    receiver.says(answer(200, body))
    assert sent(wecom(receiver.address)).result is Result.UNKNOWN


def test_an_older_answer_of_feishu_counts_too(receiver: Receiver) -> None:
    receiver.says(answer(200, '{"StatusCode":0,"StatusMessage":"success"}'))
    assert sent(lark(receiver.address)).result is Result.DELIVERED


def test_the_request_to_wecom_is_markdown_that_calls_people(receiver: Receiver) -> None:
    receiver.says(answer(200, '{"errcode":0}'))
    sent(wecom(receiver.address, mention=("wangfang", "all")))
    [request] = receiver.requests
    assert request.line.startswith(f"POST /cgi-bin/webhook/send?key={KEY} ")
    content = json.loads(request.body)["markdown"]["content"]
    assert content.splitlines()[0] == "【严重】ERP 无法连接"
    assert content.endswith("详情：http://127.0.0.1/incidents/7\n<@wangfang><@@all>")


def test_the_person_a_message_is_meant_for_is_called_beside_those_the_channel_always_calls() -> None:
    meant = message(person="李娜", mentions=("lina",))
    robots = [wecom(mention=("wangfang",)), ding(mention=("wangfang",)), lark(mention=("wangfang",))]
    requests: list[Any] = [robot.call(meant, text="t").document for robot in robots]
    over: list[Any] = [
        robot.call(message(kind=NoticeKind.RESOLVED, mentions=("lina",)), text="t").document for robot in robots
    ]
    for robot in robots:
        robot.close()
    assert requests[0]["markdown"]["content"] == "t\n<@wangfang><@lina>"
    assert requests[1]["at"] == {"atMobiles": ["wangfang", "lina"]}
    assert requests[1]["markdown"]["text"] == "t\n\n@wangfang\n\n@lina"
    assert requests[2]["card"]["elements"][1]["text"]["content"] == "<at id=wangfang></at> <at id=lina></at>"
    assert "lina" not in json.dumps(over)


def test_an_address_that_would_be_markup_calls_nobody() -> None:
    robot = wecom()
    call = robot.call(message(mentions=("x><@all",)), text="t")
    robot.close()
    assert call.document["markdown"] == {"content": "t"}


def test_the_request_to_dingtalk_is_signed_and_names_the_mobiles_twice() -> None:
    robot = ding(secret=Secret("SEC0123456789"), mention=("13800000000",))
    call = robot.call(message(), text="a\nb")
    robot.close()
    assert "&timestamp=1795478400000&sign=" in call.url
    assert call.document["at"] == {"atMobiles": ["13800000000"]}
    assert call.document["markdown"] == {"title": "【严重】ERP 无法连接", "text": "a\n\nb\n\n@13800000000"}


def test_signatures_are_what_the_two_services_ask_for() -> None:
    # Computed with `openssl dgst -sha256 -hmac` over the same key and text.
    assert dingtalk.signature("SEC0", "1") == "BDedvbO0s3QY/WLD3VwVjAOSu/S70bYWJBPskkDyAEc="
    assert feishu.signature("SEC0", "1") == "9sokfgWdz9q+nESsuxYNfIfAfu10SSH+A3+z9rQVIwM="


def test_a_card_of_feishu_has_the_colour_of_its_severity_and_a_button_for_the_runbook() -> None:
    link = Link(title="重启 ERP", url="http://127.0.0.1/runbooks/erp-restart?incident=7")
    robot = lark(secret=Secret("S3CRET-12345"))
    call = robot.call(message(runbooks=(link,)), text="题目\n正文 <at id=all></at>")
    ended = robot.call(message(kind=NoticeKind.RESOLVED), text="题目")
    robot.close()
    card: Any = call.document["card"]
    assert (card["header"]["title"]["content"], card["header"]["template"]) == ("题目", "red")
    assert card["elements"][0]["text"] == {"tag": "plain_text", "content": "正文 <at id=all></at>"}
    assert [button["url"] for button in card["elements"][1]["actions"]] == [link.url, message().url]
    assert call.document["timestamp"] == "1795478400"
    assert "sign" in call.document
    other: Any = ended.document["card"]
    assert other["header"]["template"] == "green"


def test_text_of_an_alert_cannot_call_people_or_make_links() -> None:
    text = body_of(message(body="<@all> [click](http://evil) `x` # y\n详情：u"), 4096)
    assert "<@" not in text
    assert "[click]" not in text


def test_a_repeat_says_so_in_its_first_line() -> None:
    assert body_of(message(possible_repeat=True), 4096).startswith("（可能重复）【严重】")


def test_what_is_cut_is_counted_and_the_address_stays() -> None:
    body = "\n".join(
        [*(f"第 {number} 行：朝阳店订单缺失" for number in range(500)), "详情：http://127.0.0.1/incidents/7"]
    )
    text = body_of(message(body=body), 1000)
    assert size_bytes(text) <= 1000
    lines = text.splitlines()
    assert lines[-1] == "详情：http://127.0.0.1/incidents/7"
    kept = len(lines) - 3
    assert lines[-2] == f"……另有 {500 - kept} 行"


def test_of_a_text_that_is_cut_the_link_to_acknowledge_stays_too() -> None:
    ack = "http://127.0.0.1/ack/" + "t" * 64
    ends = [f"确认：{ack}", "详情：http://127.0.0.1/incidents/7"]
    body = "\n".join([*(f"第 {number} 行：朝阳店订单缺失" for number in range(500)), *ends])
    for robot in (wecom(), ding(), lark()):
        text = robot.text_of(message(body=body, ack_url=ack))
        assert text.splitlines()[-2:] == ends
        robot.close()


def test_a_card_of_feishu_begins_with_the_button_to_acknowledge() -> None:
    robot = lark()
    card: Any = robot.call(message(ack_url="http://127.0.0.1/ack/t"), text="题目").document["card"]
    robot.close()
    first = card["elements"][-1]["actions"][0]
    assert (first["text"]["content"], first["url"]) == ("确认", "http://127.0.0.1/ack/t")


def test_a_long_line_is_shortened_and_not_dropped() -> None:
    text = fit(["title", "x" * 5000], 1000, "… {n}")
    assert text.startswith("title\nxxxx")
    assert 990 <= size_bytes(text) <= 1000


def test_an_address_in_a_text_still_leads_somewhere() -> None:
    address = "http://127.0.0.1/runbooks/erp-restart?incident=7#step*2"
    assert body_of(message(body=f"[x] {address}"), 4096).endswith(f"［x］ {address}")


@pytest.mark.parametrize(("make", "limit_bytes"), [(wecom, 4_096 + 200), (ding, 20_000), (lark, 20_000)])
def test_no_request_is_over_the_services_limit_whatever_the_message(make: Any, limit_bytes: int) -> None:
    robot = make(mention=("13800000000",) * 20)
    link = Link(title="预" * 3000, url="http://127.0.0.1/" + "x" * 3000)
    hostile = [
        message(title="长" * 20_000, runbooks=(link,), url="http://127.0.0.1/" + "y" * 3000),
        message(title="x", body="y" * 100_000),
        message(title="\n" * 9_000, body="z\n" * 9_000),
        message(title='"\\' * 9_000, body='"' * 50_000),
    ]
    calls = [robot.call(one, text=robot.text_of(one)) for one in hostile]
    robot.close()
    assert [len(json.dumps(call.document, ensure_ascii=False).encode()) <= limit_bytes for call in calls] == [True] * 4


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=12), st.integers(60, 400))
def test_no_text_is_ever_over_the_limit_and_none_is_cut_without_need(lines: list[str], limit_bytes: int) -> None:
    text = fit(lines, limit_bytes, "… {n}")
    assert size_bytes(text) <= limit_bytes
    if size_bytes("\n".join(lines)) <= limit_bytes:
        assert text == "\n".join(lines)
