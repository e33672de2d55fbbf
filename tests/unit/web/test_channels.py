"""The page and the API of channels: how each stands, what was answered, and a test."""

from dataclasses import replace

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.errors import StoreError
from tillwatch.model.channel import Gate
from tillwatch.notify.base import Delivery, Result
from tillwatch.notify.gate import Standing
from tillwatch.web.pages.channels import level
from tillwatch.web.views.levels import Level


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "en",
            (
                "does not work",
                "asked for a pause",
                "never used",
                "Operations inbox: works",
                "after 9 failures in a row",
            ),
        ),
        ("zh-CN", ("不可用", "服务要求暂缓", "从未使用", "运维收件箱：正常", "已连续失败 9 次")),
    ],
)
def test_every_standing_is_said_in_words_with_the_real_answer(
    bad_night: World, language: str, words: tuple[str, ...]
) -> None:
    page = Browser(bad_night).get(f"/channels?lang={language}").text
    assert [word for word in words if word not in page] == []
    assert "<code>310000</code>" in page
    assert "keywords not in content" in page


def test_the_test_button_sends_one_message_and_leads_to_the_answer(bad_night: World) -> None:
    answer = Browser(bad_night).submit("/channels", "/channels/ops/test", {})
    assert (answer.status_code, answer.headers["location"]) == (303, "/channels?done=channel_tested#ops")
    assert bad_night.orders == [("test channel", "ops")]


def test_a_test_needs_our_own_form_and_a_channel_that_is_there(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert browser.send("POST", "/channels/ops/test", data={"csrf": "guessed"}).status_code == 403
    assert browser.submit("/channels", "/channels/nowhere/test", {}).status_code == 404
    assert browser.get("/channels/ops/test").status_code == 405
    assert bad_night.orders == []


def test_before_anything_is_declared_the_page_says_what_to_do(bad_night: World) -> None:
    bad_night.channels = []
    assert "Add one to tillwatch.yaml" in Browser(bad_night).get("/channels?lang=en").text


def test_the_api_says_the_same(bad_night: World) -> None:
    found = {one["id"]: one for one in Browser(bad_night).get("/api/v1/channels").json()}
    assert [one["standing"] for one in found.values()] == ["closed", "open", "paused", "closed"]
    assert (found["ops"]["tokens"], found["ops"]["burst"], found["ops"]["per_minute"]) == (7.0, 10, 10.0)
    assert (found["night"]["waiting"], found["night"]["dead"], found["night"]["last"]["code"]) == (12, 3, "310000")
    assert (found["hook"]["last"], found["hook"]["tokens"]) == (None, None)


def test_a_test_by_the_api_says_what_the_service_said(bad_night: World) -> None:
    bad_night.tested = Delivery(result=Result.REJECTED, code="93000", detail="invalid webhook url", seconds=0.5)
    assert Browser(bad_night).post("/api/v1/channels/ops/test").json() == {
        "channel": "ops", "result": "rejected", "code": "93000", "detail": "invalid webhook url", "seconds": 0.5
    }  # fmt: skip
    assert Browser(bad_night).post("/api/v1/channels/nowhere/test").status_code == 422


def test_a_channel_is_as_loud_as_it_is_bad(bad_night: World) -> None:
    works = bad_night.channels[0]
    assert [level(one) for one in bad_night.channels] == [Level.OK, Level.CRITICAL, Level.NOTICE, Level.PENDING]
    assert level(replace(works, standing=Standing.HALF_OPEN)) is Level.CRITICAL
    assert level(replace(works, gate=replace(works.gate, last_result="unknown"))) is Level.WARNING
    assert level(replace(works, gate=Gate(channel="ops", failures=1, last_at=bad_night.clock.now()))) is Level.NOTICE


def test_a_store_that_is_away_is_a_503(bad_night: World) -> None:
    bad_night.broken = str(StoreError("gone"))
    assert Browser(bad_night).get("/api/v1/channels").status_code == 503
