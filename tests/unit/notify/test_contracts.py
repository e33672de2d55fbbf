"""What every chat service may answer, and what we make of it: the same table for all of them.

The receivers are stubs of ours that answer as the services document; none of the services was reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.receiver import Answer, Receiver, answer
from tests.unit.notify.test_robot import ding, lark, message, wecom
from tests.unit.notify.test_wecom_app import app, token

from tillwatch.errors import DeliveryError
from tillwatch.notify.base import Delivery, Result
from tillwatch.notify.robot import RATE_LIMITED_SECONDS, Robot, size_bytes


@dataclass(frozen=True, kw_only=True)
class Service:
    make: Callable[..., Robot]
    code: str
    words: str
    #: What text it takes at most, in bytes inside its request.
    limit_bytes: int
    #: Answers before the one to the message.
    first: tuple[Answer, ...] = ()

    def says(self, code: int, words: str = "as documented") -> Answer:
        return answer(200, f'{{"{self.code}":{code},"{self.words}":"{words}"}}')


SERVICES = {
    "wecom_bot": Service(make=wecom, code="errcode", words="errmsg", limit_bytes=4_096),
    "dingtalk": Service(make=ding, code="errcode", words="errmsg", limit_bytes=20_000),
    "feishu": Service(make=lark, code="code", words="msg", limit_bytes=20_000),
    "wecom_app": Service(make=app, code="errcode", words="errmsg", limit_bytes=2_048, first=(token("T"),)),
}
ALL = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())

REFUSED = [
    ("wecom_bot", 40058), ("wecom_bot", 93000), ("wecom_bot", 40001),
    ("dingtalk", 310000), ("dingtalk", 460101), ("dingtalk", 300001),
    ("feishu", 19036), ("feishu", 19021), ("feishu", 19024), ("feishu", 19001),
    ("wecom_app", 40058), ("wecom_app", 81013), ("wecom_app", 60020),
]  # fmt: skip
TOO_MANY = [("wecom_bot", 45009), ("dingtalk", 130101), ("feishu", 9499), ("feishu", 11232), ("wecom_app", 45009)]


def outcome(service: Service, receiver: Receiver, said: Answer) -> Delivery | DeliveryError:
    receiver.says(*service.first, said)
    robot = service.make(receiver.address)
    try:
        return robot.send(message(), key="k")
    except DeliveryError as error:
        return error
    finally:
        robot.close()


@ALL
def test_zero_is_a_delivery(service: Service, receiver: Receiver) -> None:
    told = outcome(service, receiver, service.says(0, "ok"))
    assert isinstance(told, Delivery)
    assert (told.result, told.code, told.detail) == (Result.DELIVERED, "0", "ok")


@pytest.mark.parametrize(("name", "code"), REFUSED)
def test_a_refusal_inside_http_200_is_never_a_delivery(name: str, code: int, receiver: Receiver) -> None:
    told = outcome(SERVICES[name], receiver, SERVICES[name].says(code))
    assert isinstance(told, Delivery)
    assert (told.result, told.code, told.detail) == (Result.REJECTED, str(code), "as documented")


@pytest.mark.parametrize(("name", "code"), TOO_MANY)
def test_too_many_messages_is_a_pause_of_a_minute(name: str, code: int, receiver: Receiver) -> None:
    told = outcome(SERVICES[name], receiver, SERVICES[name].says(code))
    assert isinstance(told, DeliveryError)
    assert (told.retryable, told.code, told.retry_after_seconds) == (True, str(code), RATE_LIMITED_SECONDS)


@ALL
@pytest.mark.parametrize("said", [Answer(hang=True), Answer()], ids=["slow", "cut off"])
def test_an_answer_that_does_not_come_is_unknown(service: Service, said: Answer, receiver: Receiver) -> None:
    told = outcome(service, receiver, said)
    assert isinstance(told, Delivery)
    assert told.result is Result.UNKNOWN
    assert service.make().repeats_when_unknown == 1


@ALL
@pytest.mark.parametrize(
    "body", ["", "ok", "<html>busy</html>", "[]", "null", '{"errcode":"0","code":"0"}', "{", "\x00\ufffd", "9" * 70_000]
)
def test_garbage_is_unknown_and_never_a_delivery(service: Service, body: str, receiver: Receiver) -> None:
    told = outcome(service, receiver, answer(200, body))
    assert isinstance(told, Delivery)
    assert (told.result, told.code) == (Result.UNKNOWN, "no code")


@ALL
@pytest.mark.parametrize(("status", "wait"), [(429, 17.0), (503, 17.0), (500, None)])
def test_an_error_that_may_pass_is_tried_again_when_the_service_asks(
    service: Service, status: int, wait: float | None, receiver: Receiver
) -> None:
    headers = {} if wait is None else {"Retry_After": f"{wait:g}"}
    told = outcome(service, receiver, answer(status, "busy", **headers))
    assert isinstance(told, DeliveryError)
    assert (told.retryable, told.code, told.retry_after_seconds) == (True, str(status), wait)


@ALL
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(service: Service, status: int, receiver: Receiver) -> None:
    told = outcome(service, receiver, answer(status, Location=f"http://{receiver.address}/elsewhere"))
    assert isinstance(told, Delivery)
    assert (told.result, told.code) == (Result.REJECTED, str(status))
    assert [request for request in receiver.requests if "elsewhere" in request.line] == []


@ALL
def test_a_service_that_is_not_there_certainly_got_nothing(service: Service) -> None:
    robot = service.make("127.0.0.1:9")
    with pytest.raises(DeliveryError) as caught:
        robot.send(message(), key="k")
    robot.close()
    assert (caught.value.retryable, caught.value.code) == (True, "connect")


@ALL
def test_a_name_that_does_not_resolve_certainly_got_nothing(service: Service) -> None:
    robot = service.make("no-such-host.invalid")
    with pytest.raises(DeliveryError) as caught:
        robot.send(message(), key="k")
    robot.close()
    assert (caught.value.retryable, caught.value.code) == (True, "connect")


TEXT = st.text(
    st.one_of(
        st.sampled_from('门店订单缺失对账差异€é"\\\n\t`<>[]#*@'),
        st.sampled_from(["😀", "👨‍👩‍👧‍👦", "🇨🇳", "\u202e", "é"]).map(lambda one: one[0]),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=3_000,
)


@ALL
@settings(max_examples=40, deadline=None)
@given(title=TEXT, body=TEXT, repeats=st.integers(1, 20), has_link=st.booleans())
def test_no_text_is_ever_over_the_limit_and_the_way_to_the_incident_stays(
    service: Service, title: str, body: str, repeats: int, has_link: bool
) -> None:
    url, ack = "http://127.0.0.1/incidents/7", "http://127.0.0.1/ack/" + "t" * 64
    ends = f"确认：{ack}\n详情：{url}" if has_link else f"详情：{url}"
    robot = service.make()
    one = message(
        title=title, body=f"{(body + chr(10)) * repeats}\n{ends}", ack_url=ack if has_link else "", possible_repeat=True
    )
    text = robot.text_of(one)
    robot.close()
    assert size_bytes(text) <= service.limit_bytes
    assert text.splitlines()[-1].endswith(url)
    assert not has_link or ack in text


@ALL
def test_no_secret_stands_in_what_is_kept_of_an_answer(service: Service, receiver: Receiver) -> None:
    secret: Any = {"wecom_app": "the-secret-of-the-app"}.get(service.make().kind, "0123456789-KEY")
    told = outcome(service, receiver, service.says(1, f"bad {secret}"))
    assert isinstance(told, Delivery)
    assert told.detail == "bad ***"
