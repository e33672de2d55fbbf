"""Whose turn it is: rotations, hand-over, restrictions, overrides, and clocks that change."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.config.schema import Override, Restriction, Rota, Rotation
from tillwatch.oncall.outlook import merged, outlook
from tillwatch.oncall.rota import Schedule, Why

SHANGHAI, NEW_YORK, LORD_HOWE = (
    ZoneInfo(name) for name in ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe")
)
MONDAY = date(2026, 1, 5)


def schedule(
    *rotations: Rotation, zone: ZoneInfo = SHANGHAI, overrides: tuple[Override, ...] = (), holidays: str = "none"
) -> Schedule:
    return Schedule(rota=Rota(id="primary", rotations=rotations), overrides=overrides, zone=zone, holidays=holidays)


def weekly(*members: str, **more: object) -> Rotation:
    return Rotation(start=MONDAY, members=members, **more)  # type: ignore[arg-type]


def local(zone: ZoneInfo, *parts: int) -> datetime:
    return datetime(*parts, tzinfo=zone)  # type: ignore[arg-type, misc]


def test_the_first_member_begins_at_hand_over_and_nobody_before() -> None:
    primary = schedule(weekly("li", "wang"))
    before = primary.who(local(SHANGHAI, 2026, 1, 5, 8, 59))
    assert (before.person, before.why) == ("", Why.NOT_BEGUN)
    assert primary.who(local(SHANGHAI, 2026, 1, 5, 9)).person == "li"
    assert primary.who(local(SHANGHAI, 2026, 1, 12, 8, 59)).person == "li"
    assert primary.who(local(SHANGHAI, 2026, 1, 12, 9)).person == "wang"
    assert primary.who(local(SHANGHAI, 2026, 1, 19, 9)).person == "li"


def test_a_day_of_23_or_25_hours_is_still_one_turn() -> None:
    daily = schedule(weekly("li", "wang", every="daily"), zone=NEW_YORK)
    turns = daily.turns(local(NEW_YORK, 2026, 3, 7, 9), local(NEW_YORK, 2026, 3, 10, 9))
    assert [one.ends - one.begins for one in turns] == [timedelta(hours=23), timedelta(hours=24), timedelta(hours=24)]
    assert [one.begins.astimezone(NEW_YORK).hour for one in turns] == [9, 9, 9]
    turns = daily.turns(local(NEW_YORK, 2026, 10, 31, 9), local(NEW_YORK, 2026, 11, 2, 9))
    assert [one.ends - one.begins for one in turns] == [timedelta(hours=25), timedelta(hours=24)]


def test_a_hand_over_that_the_clocks_skip_comes_once() -> None:
    skipped = schedule(weekly("li", "wang", every="daily", handover="02:30"), zone=NEW_YORK)
    turns = skipped.turns(local(NEW_YORK, 2026, 3, 7, 12), local(NEW_YORK, 2026, 3, 9, 12))
    assert [one.person for one in turns] in (["li", "wang", "li"], ["wang", "li", "wang"])
    assert turns[1].begins == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)


def test_the_later_of_two_overrides_counts_and_ends_on_time() -> None:
    overrides = (
        Override(rota="primary", person="zhao", from_=datetime(2026, 1, 6), until=datetime(2026, 1, 8)),  # noqa: DTZ001
        Override(rota="primary", person="qian", from_=datetime(2026, 1, 7), until=datetime(2026, 1, 7, 12)),  # noqa: DTZ001
    )
    primary = schedule(weekly("li"), overrides=overrides)
    found = [
        (one.person, one.why) for one in primary.turns(local(SHANGHAI, 2026, 1, 5, 9), local(SHANGHAI, 2026, 1, 9))
    ]
    assert found == [
        ("li", Why.ROTATION),
        ("zhao", Why.OVERRIDE),
        ("qian", Why.OVERRIDE),
        ("zhao", Why.OVERRIDE),
        ("li", Why.ROTATION),
    ]


def test_restricted_hours_leave_a_gap_that_the_next_rotation_fills() -> None:
    office = weekly("li", restrictions=(Restriction(days=("workday",), hours="09:00-18:00"),))
    alone, covered = schedule(office), schedule(office, weekly("wang"))
    noon, night = local(SHANGHAI, 2026, 1, 6, 12), local(SHANGHAI, 2026, 1, 6, 20)
    assert (alone.who(noon).person, alone.who(night).person, alone.who(night).why) == ("li", "", Why.OUTSIDE_HOURS)
    assert (covered.who(noon).person, covered.who(night).person) == ("li", "wang")


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    nights = schedule(weekly("li", restrictions=(Restriction(days=("fri",), hours="22:00-08:00"),)))
    assert nights.who(local(SHANGHAI, 2026, 1, 10, 7)).person == "li"
    assert nights.who(local(SHANGHAI, 2026, 1, 9, 7)).person == ""


def test_workdays_follow_the_public_holidays_and_the_weekends_that_make_up_for_them() -> None:
    office = weekly("li", restrictions=(Restriction(days=("workday",)),))
    spring_festival, make_up_saturday = local(SHANGHAI, 2026, 2, 17, 12), local(SHANGHAI, 2026, 2, 14, 12)
    china, plain = schedule(office, holidays="china"), schedule(office)
    assert (china.who(spring_festival).person, china.who(make_up_saturday).person) == ("", "li")
    assert (plain.who(spring_festival).person, plain.who(make_up_saturday).person) == ("li", "")


def test_the_next_person_is_somebody_else_even_when_one_member_has_two_turns_in_a_row() -> None:
    view = outlook(schedule(weekly("li", "li", "wang")), local(SHANGHAI, 2026, 1, 6))
    assert (view.now.person, view.now.ends) == ("li", local(SHANGHAI, 2026, 1, 19, 9))
    assert view.next is not None and view.next.person == "wang"


MEMBERS = st.lists(st.sampled_from(["li", "wang", "zhao"]), min_size=1, max_size=3).map(tuple)
TIMES = st.times().map(lambda at: f"{at.hour:02}:{at.minute:02}")
HOURS = st.tuples(TIMES, TIMES).map("-".join)
DAYS = st.lists(st.sampled_from(["mon", "tue", "sat", "sun", "workday", "holiday"]), max_size=2).map(tuple)
RESTRICTIONS = st.lists(st.builds(Restriction, days=DAYS, hours=HOURS), max_size=2).map(tuple)
ROTATIONS = st.lists(
    st.builds(
        Rotation,
        every=st.sampled_from(["daily", "weekly"]),
        start=st.dates(date(2026, 1, 1), date(2026, 11, 10)),
        handover=TIMES,
        members=MEMBERS,
        restrictions=RESTRICTIONS,
    ),
    min_size=1,
    max_size=3,
)
#: Moments around changes of clocks: New York's in March and November, Lord Howe's half hour in April and October.
MOMENTS = st.sampled_from([datetime(2026, 3, 8), datetime(2026, 11, 1), datetime(2026, 4, 5), datetime(2026, 10, 4)])  # noqa: DTZ001
OVERRIDES = st.lists(
    st.tuples(MOMENTS, st.integers(-3000, 3000), st.integers(1, 3000)).map(
        lambda given: Override(
            rota="primary",
            person="qian",
            from_=given[0] + timedelta(minutes=given[1]),
            until=given[0] + timedelta(minutes=given[1] + given[2]),
        )
    ),
    max_size=2,
).map(tuple)


@given(
    rotations=ROTATIONS,
    overrides=OVERRIDES,
    zone=st.sampled_from([SHANGHAI, NEW_YORK, LORD_HOWE]),
    around=MOMENTS,
    offsets=st.lists(st.integers(0, 6 * 24 * 60 - 1), min_size=1, max_size=8),
)
def test_turns_follow_each_other_without_a_hole_and_say_the_same_as_who_at_every_moment(
    rotations: list[Rotation],
    overrides: tuple[Override, ...],
    zone: ZoneInfo,
    around: datetime,
    offsets: list[int],
) -> None:
    primary = schedule(*rotations, zone=zone, overrides=overrides, holidays="china")
    begins = (around - timedelta(days=3)).replace(tzinfo=UTC)
    ends = begins + timedelta(days=6)
    turns = primary.turns(begins, ends)
    assert (turns[0].begins, turns[-1].ends) == (begins, ends)
    assert all(one.ends == following.begins for one, following in pairwise(turns))
    for minutes in offsets:
        at = begins + timedelta(minutes=minutes)
        said = primary.who(at)
        [turn] = [one for one in turns if one.begins <= at < one.ends]
        assert (turn.person, turn.why) == (said.person, said.why)
    assert sum((one.ends - one.begins for one in merged(turns)), timedelta()) == ends - begins


@pytest.mark.parametrize("zone", [SHANGHAI, NEW_YORK, LORD_HOWE], ids=str)
def test_over_a_year_everybody_has_their_turns_in_order(zone: ZoneInfo) -> None:
    daily = schedule(weekly("li", "wang", "zhao", every="daily", handover="02:15"), zone=zone)
    turns = daily.turns(local(zone, 2026, 1, 5, 2, 15), local(zone, 2027, 1, 5, 2, 15))
    assert [one.person for one in turns] == [("li", "wang", "zhao")[day % 3] for day in range(365)]
