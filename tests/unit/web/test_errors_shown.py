"""Errors say what, why and how to go on, to people as pages and to programs as JSON."""

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

BROKEN = "cannot write to var/tillwatch.db: database or disk is full; free space on the disk"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nowhere", 404, "There is nothing here."),
        ("/incidents/99", 404, "there is no incident 99"),
        ("/runs/99", 404, "there is no run 99"),
        ("/audits/runs/99", 404, "there is no audit run 99"),
        ("/runbooks/nope", 404, "there is no runbook"),
        ("/probes/erp-apy", 404, "erp-api"),
        ("/audits/runs/7/export/pdf", 404, "choose csv, xlsx or html"),
        ("/static/../app.py", 404, ""),
        ("/static/..%2f..%2fetc%2fpasswd", 404, ""),
        ("/incidents/abc", 422, "valid integer"),
        ("/incidents?before=0", 422, "greater than or equal to 1"),
        ("/incidents?before=99999999999999999999", 422, "less than or equal to"),
        ("/audits/runs/7?kind=sideways", 422, "missing"),
    ],
)
def test_a_wrong_address_is_answered_with_what_is_wrong_with_it(
    bad_night: World, path: str, status: int, words: str
) -> None:
    answer = Browser(bad_night).get(path + ("&" if "?" in path else "?") + "lang=en")
    assert answer.status_code == status
    assert words in answer.text.replace("&#39;", "'")
    assert answer.headers["content-type"].startswith("text/html")


def test_a_broken_store_is_a_503_page_that_says_so_in_both_languages(bad_night: World) -> None:
    bad_night.broken = BROKEN
    browser = Browser(bad_night)
    for language, words in (("en", "This server cannot store or read right now."), ("zh-CN", "本服务暂时无法读写。")):
        answer = browser.get(f"/?lang={language}")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert words in answer.text
        assert "database or disk is full" in answer.text


def test_a_broken_store_is_a_503_in_json_for_programs_and_nothing_is_called_stored(bad_night: World) -> None:
    bad_night.broken = BROKEN
    browser = Browser(bad_night)
    for answer in (
        browser.get("/api/v1/overview"),
        browser.get("/-/ready"),
        browser.post("/api/v2/alerts", content=b"[]"),
        browser.post("/hooks/alertmanager", content=b"{}"),
        browser.post("/api/v1/incidents/3/ack", json={"actor": "ann"}),
    ):
        assert answer.status_code == 503
        assert answer.json() == {"code": 503, "message": BROKEN}
        assert answer.headers["retry-after"] == "5"


def test_liveness_does_not_depend_on_the_store(bad_night: World) -> None:
    bad_night.broken = BROKEN
    assert Browser(bad_night).get("/-/healthy").json() == {"status": "ok"}


def test_an_order_while_the_store_is_broken_is_a_503_and_not_lost_in_silence(bad_night: World) -> None:
    browser = Browser(bad_night)
    token = browser.csrf("/incidents/3")
    bad_night.broken = BROKEN
    answer = browser.send("POST", "/incidents/3/ack", data={"csrf": token, "actor": "ann"})
    assert answer.status_code == 503
    assert bad_night.orders == []


def test_an_unexpected_error_shows_its_kind_and_time_but_none_of_its_text(bad_night: World) -> None:
    bad_night.cards = None  # type: ignore[assignment]
    answer = Browser(bad_night).get("/runbooks?lang=en")
    assert answer.status_code == 500
    assert "AttributeError at 2026-11-24T03:00:00+00:00" in answer.text
    assert "NoneType" not in answer.text


def test_a_method_that_is_not_offered_is_a_405(bad_night: World) -> None:
    browser = Browser(bad_night)
    assert browser.send("DELETE", "/api/v1/incidents/3").status_code == 405
    assert browser.send("PUT", "/").status_code == 405
