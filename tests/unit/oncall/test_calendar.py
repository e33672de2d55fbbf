"""The calendar: what the same trouble is worth now, who may sleep, and whether runbooks may start by themselves."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tillwatch.config.schema import Calendar, Site, Window
from tillwatch.model.incident import Severity
from tillwatch.oncall.calendar import StoreCalendar

SHANGHAI = ZoneInfo("Asia/Shanghai")
SITES = {"chaoyang": Site(id="chaoyang", hours="09:00-22:00"), "hq": Site(id="hq")}
SHOP = {"alertname": "SyncStale", "site": "chaoyang"}


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=SHANGHAI)  # type: ignore[arg-type, misc]


def calendar(*windows: Window, **declared: object) -> StoreCalendar:
    return StoreCalendar(
        calendar=Calendar(**declared),  # type: ignore[arg-type]
        windows=windows,
        sites=SITES,
        zone=SHANGHAI,
    )


SALE = Window(
    id="double-11",
    from_=datetime(2026, 11, 10, 20),  # noqa: DTZ001 - without an offset, as people write it
    until=datetime(2026, 11, 12),  # noqa: DTZ001
    severity="raise",
    automatic_runs=False,
)


def test_during_a_declared_freeze_a_warning_is_critical_and_no_runbook_starts_by_itself() -> None:
    declared = calendar(SALE)
    before, during = at(2026, 11, 10, 19, 59), at(2026, 11, 10, 20)
    assert declared.judged(SHOP, Severity.WARNING, before).severity is Severity.WARNING
    judged = declared.judged(SHOP, Severity.WARNING, during)
    assert (judged.severity, judged.reasons) == (Severity.CRITICAL, ("double-11",))
    assert declared.automatic_runs_allowed(before) == (True, ())
    assert declared.automatic_runs_allowed(during) == (False, ("double-11",))


def test_a_closed_shop_is_worth_less_and_a_place_without_hours_never_closes() -> None:
    declared = calendar(closed="lower")
    night = at(2026, 9, 24, 23)
    assert declared.judged(SHOP, Severity.CRITICAL, night).severity is Severity.WARNING
    assert declared.judged({"site": "hq"}, Severity.CRITICAL, night).severity is Severity.CRITICAL
    assert declared.judged(SHOP, Severity.CRITICAL, at(2026, 9, 24, 12)).severity is Severity.CRITICAL


def test_raising_beats_lowering() -> None:
    lower = Window(id="stock-taking", days=("tue", "wed"), severity="lower")
    declared = calendar(lower, SALE, closed="lower")
    assert declared.judged(SHOP, Severity.WARNING, at(2026, 11, 10, 23)).severity is Severity.CRITICAL
    assert declared.judged(SHOP, Severity.WARNING, at(2026, 11, 10, 12)).severity is Severity.INFO


@pytest.mark.parametrize(
    ("day", "holds"), [((2026, 2, 26), False), ((2026, 2, 27), True), ((2026, 2, 28), True), ((2026, 3, 1), False)]
)
def test_the_last_days_of_a_month_are_counted_from_its_end(day: tuple[int, int, int], holds: bool) -> None:
    closing = Window(id="month-end", month_end=2, hours="18:00-23:00")
    assert calendar().holds(closing, at(*day, 19)) is holds
    assert not calendar().holds(closing, at(*day, 12))


def test_a_window_is_only_for_what_its_matchers_match() -> None:
    money = Window(id="month-end", month_end=3, matchers=('alertname="Drift"',), severity="raise")
    last = at(2026, 9, 30, 12)
    assert calendar(money).judged({"alertname": "Drift"}, Severity.WARNING, last).severity is Severity.CRITICAL
    assert calendar(money).judged(SHOP, Severity.WARNING, last).severity is Severity.WARNING


def test_what_is_not_critical_waits_for_the_morning_and_what_is_critical_does_not() -> None:
    declared = calendar(quiet_hours="22:00-08:00")
    assert declared.held(Severity.WARNING, at(2026, 9, 24, 23)) == at(2026, 9, 25, 8)
    assert declared.held(Severity.WARNING, at(2026, 9, 25, 3)) == at(2026, 9, 25, 8)
    assert declared.held(Severity.WARNING, at(2026, 9, 25, 8)) == at(2026, 9, 25, 8)
    assert declared.held(Severity.CRITICAL, at(2026, 9, 25, 3)) == at(2026, 9, 25, 3)


def test_working_weekends_are_working_days_for_a_window() -> None:
    office = Window(id="office", days=("workday",), hours="09:00-18:00")
    assert calendar(holidays="china").holds(office, at(2026, 2, 14, 12))
    assert not calendar(holidays="china").holds(office, at(2026, 2, 17, 12))
