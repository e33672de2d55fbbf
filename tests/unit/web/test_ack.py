"""The page behind the link in a message: small, without a script or a sign-in, and never acting by being opened."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.config.schema import Listen
from tillwatch.incident.acks import AckState, Opened
from tillwatch.model.incident import IncidentState
from tillwatch.store.links import Use
from tillwatch.web.assets import load_assets

LANGUAGES = ("en", "zh-CN")
MAX_PAGE_BYTES = 30 * 1024
#: What link previews of chats and scanners of mail call themselves.
PREVIEWS = ("Mozilla/5.0 (compatible; DingTalkBot-LinkService/1.0)", "Feishu Link Preview", "BarracudaCentral")
TITLES = {
    AckState.READY: ("Acknowledge incident #3", "确认事件 #3"),
    AckState.USED: ("Acknowledged", "已确认"),
    AckState.TAKEN: ("Somebody is on it", "已有人处理"),
    AckState.RESOLVED: ("It is over", "事件已恢复"),
    AckState.OUTDATED: ("This link is outdated", "链接已过时"),
    AckState.EXPIRED: ("This link has expired", "链接已过期"),
    AckState.FOREIGN: ("Not a link of this server", "不是本服务的链接"),
}
STATUS = {AckState.OUTDATED: 410, AckState.EXPIRED: 410, AckState.FOREIGN: 404}


@pytest.fixture
def night(bad_night: World) -> World:
    """Links to incident 3 by the name of their state; `named` is meant for a person."""
    now = bad_night.clock.now()
    incident = bad_night.known[3]
    taken = replace(incident, state=IncidentState.ACKNOWLEDGED, acknowledged_by="王伟", acknowledged_at=now)
    over = replace(incident, state=IncidentState.RESOLVED, resolved_at=now)
    basis = Opened(
        state=AckState.READY, incident=incident, channel="ops", expires_at=now + timedelta(hours=1), since=now
    )
    bad_night.links = {
        "ready": basis,
        "named": replace(basis, person="李娜"),
        "used": replace(basis, state=AckState.USED, incident=taken, used=Use(at=now, actor="李娜")),
        "taken": replace(basis, state=AckState.TAKEN, incident=taken),
        "resolved": replace(basis, state=AckState.RESOLVED, incident=over),
        "outdated": replace(basis, state=AckState.OUTDATED),
        "expired": replace(basis, state=AckState.EXPIRED),
        "foreign": Opened(state=AckState.FOREIGN),
    }
    return bad_night


@pytest.mark.parametrize("state", list(AckState))
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_state_of_a_link_has_a_page_of_its_own(night: World, state: AckState, language: str) -> None:
    answer = Browser(night).get(f"/ack/{state.value}?lang={language}")
    assert answer.status_code == STATUS.get(state, 200)
    assert f"</svg>{TITLES[state][language != 'en']}</h1>" in answer.text
    assert ("<button" in answer.text) == (state is AckState.READY)
    if state is not AckState.FOREIGN:
        assert "/incidents/3" in answer.text


@pytest.mark.parametrize("state", list(AckState))
def test_a_page_is_small_and_runs_nothing(night: World, state: AckState) -> None:
    page = Browser(night).get(f"/ack/{state.value}?lang=zh-CN")
    assert "<script" not in page.text
    style = load_assets()["ack.css"]
    assert style.url in page.text
    assert "tillwatch.css" not in page.text
    assert len(page.content) + len(style.body) <= MAX_PAGE_BYTES


@pytest.mark.parametrize("agent", PREVIEWS)
def test_a_preview_of_the_link_acknowledges_nothing(night: World, agent: str) -> None:
    browser = Browser(night)
    for method in ("GET", "HEAD", "OPTIONS"):
        for token in night.links:
            browser.send(method, f"/ack/{token}", headers={"user-agent": agent})
    assert night.orders == []
    assert night.known[3].state is IncidentState.OPEN


def test_one_press_acknowledges_for_the_person_named(night: World) -> None:
    browser = Browser(night)
    page = browser.get("/ack/named?lang=en").text
    assert "As 李娜" in page
    assert 'name="actor"' not in page
    answer = browser.send("POST", "/ack/named", data={"seen": str(night.known[3].version)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/ack/named")
    assert night.orders == [("acknowledge by link", 3, "李娜")]
    assert "By 李娜 at " in browser.get("/ack/named").text


def test_a_press_in_a_group_gives_a_name_which_is_remembered(night: World) -> None:
    browser = Browser(night)
    data = {"seen": str(night.known[3].version), "actor": " 王\x07芳 "}
    assert browser.send("POST", "/ack/ready", data=data).status_code == 303
    assert night.orders == [("acknowledge by link", 3, "王芳")]
    night.links["later"] = replace(night.links["taken"], state=AckState.READY)
    assert 'name="actor" value="王芳"' in browser.get("/ack/later").text


@pytest.mark.parametrize("state", [state for state in AckState if state is not AckState.READY])
def test_a_link_that_is_not_good_any_more_acknowledges_nothing(night: World, state: AckState) -> None:
    answer = Browser(night).send("POST", f"/ack/{state.value}", data={"seen": "1", "actor": "eve"})
    assert answer.status_code == STATUS.get(state, 409)
    assert night.orders == []


@pytest.mark.parametrize("seen", ["0", "-1", "x", "", "99999999999999999999", "１"])
def test_what_changed_while_the_page_was_open_is_shown_again_first(night: World, seen: str) -> None:
    answer = Browser(night).send("POST", "/ack/named?lang=en", data={"seen": seen})
    assert answer.status_code == 409
    assert "The incident has changed since this page was opened." in answer.text
    assert "<button" in answer.text
    assert night.orders == []


def test_a_form_of_another_site_acknowledges_nothing(night: World) -> None:
    data = {"seen": str(night.known[3].version)}
    answer = Browser(night).send("POST", "/ack/named", data=data, headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    assert night.orders == []


def test_a_link_needs_no_sign_in_and_opens_nothing_else(night: World) -> None:
    night.token = "correct horse battery staple"
    night.config = replace(night.config, listen=Listen(host="0.0.0.0", port=8080))
    browser = Browser(night)
    page = browser.get("/ack/named")
    assert page.status_code == 200
    assert browser.send("POST", "/ack/named", data={"seen": str(night.known[3].version)}).status_code == 303
    for path in ("/", "/incidents/3", "/ack", "/ack/../incidents/3", "/api/v1/incidents", "/channels"):
        assert browser.get(path).status_code in (303, 401, 404), path
    assert browser.post("/api/v1/incidents/3/ack", json={"actor": "eve"}).status_code == 401
    assert night.orders == [("acknowledge by link", 3, "李娜")]


def test_a_page_without_sign_in_tells_nothing_of_other_incidents(night: World) -> None:
    page = Browser(night).get("/ack/named?lang=en").text
    others = [one for one in night.known.values() if one.id != 3]
    assert others
    assert not [one.id for one in others if f"/incidents/{one.id}" in page]
    assert "(1)" not in page


def test_an_address_that_cannot_be_a_link_is_refused_unread(night: World) -> None:
    answer = Browser(night).get("/ack/" + "x" * 1000)
    assert answer.status_code == 422
    assert "/incidents" not in answer.text


def test_when_the_store_is_away_the_page_says_so(night: World) -> None:
    night.broken = "the database could not be read"
    assert Browser(night).get("/ack/named").status_code == 503
