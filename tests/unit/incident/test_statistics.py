"""Times to acknowledge and to resolve, and pages that were worth getting, counted from a real store."""

from datetime import timedelta

import pytest
from tests.support.incidents import GROUP_WAIT, Router, alert

from tillwatch.incident.statistics import ACTED_WITHIN, Statistics, statistics
from tillwatch.model.incident import Severity
from tillwatch.model.notice import Attempt
from tillwatch.store import outbox
from tillwatch.store import statistics as counted


def send_everything(router: Router) -> None:
    """What is due is delivered at once, as a worker would."""
    now = router.clock.now()
    attempt = Attempt(number=1, at=now, result="delivered", code="200", detail="", seconds=0.0, possible_repeat=False)
    for record in router.database.write(lambda c: outbox.claim(c, "w", now, timedelta(minutes=1), 100, per_channel=9)):
        router.database.write(lambda c, record=record: outbox.delivered(c, record, attempt, "w"))  # type: ignore[misc]


def count(router: Router, days: int = 30) -> Statistics:
    since = router.clock.now() - timedelta(days=days)
    with router.database.read() as connection:
        return statistics(
            since,
            counted.cases(connection, since),
            counted.pages(connection, since),
            counted.actions(connection, since),
        )


def test_an_acknowledgement_soon_after_a_page_makes_it_worth_it(router: Router) -> None:
    began = router.clock.now()
    router.fire(alert("InterfaceDown", began, system="erp", site="hq", severity="critical"))
    router.clock.advance(GROUP_WAIT.total_seconds())
    send_everything(router)
    router.clock.advance(235)
    router.desk.acknowledge(1, "li")
    router.clock.advance(360)
    ended = router.clock.now()
    router.fire(alert("InterfaceDown", began, ends_at=ended, system="erp", site="hq", severity="critical"))
    found = count(router)
    assert (found.overall.incidents, found.overall.mtta_seconds, found.overall.mttr_seconds) == (1, 240.0, 600.0)
    assert (found.pages, found.acted) == (1, 1)
    assert found.by_severity[Severity.CRITICAL].acknowledged == 1
    assert found.by_severity[Severity.WARNING].mtta_seconds is None


def test_a_page_nobody_reacts_to_was_not(router: Router) -> None:
    router.fire(alert("SyncStale", router.clock.now(), interface="orders-chaoyang", site="chaoyang"))
    router.clock.advance(GROUP_WAIT.total_seconds())
    send_everything(router)
    router.clock.advance(ACTED_WITHIN.total_seconds() + 1)
    router.desk.note(1, "li", "only now")
    found = count(router)
    assert (found.pages, found.acted, found.overall.acknowledged) == (1, 0, 0)


def test_messages_that_were_taken_back_and_incidents_of_another_time_do_not_count(router: Router) -> None:
    began = router.clock.now()
    router.fire(alert("InterfaceDown", began, system="erp", site="hq"))
    router.clock.advance(1)
    router.fire(alert("InterfaceDown", began, ends_at=router.clock.now(), system="erp", site="hq"))
    assert (count(router).pages, count(router).overall.incidents) == (0, 1)
    router.clock.advance(timedelta(days=31).total_seconds())
    assert count(router).overall.incidents == 0


@pytest.mark.parametrize("late", [timedelta(0), ACTED_WITHIN])
def test_the_hour_is_counted_from_the_page(late: timedelta, router: Router) -> None:
    now = router.clock.now()
    pages = [counted.Page(incident=1, person="li", at=now)]
    found = statistics(now, [], pages, [counted.Action(incident=1, at=now + late)])
    assert (found.acted, found.by_person[0].person) == (1, "li")
