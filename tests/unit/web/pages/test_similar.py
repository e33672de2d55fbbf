"""An incident shows what happened to the same component before, in both languages."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World

from tillwatch.model.incident import IncidentState


@pytest.mark.parametrize(
    ("language", "heading", "ending"),
    [("en", "It happened here before", "ended by itself"), ("zh-CN", "以前的同类事件", "自行恢复")],
)
def test_earlier_incidents_of_the_component_are_linked(
    bad_night: World, language: str, heading: str, ending: str
) -> None:
    now = bad_night.open_incidents()[0]
    opened = now.opened_at - timedelta(days=3)
    past = replace(
        now, id=9001, state=IncidentState.RESOLVED, opened_at=opened, resolved_at=opened + timedelta(minutes=22)
    )
    browser = Browser(bad_night)
    assert heading not in browser.get(f"/incidents/{now.id}?lang={language}").text
    bad_night.known[past.id] = past
    shown = browser.get(f"/incidents/{now.id}?lang={language}").text
    assert heading in shown
    assert ending in shown
    assert 'href="/incidents/9001"' in shown
