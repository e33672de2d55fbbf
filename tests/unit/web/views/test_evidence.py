"""Evidence comes from outside and from older versions: what fits is shown, what does not is left out."""

from dataclasses import replace

import pytest
from tests.support.web_client import Browser
from tests.support.web_night import night_world

from tillwatch.clock import ManualClock
from tillwatch.web.language import ENGLISH, Texts
from tillwatch.web.views.evidence import evidence_view


def test_the_checks_before_the_alert_are_drawn_oldest_on_the_left() -> None:
    world = night_world(ManualClock())
    [down, *_] = [one for one in world.alerts if "history" in one.evidence]
    view = evidence_view(down, Texts(language=ENGLISH))
    assert len(view.history) == 40
    assert [bar.failed for bar in view.history[-4:]] == [False, True, True, True]
    page = Browser(world).get("/incidents/3?lang=en").text
    assert "The 40 checks before" in page


@pytest.mark.parametrize(
    "history", ["text", [1, 2], [{"outcome": "ok"}], [{"outcome": "?", "started_at": "x", "seconds": 1}], None, {}]
)
def test_a_history_of_another_shape_is_left_out(history: object) -> None:
    world = night_world(ManualClock())
    strange = replace(world.alerts[0], evidence={"history": history})
    assert evidence_view(strange, Texts(language=ENGLISH)).history == ()
