"""The WeCom application: a token fetched once, refreshed once, and answers read to the end.

The service is a stub of ours that answers as it is documented; the service itself was not reached.
"""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from tests.support.receiver import Answer, Receiver, answer
from tests.unit.notify.test_robot import message

from tillwatch.clock import ManualClock
from tillwatch.config.bind import Secret
from tillwatch.errors import DeliveryError
from tillwatch.notify.base import Delivery, Link, Result
from tillwatch.notify.robot import RATE_LIMITED_SECONDS, size_bytes
from tillwatch.notify.wecom_app import CARD_TEXT_BYTES, LIMIT_BYTES, Format, WecomApp, WecomAppOptions

SECRET = "the-secret-of-the-app"
OK = answer(200, '{"errcode":0,"errmsg":"ok","msgid":"m1"}')


def token(name: str, lasts: int = 7200) -> Answer:
    return answer(200, json.dumps({"errcode": 0, "errmsg": "ok", "access_token": name, "expires_in": lasts}))


def refusal(code: int, words: str) -> Answer:
    return answer(200, json.dumps({"errcode": code, "errmsg": words}))


def app(address: str = "127.0.0.1:9", clock: ManualClock | None = None, **more: Any) -> WecomApp:
    given: dict[str, Any] = {"users": ("wangfang",), **more}
    options = WecomAppOptions(
        url=f"http://{address}", corp_id="ww123456", secret=Secret(SECRET), agent_id=1000002,
        timeout=timedelta(seconds=2), **given,
    )  # fmt: skip
    return WecomApp(options, clock=clock or ManualClock())


@pytest.fixture
def wecom(receiver: Receiver, clock: ManualClock) -> Iterator[WecomApp]:
    made = app(receiver.address, clock)
    yield made
    made.close()


def lines(receiver: Receiver) -> list[str]:
    return [request.line.rsplit(" ", 1)[0] for request in receiver.requests]


def test_a_token_is_fetched_once_and_used_for_every_message(wecom: WecomApp, receiver: Receiver) -> None:
    receiver.says(token("T1"), OK)
    assert [wecom.send(message(), key="k").result for _ in range(3)] == [Result.DELIVERED] * 3
    assert lines(receiver) == [
        f"GET /cgi-bin/gettoken?corpid=ww123456&corpsecret={SECRET}",
        *["POST /cgi-bin/message/send?access_token=T1"] * 3,
    ]


def test_a_token_is_replaced_before_it_ends(wecom: WecomApp, receiver: Receiver, clock: ManualClock) -> None:
    receiver.says(token("T1", lasts=7200), OK, token("T2"), OK)
    wecom.send(message(), key="k")
    clock.advance(7200 - 300)
    wecom.send(message(), key="k")
    assert lines(receiver)[-1] == "POST /cgi-bin/message/send?access_token=T2"


@pytest.mark.parametrize("code", [42001, 40014])
def test_a_token_that_is_refused_is_replaced_once(wecom: WecomApp, receiver: Receiver, code: int) -> None:
    receiver.says(token("T1"), refusal(code, "access_token expired"), token("T2"), OK)
    assert wecom.send(message(), key="k").result is Result.DELIVERED
    assert lines(receiver)[-1] == "POST /cgi-bin/message/send?access_token=T2"


def test_a_new_token_that_is_refused_too_is_a_rejection_and_no_endless_round(
    wecom: WecomApp, receiver: Receiver
) -> None:
    refused = refusal(40014, "invalid access_token")
    receiver.says(token("T1"), refused, token("T2"), refused)
    delivery = wecom.send(message(), key="k")
    assert (delivery.result, delivery.code, len(receiver.requests)) == (Result.REJECTED, "40014", 4)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (refusal(40001, "invalid credential"), "40001"),
        (refusal(60020, "not allow to access from your ip"), "60020"),
        (answer(200, "<html>"), "200"),
        (answer(404, "nothing here"), "404"),
        (answer(500, "broken"), "500"),
    ],
)
def test_without_a_token_nothing_arrived_and_the_message_waits(
    wecom: WecomApp, receiver: Receiver, said: Answer, code: str
) -> None:
    receiver.says(said)
    with pytest.raises(DeliveryError) as caught:
        wecom.send(message(), key="k")
    assert (caught.value.retryable, caught.value.code) == (True, code)
    assert [line for line in lines(receiver) if line.startswith("POST")] == []


def test_a_token_that_is_never_answered_leaves_no_doubt_about_the_message(wecom: WecomApp, receiver: Receiver) -> None:
    receiver.says(Answer(hang=True))
    with pytest.raises(DeliveryError, match="no access token") as caught:
        wecom.send(message(), key="k")
    assert (caught.value.retryable, caught.value.code) == (True, "timeout")


@pytest.mark.parametrize("code", [81013, 301002, 40058, 60011])
def test_a_refusal_inside_http_200_is_a_rejection(wecom: WecomApp, receiver: Receiver, code: int) -> None:
    receiver.says(token("T1"), refusal(code, "no"))
    delivery = wecom.send(message(), key="k")
    assert (delivery.result, delivery.code, delivery.detail) == (Result.REJECTED, str(code), "no")


def test_too_many_messages_is_a_pause_and_a_busy_service_is_tried_again(wecom: WecomApp, receiver: Receiver) -> None:
    for code, wait in ((45009, RATE_LIMITED_SECONDS), (-1, None)):
        receiver.says(token("T1"), refusal(code, "later"))
        receiver.answers = receiver.answers if not receiver.requests else receiver.answers[1:]
        with pytest.raises(DeliveryError) as caught:
            wecom.send(message(), key="k")
        assert (caught.value.retryable, caught.value.retry_after_seconds) == (True, wait)


def test_somebody_who_was_not_found_is_not_called_delivered(wecom: WecomApp, receiver: Receiver) -> None:
    receiver.says(token("T1"), answer(200, '{"errcode":0,"errmsg":"ok","invaliduser":"wangfang"}'))
    delivery = wecom.send(message(), key="k")
    assert (delivery.result, delivery.code, delivery.detail) == (
        Result.REJECTED, "partial", "not found: invaliduser: wangfang"
    )  # fmt: skip


def test_neither_the_secret_nor_the_token_is_ever_told(wecom: WecomApp, receiver: Receiver) -> None:
    receiver.says(token("TOKEN-OF-NOW"), refusal(40058, f"bad TOKEN-OF-NOW {SECRET}"))
    delivery = wecom.send(message(), key="k")
    assert delivery.detail == "bad *** ***"
    assert SECRET not in wecom.describe()


def _document(made: WecomApp, **changes: Any) -> Any:
    made._hidden[-1], made._token_ends = "T", 1e9
    one = message(**changes)
    document = made.call(one, text=made.text_of(one)).document
    made.close()
    return document


def test_what_is_for_nobody_in_particular_goes_to_users_parties_and_tags() -> None:
    document = _document(app(users=("wangfang", "all"), parties=("2",), tags=("oncall", "it")))
    assert (document["touser"], document["toparty"], document["totag"]) == ("wangfang|@all", "2", "oncall|it")
    assert (document["agentid"], document["msgtype"]) == (1000002, "markdown")


def test_what_is_for_a_person_goes_to_that_person_alone() -> None:
    document = _document(app(parties=("2",)), mentions=("lina",))
    assert document["touser"] == "lina"
    assert "toparty" not in document


def test_a_card_has_links_to_acknowledge_and_to_the_incident_instead_of_their_addresses() -> None:
    ack, url = "http://127.0.0.1/ack/t", "http://127.0.0.1/incidents/7"
    runbook = Link(title="重启 ERP", url="http://127.0.0.1/runbooks/erp-restart")
    body = f"事件 #7\n确认：{ack}\n详情：{url}"
    card = _document(app(format=Format.CARD), ack_url=ack, runbooks=(runbook,), body=body)["template_card"]
    assert card["main_title"] == {"title": "【严重】ERP 无法连接"}
    assert card["sub_title_text"] == "事件 ＃7"
    assert [(one["title"], one["url"]) for one in card["jump_list"]] == [
        ("确认", ack), ("查看事件", url), ("重启 ERP", runbook.url)
    ]  # fmt: skip
    assert card["card_action"] == {"type": 1, "url": url}


def test_a_message_that_leads_nowhere_is_no_card() -> None:
    assert _document(app(format=Format.CARD), url="")["msgtype"] == "markdown"


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("text", ["长" * 20_000, "😀" * 9_000, '"\\' * 9_000, "z\n" * 9_000])
def test_no_message_is_over_the_services_limit(form: Format, text: str) -> None:
    document = _document(app(format=form), title=text, body=text)
    if form is Format.MARKDOWN:
        assert size_bytes(document["markdown"]["content"]) <= LIMIT_BYTES
    else:
        assert size_bytes(document["template_card"]["sub_title_text"]) <= CARD_TEXT_BYTES


def test_somebody_has_to_be_named() -> None:
    with pytest.raises(ValidationError, match="name somebody"):
        app(users=())


def test_an_answer_after_the_timeout_is_unknown(wecom: WecomApp, receiver: Receiver) -> None:
    receiver.says(token("T1"), Answer(hang=True))
    delivery = wecom.send(message(), key="k")
    assert isinstance(delivery, Delivery)
    assert (delivery.result, delivery.code) == (Result.UNKNOWN, "timeout")
