"""When an audit is due: its cron and the shop's calendar at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.audits import ZONE, chain, stock_audit

from tillwatch.audit.timetable import next_instant, timetable, timetables
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Calendar, Site, When, Window
from tillwatch.errors import UsageError
from tillwatch.oncall.calendar import StoreCalendar
from tillwatch.schedule import GRACE, HORIZON, Due, DueReason, next_due, parse_schedule

FREEZE = Window(
    id="double-11",
    from_=datetime(2026, 11, 10, 20, tzinfo=ZONE),
    until=datetime(2026, 11, 12, tzinfo=ZONE),
    automatic_runs=False,
)
MONTH_END = Window(id="month-end", month_end=2, hours="18:00-24:00")
NIGHT = Window(id="night", days=("fri", "sat"), hours="22:00-06:00")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "workday", "holiday")


def config(schedule: str = "30 2 * * *", when: When | None = None, hours: str = "09:00-22:00") -> ChainConfig:
    spec = stock_audit(interface="stock-chaoyang", schedule=schedule, when=when)
    sites = (Site(id="hq"), Site(id="chaoyang", hours=hours))
    windows = (FREEZE, MONTH_END, NIGHT)
    return replace(chain(spec), sites=sites, windows=windows, calendar=Calendar(holidays="china"))


def due(config: ChainConfig, *after: int) -> str:
    found = next_instant(config.audits[0], config, datetime(*after, tzinfo=ZONE))  # type: ignore[arg-type, misc]
    return "never" if found is None else f"{found.astimezone(ZONE):%a %m-%d %H:%M}"


@pytest.mark.parametrize(
    ("schedule", "when", "after", "expected"),
    [
        ("30 2 * * *", None, (2026, 11, 24, 12), "Wed 11-25 02:30"),
        ("30 2 * * *", {"days": ("sun",)}, (2026, 11, 24, 12), "Sun 11-29 02:30"),
        # The National Day holidays of 2026: the first seven days of October.
        ("30 2 * * *", {"days": ("workday",)}, (2026, 9, 30, 12), "Thu 10-08 02:30"),
        ("*/15 * * * *", {"shop": "open"}, (2026, 11, 24, 21, 45), "Wed 11-25 09:00"),
        ("*/15 * * * *", {"shop": "closed"}, (2026, 11, 24, 8, 45), "Tue 11-24 22:00"),
        ("0 * * * *", {"not_in": ("double-11",)}, (2026, 11, 10, 19), "Thu 11-12 00:00"),
        ("0 * * * *", {"not_in": ("month-end",)}, (2026, 11, 29, 17), "Mon 11-30 00:00"),
        ("0 * * * *", {"not_in": ("night",)}, (2026, 11, 27, 21), "Sat 11-28 06:00"),
        ("0 20 * * *", {"shop": "open", "days": ("workday",), "not_in": ("double-11",)}, (2026, 11, 9, 21), "Thu 11-12 20:00"),
        ("30 2 * * *", {"shop": "open"}, (2026, 11, 24, 12), "never"),
    ],
)  # fmt: skip
def test_it_is_due_at_the_first_instant_of_its_cron_that_the_calendar_allows(
    schedule: str, when: dict[str, Any] | None, after: tuple[int, ...], expected: str
) -> None:
    assert due(config(schedule, When(**when) if when else None), *after) == expected


#: As far as the plain way goes: three days of the most frequent schedule, and years of the rarest.
SLOTS_WALKED = 300
WHEN = st.builds(
    When,
    days=st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True).map(tuple),
    shop=st.sampled_from(["any", "open", "closed"]),
    not_in=st.lists(st.sampled_from(["double-11", "month-end", "night"]), max_size=3, unique=True).map(tuple),
)
START = datetime(2026, 11, 7, tzinfo=UTC)
INSTANTS = st.integers(0, 24 * 86_400).map(lambda seconds: START + timedelta(seconds=seconds))
SCHEDULES = st.sampled_from(["*/7 * * * *", "0 */3 * * *", "59 21 * * *", "0 9 * * 1", "0 0 1 * *", "@every 13m"])
HOURS = st.sampled_from(["09:00-22:00", "18:00-02:00", "00:00-24:00"])


@settings(max_examples=40)
@given(SCHEDULES, WHEN, HOURS, INSTANTS)
def test_the_next_instant_is_the_first_allowed_one_however_it_is_looked_for(
    schedule: str, when: When, hours: str, after: datetime
) -> None:
    """Against the plain way: every slot of the schedule one after the other."""
    chain = config(schedule, when, hours)
    found = timetable(chain.audits[0], chain).first_after(after, "stock")
    plain, sieve, slot = parse_schedule(schedule, ZONE), timetable(chain.audits[0], chain), after
    for _ in range(SLOTS_WALKED):
        slot = plain.first_after(slot, "stock")
        if slot - after > HORIZON:
            break
        if sieve.allows(slot):  # type: ignore[union-attr]
            assert found == slot
            return
        assert found > slot
    else:
        return
    assert found - after > HORIZON


@settings(max_examples=40)
@given(SCHEDULES, WHEN, HOURS, INSTANTS, st.integers(0, 10 * 86_400))
def test_nothing_runs_at_a_time_the_calendar_does_not_allow(
    schedule: str, when: When, hours: str, last: datetime, later: int
) -> None:
    chain = config(schedule, when, hours)
    sieve, now = timetable(chain.audits[0], chain), last + timedelta(seconds=later)
    found = next_due(sieve, "stock", last, now)
    if found.run:
        assert sieve.allows(now) or now - sieve.first_after(last, "stock") <= GRACE  # type: ignore[union-attr]
    else:
        assert found.at > now


@given(INSTANTS)
def test_between_two_changes_the_calendar_says_the_same(at: datetime) -> None:
    calendar = StoreCalendar.of(config())
    change = calendar.next_change(at)
    assert at < change <= at + timedelta(days=1)

    def says(instant: datetime) -> tuple[object, ...]:
        return (calendar.is_open("chaoyang", instant), *(calendar.holds(one, instant) for one in calendar.windows))

    for share in (0.25, 0.5, 0.99):
        assert says(at + (change - at) * share) == says(at)


def test_a_slot_that_passed_while_nobody_looked_waits_until_the_calendar_allows_it() -> None:
    chain = config("30 2 * * *", When(shop="closed"))
    sieve = timetable(chain.audits[0], chain)
    last = datetime(2026, 11, 23, 2, 30, tzinfo=ZONE)

    def at(hour: int, minute: int = 0) -> Due:
        return next_due(sieve, "stock", last, datetime(2026, 11, 24, hour, minute, tzinfo=ZONE))

    assert (at(10).run, at(10).reason) == (False, DueReason.OUTSIDE)
    assert at(10).at == datetime(2026, 11, 25, 2, 30, tzinfo=ZONE)
    assert at(22).run


def test_a_worker_that_was_busy_for_a_moment_still_answers_the_slot() -> None:
    chain = config("59 21 * * *", When(shop="open"))
    sieve, slot = timetable(chain.audits[0], chain), datetime(2026, 11, 24, 21, 59, tzinfo=ZONE)
    assert next_due(sieve, "stock", slot - timedelta(days=1), slot + GRACE).run
    assert not next_due(sieve, "stock", slot - timedelta(days=1), slot + GRACE + timedelta(seconds=1)).run


def test_a_schedule_that_no_calendar_allows_is_looked_for_within_bounds() -> None:
    chain = config("* * * * *", When(days=("sun",), not_in=("double-11",)))
    after = datetime(2026, 11, 24, tzinfo=ZONE)
    never = replace(chain, audits=(chain.audits[0].model_copy(update={"when": When(days=("mon",), shop="closed")}),),
                    sites=(Site(id="chaoyang", hours="00:00-24:00"),))  # fmt: skip
    assert next_instant(chain.audits[0], chain, after) == datetime(2026, 11, 29, tzinfo=ZONE)
    assert next_instant(never.audits[0], never, after) is None
    assert timetable(never.audits[0], never).first_after(after, "stock") - after > HORIZON


def test_opening_hours_that_nobody_declared_are_refused_with_the_place() -> None:
    closed = config(when=When(shop="closed"), hours="")
    with pytest.raises(UsageError, match=r"audit 'stock': when.shop: closed: site 'chaoyang' has no opening hours"):
        timetables(closed)
    with pytest.raises(ValidationError, match="say when: days, shop or not_in"):
        When()
