"""What a person does with a form and no script at all."""

from datetime import timedelta

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World


def test_acknowledging_needs_no_script_and_remembers_the_name(bad_night: World) -> None:
    browser = Browser(bad_night)
    answer = browser.submit("/incidents/3", "/incidents/3/ack", {"actor": " 王芳 "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/incidents/3?done=acknowledged")
    assert bad_night.orders == [("acknowledge", 3, "王芳")]
    page = browser.get("/incidents/3?done=acknowledged&lang=en").text
    assert "Acknowledged. The others can see that you are on it." in page
    assert 'name="actor" value="王芳"' in page
    assert "/incidents/3/ack" not in page


@pytest.mark.parametrize(
    ("page", "action", "fields", "order"),
    [
        ("/incidents/3", "/incidents/3/ack", {"for": "2h"}, ("acknowledge", 3, "ann", timedelta(hours=2))),
        ("/incidents/3", "/incidents/3/unack", {"reason": "ill"}, ("unacknowledge", 3, "ann", "ill")),
        (
            "/incidents/3",
            "/incidents/3/snooze",
            {"for": "30m", "reason": "carrier"},
            ("snooze", 3, "ann", timedelta(minutes=30), "carrier"),
        ),
        ("/incidents/3", "/incidents/3/note", {"text": "called them"}, ("note", 3, "ann", "called them")),
        ("/incidents/3", "/incidents/3/assign", {"assignee": "bob"}, ("assign", 3, "ann", "bob")),
        ("/incidents/3", "/incidents/3/resolve", {"reason": "gone"}, ("resolve", 3, "ann", "gone")),
        (
            "/runs/1",
            "/runs/1/approve",
            {"role": "oncall-lead", "decision": "approve", "digest": "9f2c"},
            ("approve", 1, "ann", "oncall-lead", "approve", "9f2c"),
        ),
        (
            "/runs/1",
            "/runs/1/approve",
            {"role": "oncall-lead", "decision": "reject"},
            ("approve", 1, "ann", "oncall-lead", "reject", ""),
        ),
        ("/runs/1", "/runs/1/confirm", {"step": "tell", "text": "told"}, ("confirm", 1, "tell", "ann", "told", True)),
        (
            "/runs/1",
            "/runs/1/confirm",
            {"step": "tell", "text": "nobody there", "outcome": "failed"},
            ("confirm", 1, "tell", "ann", "nobody there", False),
        ),
        ("/runs/1", "/runs/1/stop", {}, ("stop", 1, "ann")),
        ("/runs/2", "/runs/2/resume", {"decision": "retry"}, ("resume", 2, "ann", "retry")),
        (
            "/runbooks/orders-replay?incident=4",
            "/runbooks/orders-replay/start",
            {"incident": "4", "param.run": "7", "param.audit": "orders-chaoyang", "param.empty": " "},
            ("start", "orders-replay", {"run": "7", "audit": "orders-chaoyang"}, 4, "ann"),
        ),
        ("/audits", "/audits/orders-chaoyang/run", {}, ("audit", "orders-chaoyang", "page")),
        ("/validations", "/validations/till-orders-haidian/run", {}, ("validation", "till-orders-haidian", "page")),
        ("/audits/orders-chaoyang", "/audits/orders-chaoyang/run", {}, ("audit", "orders-chaoyang", "page")),
        ("/audits/runs/7", "/audits/runs/7/sign-off", {"reason": "seen"}, ("sign_off", 7, "ann", "seen")),
        ("/probes/erp-api", "/probes/erp-api/run", {}, ("probe", "erp-api")),
    ],
)
def test_every_order_reaches_its_desk(
    bad_night: World, page: str, action: str, fields: dict[str, str], order: tuple[object, ...]
) -> None:
    answer = Browser(bad_night).submit(page, action, {"actor": "ann", **fields})
    assert answer.status_code == 303, answer.text
    assert bad_night.orders == [order]


def test_a_form_without_our_token_changes_nothing(bad_night: World) -> None:
    browser = Browser(bad_night)
    browser.get("/incidents/3")
    for token in ("", "guessed"):
        answer = browser.send("POST", "/incidents/3/ack", data={"actor": "eve", "csrf": token})
        assert answer.status_code == 403
    assert bad_night.orders == []


def test_a_form_sent_by_another_site_changes_nothing(bad_night: World) -> None:
    browser = Browser(bad_night)
    answer = browser.submit("/incidents/3", "/incidents/3/ack", {"actor": "eve"}, origin="http://evil.example")
    assert answer.status_code == 403
    assert bad_night.orders == []


def test_reading_a_page_never_changes_anything(bad_night: World) -> None:
    browser = Browser(bad_night)
    for path in (
        "/incidents/3/ack",
        "/incidents/3/resolve",
        "/runs/1/approve",
        "/runs/1/stop",
        "/audits/orders-chaoyang/run",
    ):
        assert browser.get(path).status_code in (404, 405), path
    assert bad_night.orders == []


def test_a_missing_name_is_asked_for_in_the_readers_language(bad_night: World) -> None:
    browser = Browser(bad_night)
    answer = browser.submit("/incidents/3?lang=zh-CN", "/incidents/3/ack", {"actor": "  "})
    assert answer.status_code == 422
    assert "请填写姓名" in answer.text
    assert bad_night.orders == []


def test_a_wrong_parameter_shows_the_form_again_with_everything_typed(bad_night: World) -> None:
    browser = Browser(bad_night)
    answer = browser.submit(
        "/runbooks/erp-restart?incident=3&lang=en",
        "/runbooks/erp-restart/start",
        {"actor": "ann", "incident": "3", "param.service": "nonsense", "param.note": "typed with care"},
    )
    assert answer.status_code == 422
    assert "parameter &#39;service&#39;" in answer.text
    assert "typed with care" in answer.text
    assert bad_night.orders == []


def test_what_policy_refuses_is_a_409_with_the_reason(bad_night: World) -> None:
    bad_night.refused = "approver and requester must be two people"
    answer = Browser(bad_night).submit(
        "/runs/1?lang=en", "/runs/1/approve", {"actor": "王芳", "role": "oncall-lead", "decision": "approve"}
    )
    assert answer.status_code == 409
    assert "approver and requester must be two people" in answer.text
    assert "This is not possible now." in answer.text


def test_control_characters_and_endless_text_do_not_get_through(bad_night: World) -> None:
    browser = Browser(bad_night)
    browser.submit("/incidents/3", "/incidents/3/note", {"actor": "a\x00\x1b[31mnn", "text": "x" * 9000})
    [(_, _, actor, text)] = bad_night.orders
    assert actor == "a[31mnn"
    assert text == "x" * 4000


def test_a_file_upload_is_not_read(bad_night: World) -> None:
    browser = Browser(bad_night)
    browser.get("/incidents/3")
    answer = browser.send("POST", "/incidents/3/note", files={"text": b"x"})
    assert answer.status_code == 415


def test_the_notice_after_an_order_is_never_text_out_of_the_address(bad_night: World) -> None:
    page = Browser(bad_night).get("/incidents/3?done=<b>your+account+is+locked</b>").text
    assert "your account is locked" not in page
