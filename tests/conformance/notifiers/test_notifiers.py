"""What every notifier owes the outbox, against a receiver that behaves badly in every way we know."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
from tests.support.receiver import Answer, Receiver, answer

from tillwatch.clock import SystemClock
from tillwatch.config.bind import Secret
from tillwatch.errors import DeliveryError
from tillwatch.model.notice import NoticeKind
from tillwatch.notify.apprise import AppriseNotifier, AppriseOptions
from tillwatch.notify.base import Delivery, Message, Notifier, Result
from tillwatch.notify.dingtalk import Dingtalk, DingtalkOptions
from tillwatch.notify.feishu import Feishu, FeishuOptions
from tillwatch.notify.registry import OPTIONS
from tillwatch.notify.webhook import Webhook, WebhookOptions
from tillwatch.notify.wecom_app import WecomApp, WecomAppOptions
from tillwatch.notify.wecom_bot import WecomBot, WecomBotOptions

TOKEN = "SECRETTOKEN-0123456789"
CLOCK = SystemClock()
TIMEOUT = timedelta(seconds=1)
#: A send may take this much longer than its timeout on a busy machine, and not more.
SLACK_SECONDS = 4.0


def wecom_app(address: str) -> Notifier:
    """With the token it has fetched before; how it fetches one is under its own tests."""
    options = WecomAppOptions(
        url=f"http://{address}", corp_id="ww123456", secret=Secret(TOKEN), agent_id=1, users=("all",), timeout=TIMEOUT
    )
    app = WecomApp(options, clock=CLOCK)
    app._hidden[-1], app._token_ends = f"access-{TOKEN}", CLOCK.monotonic() + 3_600
    return app


Make = Callable[[str], Notifier]
MAKERS: dict[str, Make] = {
    "webhook": lambda address: Webhook(
        WebhookOptions(url=Secret(f"http://{address}/hook/{TOKEN}"), timeout=TIMEOUT), clock=CLOCK
    ),
    "apprise": lambda address: AppriseNotifier(
        AppriseOptions(url=Secret(f"json://{address}/hook/{TOKEN}"), timeout=TIMEOUT), clock=CLOCK
    ),
    "wecom_bot": lambda address: WecomBot(
        WecomBotOptions(url=f"http://{address}", key=Secret(TOKEN), timeout=TIMEOUT), clock=CLOCK
    ),
    "wecom_app": wecom_app,
    "dingtalk": lambda address: Dingtalk(
        DingtalkOptions(url=f"http://{address}", token=Secret(TOKEN), secret=Secret(TOKEN), timeout=TIMEOUT),
        clock=CLOCK,
    ),
    "feishu": lambda address: Feishu(
        FeishuOptions(url=f"http://{address}", token=Secret(TOKEN), secret=Secret(TOKEN), timeout=TIMEOUT),
        clock=CLOCK,
    ),
}
#: How a service that hides refusals inside HTTP 200 says yes. The others mean it.
YES = {
    "wecom_bot": '{"errcode":0,"errmsg":"ok"}',
    "wecom_app": '{"errcode":0,"errmsg":"ok"}',
    "dingtalk": '{"errcode":0,"errmsg":"ok"}',
    "feishu": '{"code":0,"msg":"success"}',
}


#: It does not speak HTTP; its own tests have a mail server that answers every step badly.
NOT_HTTP = {"email"}


def test_every_kind_of_notifier_is_under_this_suite() -> None:
    assert set(MAKERS) == set(OPTIONS) - NOT_HTTP


def message(**changes: object) -> Message:
    given = {
        "key": "1:opened:1:ops", "kind": NoticeKind.OPENED, "channel": "ops", "receiver": "ops", "locale": "zh-CN",
        "title": "【严重】ERP：无法连接", "body": "朝阳店 → ERP", "severity": "critical", "url": "http://127.0.0.1/incidents/1",
        "chain": "demo", "at": CLOCK.now(),
    }  # fmt: skip
    return Message(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(params=sorted(MAKERS))
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def make(kind: str) -> Make:
    return MAKERS[kind]


def sent(notifier: Notifier, **changes: object) -> Delivery:
    one = message(**changes)
    started = CLOCK.monotonic()
    try:
        return notifier.send(one, key=one.key)
    finally:
        notifier.close()
        assert CLOCK.monotonic() - started < TIMEOUT.total_seconds() + SLACK_SECONDS


def test_a_message_that_is_taken_is_delivered_once_and_intact(make: Make, kind: str, receiver: Receiver) -> None:
    receiver.says(answer(200, YES.get(kind, "ok")))
    delivery = sent(make(receiver.address))
    assert delivery.result is Result.DELIVERED
    assert delivery.code
    assert len(receiver.requests) == 1
    body = json.dumps(json.loads(receiver.requests[0].body), ensure_ascii=False)
    assert "【严重】ERP：无法连接" in body
    assert "朝阳店 → ERP" in body


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408])
def test_an_error_that_may_pass_is_raised_as_retryable_after_one_try(
    make: Make, receiver: Receiver, status: int
) -> None:
    receiver.says(answer(status, "busy", Retry_After="7"))
    with pytest.raises(DeliveryError) as caught:
        sent(make(receiver.address))
    assert (caught.value.retryable, caught.value.code) == (True, str(status))
    assert caught.value.retry_after_seconds in {None, 7.0}
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
def test_an_error_that_stays_is_a_rejection_with_its_code(make: Make, receiver: Receiver, status: int) -> None:
    receiver.says(answer(status, "no"))
    delivery = sent(make(receiver.address))
    assert (delivery.result, delivery.code) == (Result.REJECTED, str(status))
    assert len(receiver.requests) == 1


def test_a_redirect_is_not_followed(make: Make, receiver: Receiver) -> None:
    receiver.says(answer(302, "", Location=f"http://{receiver.address}/elsewhere"))
    delivery = sent(make(receiver.address))
    assert (delivery.result, delivery.code) == (Result.REJECTED, "302")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "told",
    [Answer(hang=True), Answer(raw=b"\x00\xff no http at all\r\n\r\n"), Answer()],
    ids=["hangs", "garbage", "closes"],
)
def test_no_usable_answer_after_the_request_went_out_is_unknown_never_a_failure(
    make: Make, receiver: Receiver, told: Answer
) -> None:
    receiver.says(told)
    delivery = sent(make(receiver.address))
    assert delivery.result is Result.UNKNOWN
    assert delivery.code
    assert delivery.detail
    assert len(receiver.requests) == 1


def test_a_refused_connection_is_retryable_because_nothing_was_sent(make: Make, refused_address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        sent(make(refused_address))
    assert (caught.value.retryable, caught.value.code) == (True, "connect")


@pytest.mark.parametrize(
    "told",
    [answer(200, TOKEN), answer(404, f"no {TOKEN} here"), answer(500, TOKEN), Answer(hang=True), Answer()],
    ids=["200", "404", "500", "hangs", "closes"],
)
def test_the_channels_secret_is_in_nothing_we_say(make: Make, receiver: Receiver, told: Answer) -> None:
    receiver.says(told)
    notifier = make(receiver.address)
    said = [notifier.describe(), repr(notifier)]
    try:
        delivery = sent(notifier)
        said += [delivery.detail, delivery.code]
    except DeliveryError as error:
        said += [str(error), error.code]
    assert not [text for text in said if TOKEN in text]


def test_the_secret_is_not_in_the_words_of_a_refused_connection(make: Make, refused_address: str) -> None:
    with pytest.raises(DeliveryError) as caught:
        sent(make(refused_address))
    assert TOKEN not in str(caught.value)


def test_a_possible_repeat_says_so_and_is_otherwise_the_same_message(make: Make, receiver: Receiver) -> None:
    sent(make(receiver.address))
    sent(make(receiver.address), possible_repeat=True)
    first, second = (request.body.decode() for request in receiver.requests)
    assert first != second
    assert "无法连接" in json.dumps(json.loads(second), ensure_ascii=False)


def test_an_endless_answer_is_cut_off(make: Make, kind: str, receiver: Receiver) -> None:
    receiver.says(answer(200, "x" * 5_000_000))
    delivery = sent(make(receiver.address))
    # Where only the body says yes, a body that says nothing leaves it open.
    assert delivery.result is (Result.UNKNOWN if kind in YES else Result.DELIVERED)
    assert len(delivery.detail) <= 500
