"""What the calendar makes of an alert on its way in: severity, route, and the reason in the timeline."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from tests.support.incidents import GROUP_WAIT, Router, alert
from tests.support.people import people

from tillwatch.clock import ManualClock
from tillwatch.config.schema import Calendar, Site, Window
from tillwatch.model.incident import Severity
from tillwatch.store import incidents
from tillwatch.store.db import Database

Make = Callable[..., Router]
SHOP = {"interface": "stock-chaoyang", "site": "chaoyang"}
SALE = Window(id="double-11", hours="10:00-12:00", severity="raise", matchers=('site="chaoyang"',))


def adjusted(router: Router, id: int = 1) -> list[dict[str, object]]:
    with router.database.read() as connection:
        return [dict(one.data) for one in incidents.timeline(connection, id) if one.kind == "severity_adjusted"]


def test_in_a_freeze_a_warning_is_a_critical_incident_and_takes_the_critical_route(
    sqlite_database: Database, make_router: Make
) -> None:
    router = make_router(sqlite_database, replace(people(), windows=(SALE,)))
    router.fire(alert("SyncStale", router.clock.now(), **SHOP))
    router.fire(alert("HostSaturated", router.clock.now(), system="hq-server", site="hq"))
    assert [one.severity for one in router.incidents()] == [Severity.CRITICAL, Severity.WARNING]
    assert adjusted(router) == [{"stated": "warning", "severity": "critical", "calendar": ["double-11"]}]
    assert adjusted(router, 2) == []
    assert [channel for _, channel, _ in router.told(1)] == ["group", "li-phone"]
    assert [channel for _, channel, _ in router.told(2)] == ["inbox"]


def test_an_incident_that_is_open_when_a_freeze_begins_is_raised_by_the_next_news(
    sqlite_database: Database, make_router: Make, clock: ManualClock
) -> None:
    later = SALE.model_copy(update={"hours": "12:00-13:00"})
    router = make_router(sqlite_database, replace(people(), windows=(later,)))
    began = clock.now()
    router.fire(alert("SyncStale", began, **SHOP))
    assert router.incident().severity is Severity.WARNING
    clock.advance(timedelta(hours=1, minutes=30).total_seconds())
    router.fire(alert("SyncStale", began, cause="backlog", **SHOP))
    assert router.incident().severity is Severity.CRITICAL
    assert "severity_raised" in router.kinds()
    clock.advance(GROUP_WAIT.total_seconds())
    assert ("opened", "li-phone", "li") in router.told()


def test_a_closed_shop_counts_one_step_less(sqlite_database: Database, make_router: Make, clock: ManualClock) -> None:
    config = people()
    sites = (config.sites[0], Site(id="chaoyang", hours="09:00-22:00"))
    router = make_router(sqlite_database, replace(config, sites=sites, calendar=Calendar(closed="lower")))
    clock.advance(timedelta(hours=12).total_seconds())  # 23:00 in Shanghai
    router.fire(alert("SyncStale", clock.now(), severity="critical", **SHOP))
    assert router.incident().severity is Severity.WARNING
    assert adjusted(router) == [{"stated": "critical", "severity": "warning", "calendar": ["closed"]}]
    assert [channel for _, channel, _ in router.told()] == ["inbox"]
