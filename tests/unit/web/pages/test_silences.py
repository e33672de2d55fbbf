"""The silences page: what is muted and why, a form with a preview, all without a script."""

from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.support.web_client import Browser
from tests.support.web_silences import IN_FORCE, OVER, TO_COME, add_silences
from tests.support.web_world import World

from tillwatch.alerting.silences import Draft

SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW = {"actor": "ann", "matchers": 'system="erp"', "comment": "upgrade", "duration": "2h"}


@pytest.fixture
def muted(bad_night: World) -> World:
    return add_silences(bad_night)


def _draft(world: World) -> Draft:
    [(what, draft, _)] = world.orders
    assert (what, type(draft)) == ("set_silence", Draft)
    assert isinstance(draft, Draft)
    return draft


def test_silences_stand_by_state_with_reason_person_and_what_they_match_now(muted: World) -> None:
    page = Browser(muted).get("/silences?lang=en").text
    order = [page.index(word) for word in ("In force", "王芳", "To come", "stock-taking", "Ended", "memory test")]
    assert order == sorted(order)
    assert "ends in 60 min" in page
    assert '1 alert</span> <a href="/incidents/3">#3</a>' in page


def test_a_chain_without_silences_says_that_every_alert_is_told(calm_chain: World) -> None:
    assert "当前没有静默" in Browser(calm_chain).get("/silences?lang=zh-CN").text


def test_the_preview_counts_alerts_and_names_incidents_before_anything_is_set(muted: World) -> None:
    page = Browser(muted).get('/silences/new?matchers=system%3D"erp"&comment=upgrade&duration=4h&lang=en').text
    assert "Matches 2 live alerts." in page
    assert "ERP (Tryton) is down" in page
    assert "Incident 3 · all 2 of its alerts: quiet" in page
    assert '<option value="4h" selected>' in page
    assert ">upgrade</textarea>" in page
    assert muted.orders == []


def test_a_preview_says_what_is_wrong_with_a_matcher(muted: World) -> None:
    page = Browser(muted).get("/silences/new?matchers=site%3D~%22(%22&lang=en")
    assert page.status_code == 200
    assert "not a regular expression" in page.text


def test_a_silence_runs_from_now_for_the_chosen_time(muted: World) -> None:
    answer = Browser(muted).submit("/silences/new", "/silences", NEW)
    assert (answer.status_code, answer.headers["location"]) == (303, "/silences?done=silenced")
    draft = _draft(muted)
    assert [str(one) for one in draft.matchers] == ['system="erp"']
    assert (draft.created_by, draft.comment) == ("ann", "upgrade")
    assert (draft.starts_at, draft.ends_at) == (muted.clock.now(), muted.clock.now() + timedelta(hours=2))


def test_start_and_end_are_times_of_the_chain(muted: World) -> None:
    times = {"start": "2026-11-24T22:30", "end": "2026-11-25T02:00:30"}
    Browser(muted).submit("/silences/new", "/silences", NEW | times)
    draft = _draft(muted)
    assert draft.starts_at == datetime(2026, 11, 24, 22, 30, tzinfo=SHANGHAI)
    assert draft.ends_at == datetime(2026, 11, 25, 2, 0, 30, tzinfo=SHANGHAI)


def test_matchers_may_stand_a_line_each_or_in_braces_as_alertmanager_writes_them(muted: World) -> None:
    Browser(muted).submit("/silences/new", "/silences", NEW | {"matchers": '{a="1,\\"2", b=~"x|y"}\n\n c!="3" '})
    assert [str(one) for one in _draft(muted).matchers] == ['a="1,\\"2"', 'b=~"x|y"', 'c!="3"']


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"matchers": "nonsense"}, "is not a matcher"),
        ({"comment": " "}, "Write why"),
        ({"end": "tomorrow"}, "is not a time"),
        ({"duration": "9y"}, "no duration of the form"),
        ({"matchers": "\n".join(f'a="{n}"' for n in range(51))}, "51 matchers; at most 50"),
    ],
)
def test_a_wrong_form_comes_back_with_the_reason_and_everything_typed(
    muted: World, wrong: dict[str, str], said: str
) -> None:
    answer = Browser(muted).submit("/silences/new?lang=en", "/silences", NEW | wrong)
    assert answer.status_code == 422
    assert said in answer.text
    assert 'name="actor" value="ann"' in answer.text
    assert '<option value="2h" selected>' in answer.text or "duration" in wrong
    assert muted.orders == []


def test_a_silence_needs_a_name(muted: World) -> None:
    assert Browser(muted).submit("/silences/new", "/silences", NEW | {"actor": ""}).status_code == 422
    assert muted.orders == []


def test_changing_the_end_of_what_is_in_force_keeps_its_start(muted: World) -> None:
    browser, before = Browser(muted), muted.silences[IN_FORCE]
    page = browser.get(f"/silences/{IN_FORCE}/edit?lang=en").text
    assert 'name="start"' not in page
    assert "probe=&#34;erp-api&#34;" in page
    later = (before.ends_at + timedelta(hours=1)).astimezone(SHANGHAI).strftime("%Y-%m-%dT%H:%M")
    browser.submit(f"/silences/{IN_FORCE}/edit", "/silences", NEW | {"id": IN_FORCE, "end": later})
    [(_, draft, id)] = muted.orders
    assert isinstance(draft, Draft)
    assert (id, draft.starts_at) == (IN_FORCE, before.starts_at)


def test_one_to_come_is_changed_with_its_own_start(muted: World) -> None:
    page = Browser(muted).get(f"/silences/{TO_COME}/edit?lang=en").text
    start = muted.silences[TO_COME].starts_at.astimezone(SHANGHAI).strftime("%Y-%m-%dT%H:%M")
    assert f'name="start" value="{start}"' in page
    assert f'name="id" value="{TO_COME}"' in page


def test_one_that_is_over_is_offered_again_as_a_new_one(muted: World) -> None:
    page = Browser(muted).get(f"/silences/{OVER}/edit?lang=en").text
    assert "HostSaturated" in page
    assert 'name="id"' not in page


def test_ending_a_silence_is_one_button(muted: World) -> None:
    answer = Browser(muted).submit("/silences", f"/silences/{IN_FORCE}/expire", {})
    assert answer.headers["location"] == "/silences?done=unsilenced"
    assert muted.orders == [("expire_silence", IN_FORCE)]


def test_a_maintenance_window_is_listed_and_has_no_buttons(muted: World) -> None:
    window = replace(muted.silences[IN_FORCE], id="maintenance:backup", created_by="alerts/routes.yaml")
    muted.silences = {window.id: window}
    page = Browser(muted).get("/silences?lang=en").text
    assert "maintenance window" in page
    assert "alerts/routes.yaml" in page
    assert "/edit" not in page and "/expire" not in page


@pytest.mark.parametrize("path", ["/silences/nobody/edit", "/silences/new?incident=999"])
def test_what_is_not_there_is_a_404(muted: World, path: str) -> None:
    assert Browser(muted).get(path).status_code == 404
    assert Browser(muted).submit("/silences", "/silences/nobody/expire", {}).status_code == 404


def test_an_incident_leads_to_a_silence_of_its_alerts_and_names_the_one_in_force(muted: World) -> None:
    browser = Browser(muted)
    incident = browser.get("/incidents/3?lang=en").text
    assert 'href="/silences/new?incident=3"' in incident
    assert "1 of 2 live alerts silenced by 王芳 until" in incident
    form = browser.get("/silences/new?incident=3&lang=en").text
    assert "system=&#34;erp&#34;" in form
    assert "Matches 2 live alerts." in form
    assert ">Incident 3</textarea>" in form
