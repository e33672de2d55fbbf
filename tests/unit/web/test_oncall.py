"""The on-call page, its feed and its statistics."""

from dataclasses import replace

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.config.schema import Calendar, Person, Restriction, Window


def test_the_page_names_who_has_the_phone_who_is_next_and_whom_the_policy_tells(bad_night: World) -> None:
    page = Browser(bad_night).get("/oncall?lang=en").text
    assert "Li Na" in page
    assert "Wang Wei" in page
    assert "Primary · Li Na" in page
    assert "Used by receiver On call" in page
    assert "Runbooks may start by themselves." in page


def test_an_empty_rota_is_loud_unless_it_may_be_empty(bad_night: World) -> None:
    [rota] = bad_night.config.rotas
    night = rota.rotations[0].model_copy(update={"restrictions": (Restriction(hours="22:00-08:00"),)})
    for may_be_empty, loud in ((False, True), (True, False)):
        empty = rota.model_copy(update={"rotations": (night,), "may_be_empty": may_be_empty})
        bad_night.config = replace(bad_night.config, rotas=(empty,))
        page = Browser(bad_night).get("/oncall?lang=en").text
        assert ('<dd class="loud">nobody' in page) is loud
        assert "who-gap" in page


def test_a_freeze_is_shown_with_its_name_and_forbids_automatic_runs(bad_night: World) -> None:
    freeze = Window(id="sale", name={"en": "Singles' Day", "zh": "双十一"}, hours="00:00-24:00", automatic_runs=False)
    quiet = Calendar(quiet_hours="09:00-18:00")
    bad_night.config = replace(bad_night.config, windows=(freeze,), calendar=quiet)
    browser = Browser(bad_night)
    page = browser.get("/oncall?lang=zh-CN").text
    assert "禁止预案自动执行：双十一" in page
    assert "免打扰至 18:00" in page
    assert browser.get("/api/v1/calendar").json() == {
        "quiet_until": "2026-11-24T10:00:00Z",
        "windows": ["sale"],
        "automatic_runs_allowed": False,
        "forbidden_by": ["sale"],
    }


def test_a_chain_without_rotas_says_where_they_are_declared(bad_night: World) -> None:
    bad_night.config = replace(bad_night.config, rotas=(), escalations=(), people=())
    assert "alerts/oncall.yaml" in Browser(bad_night).get("/oncall?lang=en").text


def test_the_feed_is_a_calendar_with_one_event_a_turn_and_short_lines(bad_night: World) -> None:
    people = (Person(id="li-na", name={"zh": "李娜，" + "很长的名字" * 12}), *bad_night.config.people[1:])
    bad_night.config = replace(bad_night.config, people=people)
    answer = Browser(bad_night).get("/oncall/primary.ics?lang=zh-CN")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    lines = answer.content.split(b"\r\n")
    assert max(map(len, lines)) <= 75
    text = answer.content.replace(b"\r\n ", b"").decode()
    assert text.count("BEGIN:VEVENT") == text.count("END:VEVENT") == 16
    assert "DTSTART:20261123T010000Z\r\nDTEND:20261130T010000Z" in text
    assert "SUMMARY:主值班: 王伟" in text
    assert "UID:primary-20261123T010000Z@demo.tillwatch" in text


def test_there_is_no_feed_of_a_rota_there_is_not(bad_night: World) -> None:
    assert Browser(bad_night).get("/oncall/nobody.ics").status_code == 404


def test_the_api_says_whose_turn_it_is_and_who_is_next(bad_night: World) -> None:
    [primary] = Browser(bad_night).get("/api/v1/oncall").json()
    assert (primary["person"], primary["until"], primary["next"]["person"]) == (
        "li-na",
        "2026-11-30T01:00:00Z",
        "wang-wei",
    )


@pytest.mark.parametrize(("language", "word"), [("en", "Led to an action"), ("zh-CN", "促成了处理")])
def test_statistics_show_how_many_pages_were_worth_it(bad_night: World, language: str, word: str) -> None:
    browser = Browser(bad_night)
    page = browser.get(f"/oncall/statistics?lang={language}").text
    assert word in page
    assert "3 / 4" in page
    document = browser.get("/api/v1/oncall/statistics").json()
    assert (document["pages"], document["pages_that_led_to_an_action"]) == (4, 3)
    assert document["overall"]["mtta_seconds"] == 13 * 60


def test_the_incident_says_who_was_told_and_who_is_next(bad_night: World) -> None:
    page = Browser(bad_night).get("/incidents/3?lang=en").text
    assert "Li Na was told through Operations inbox" in page
    assert "Escalation step 3: ERP integrator, through Operations inbox, unless somebody acknowledges" in page
    assert "nobody acknowledged in time" in page


def test_a_delivery_names_the_person_it_was_meant_for(bad_night: World) -> None:
    bad_night.sent[0] = replace(bad_night.sent[0], person="li-na")
    browser = Browser(bad_night)
    assert '<span class="tag">Li Na</span>' in browser.get("/deliveries?lang=en").text
    assert '<span class="tag">李娜</span>' in browser.get("/incidents/3?lang=zh-CN").text
    assert "li-na" in [one["person"] for one in browser.get("/api/v1/deliveries").json()]
