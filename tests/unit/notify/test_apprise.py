"""Apprise: what it does not tell us is not made up."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.receiver import Receiver, answer
from tests.unit.notify.test_webhook import MESSAGE

from tillwatch.clock import SystemClock
from tillwatch.config.bind import Secret, bind
from tillwatch.config.yaml import parse
from tillwatch.errors import Problem
from tillwatch.notify.apprise import AppriseNotifier, AppriseOptions, fit
from tillwatch.notify.base import Result

KEY = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"


def wecom(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> AppriseNotifier:
    notifier = AppriseNotifier(AppriseOptions(url=Secret(f"wecombot://{KEY}")), clock=SystemClock())
    monkeypatch.setattr(notifier._service, "api_url", f"http://{receiver.address}/send?key={KEY}")
    return notifier


def test_a_service_whose_answer_is_not_read_stays_unconfirmed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.says(answer(200, '{"errcode": 93000, "errmsg": "invalid webhook url"}'))
    notifier = wecom(receiver, monkeypatch)
    delivery = notifier.send(MESSAGE, key="k")
    assert len(receiver.requests) == 1
    assert (delivery.result, delivery.code) == (Result.DELIVERED, "unconfirmed")
    assert "not read" in delivery.detail
    assert KEY not in delivery.detail + notifier.describe()


def test_a_long_chinese_text_is_cut_to_the_services_limit_in_bytes(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = wecom(receiver, monkeypatch)
    notifier.send(dataclasses.replace(MESSAGE, body="店" * 3000), key="k")
    assert len(receiver.requests) == 1
    content = json.loads(receiver.requests[0].body)["text"]["content"]
    assert len(content.encode()) <= 2048
    assert content.startswith("【严重】ERP：无法连接")
    assert content.endswith("…\nhttp://127.0.0.1:8080/incidents/7")


@given(st.text(max_size=200), st.integers(3, 300))
def test_a_cut_text_fits_is_valid_and_says_that_it_was_cut(text: str, room: int) -> None:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return
    cut = fit(text, room)
    assert len(cut.encode()) <= room
    assert cut == text if len(encoded) <= room else (cut.endswith("…") and text.startswith(cut[:-1]))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("nonsense://x", "not a service URL Apprise knows, or it lacks a part; see Apprise's page of that service"),
        ("wecombot://", "not a service URL Apprise knows, or it lacks a part; see Apprise's page of that service"),
        (
            "json://h/?retry=3",
            "remove retry= and wait= from the URL; tillwatch tries again by itself and knows when not to",
        ),
    ],
)
def test_a_url_that_cannot_work_is_refused_without_being_shown(url: str, problem: str) -> None:
    problems: list[Problem] = []
    assert bind(parse(f"url: '{url}'", "c.yaml"), AppriseOptions, problems=problems) is None
    assert [str(one) for one in problems] == [f"c.yaml:1:6: {problem}"]
