"""A maintenance window is a silence that comes again and again, by the wall clock of its zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.config.schema import Maintenance
from tillwatch.incident.maintenance import PREFIX, active

SHANGHAI = ZoneInfo("Asia/Shanghai")


def window(**more: object) -> Maintenance:
    values = {"id": "backup", "matchers": ('system="erp"',), "schedule": "30 2 * * *", "duration": timedelta(hours=2)}
    return Maintenance(**{**values, **more})  # type: ignore[arg-type]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("2026-11-24T02:29:59.999999", False),
        ("2026-11-24T02:30:00", True),
        ("2026-11-24T03:10:30", True),
        ("2026-11-24T04:29:59.999999", True),
        ("2026-11-24T04:30:00", False),
    ],
)
def test_it_holds_from_its_first_instant_until_before_its_last(when: str, holds: bool) -> None:
    assert bool(active([window()], SHANGHAI, at(when))) is holds


def test_it_reads_as_a_silence_with_its_own_beginning_and_end() -> None:
    [silence] = active([window(comment="nightly backup")], SHANGHAI, at("2026-11-24T03:00:00"))
    assert silence.id == PREFIX + "backup"
    assert (silence.starts_at, silence.ends_at) == (at("2026-11-24T02:30:00"), at("2026-11-24T04:30:00"))
    assert silence.comment == "nightly backup"
    assert silence.mutes({"system": "erp"}) and not silence.mutes({"system": "till"})


def test_a_window_over_midnight_holds_on_both_days() -> None:
    late = window(schedule="30 23 * * 6", duration=timedelta(hours=3))
    assert active([late], SHANGHAI, at("2026-11-29T01:00:00")), "Sunday night still belongs to Saturday's window"
    assert not active([late], SHANGHAI, at("2026-11-30T01:00:00"))


def test_its_own_zone_beats_the_chains() -> None:
    london = window(schedule="0 2 * * *", duration=timedelta(hours=1), zone=ZoneInfo("Europe/London"))
    assert active([london], SHANGHAI, datetime(2026, 7, 1, 1, 30, tzinfo=UTC)), "British summer time"
    assert active([london], SHANGHAI, datetime(2026, 12, 1, 2, 30, tzinfo=UTC))


@given(
    minutes=st.integers(min_value=0, max_value=60 * 24 * 400),
    hours=st.integers(min_value=1, max_value=30),
)
def test_it_holds_exactly_when_some_occurrence_covers_the_instant(minutes: int, hours: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes, seconds=17)
    duration = timedelta(hours=hours)
    local = now.astimezone(SHANGHAI)
    # Shanghai has no daylight saving, so the occurrences are simply every day at 02:30.
    occurrences = [local.replace(hour=2, minute=30, second=0) - timedelta(days=back) for back in range(4)]
    covered = any(begun <= local < begun + duration for begun in occurrences)
    assert bool(active([window(duration=duration)], SHANGHAI, now)) is covered
