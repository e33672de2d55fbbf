"""Silences change as Alertmanager's do: what was in force is never rewritten."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tillwatch.alerting.silences import KEPT_AFTER_END, MAX_UNEXPIRED, Draft, NoSuchSilence, Silences
from tillwatch.clock import ManualClock
from tillwatch.config.matcher import parse_matcher
from tillwatch.errors import UsageError
from tillwatch.store.db import Database
from tillwatch.store.silences import SilenceState

HOUR = timedelta(hours=1)


@pytest.fixture
def silences(sqlite_database: Database, clock: ManualClock) -> Silences:
    return Silences(sqlite_database, clock=clock)


def draft(clock: ManualClock, *matchers: str, starts_in: timedelta = timedelta(), lasts: timedelta = HOUR) -> Draft:
    begins = clock.now() + starts_in
    return Draft(
        matchers=tuple(parse_matcher(text) for text in matchers or ('site="chaoyang"',)),
        starts_at=begins,
        ends_at=begins + lasts,
        created_by="li",
        comment="换收银机",
    )


def test_a_silence_is_kept_as_it_was_asked_for(silences: Silences, clock: ManualClock) -> None:
    wanted = draft(clock, 'site=~"chao.*"', 'quote="a\\"b"', "severity!=critical")
    kept = silences.get(silences.set(wanted))
    assert (kept.matchers, kept.starts_at, kept.ends_at) == (wanted.matchers, wanted.starts_at, wanted.ends_at)
    assert (kept.created_by, kept.comment) == ("li", "换收银机")
    assert silences.active() == [kept]


def test_it_is_pending_then_active_then_expired(silences: Silences, clock: ManualClock) -> None:
    silence = silences.get(silences.set(draft(clock, starts_in=HOUR)))
    states = []
    for _ in range(3):
        states.append(silence.state(clock.now()))
        clock.advance(3600)
    assert states == [SilenceState.PENDING, SilenceState.ACTIVE, SilenceState.EXPIRED]


def test_a_start_in_the_past_becomes_now(silences: Silences, clock: ManualClock) -> None:
    kept = silences.get(silences.set(draft(clock, starts_in=-HOUR / 2)))
    assert kept.starts_at == clock.now()


def test_a_longer_end_keeps_the_id_and_other_matchers_get_a_new_one(silences: Silences, clock: ManualClock) -> None:
    wanted = draft(clock)
    first = silences.set(wanted)
    clock.advance(60)
    assert silences.set(replace(wanted, ends_at=wanted.ends_at + HOUR), id=first) == first
    assert silences.get(first).ends_at == wanted.ends_at + HOUR
    second = silences.set(draft(clock, 'site="haidian"'), id=first)
    assert second != first
    assert silences.get(first).ends_at == clock.now()
    assert [one.id for one in silences.active()] == [second]


def test_expiring_ends_it_now_and_a_second_time_changes_nothing(silences: Silences, clock: ManualClock) -> None:
    id = silences.set(draft(clock))
    pending = silences.set(draft(clock, starts_in=HOUR))
    clock.advance(60)
    silences.expire(id)
    silences.expire(pending)
    ended = silences.get(id)
    assert ended.state(clock.now()) is SilenceState.EXPIRED
    assert silences.get(pending).state(clock.now()) is SilenceState.EXPIRED
    clock.advance(60)
    silences.expire(id)
    assert silences.get(id) == ended


def test_an_unknown_id_is_no_silence(silences: Silences, clock: ManualClock) -> None:
    for order in (silences.get, silences.expire, lambda id: silences.set(draft(clock), id=id)):
        with pytest.raises(NoSuchSilence, match="no silence nobody"):
            order("nobody")


@pytest.mark.parametrize(
    ("matchers", "starts_in", "lasts", "reason"),
    [
        (('site=~".*"',), timedelta(), HOUR, "mutes everything"),
        (('site="x"',), timedelta(), -HOUR, "end after it starts"),
        (('site="x"',), -2 * HOUR, HOUR, "in the past"),
    ],
)
def test_what_makes_no_sense_is_refused(
    silences: Silences,
    clock: ManualClock,
    matchers: tuple[str, ...],
    starts_in: timedelta,
    lasts: timedelta,
    reason: str,
) -> None:
    with pytest.raises(UsageError, match=reason):
        silences.set(draft(clock, *matchers, starts_in=starts_in, lasts=lasts))
    assert silences.listed() == []


def test_the_list_begins_with_what_is_in_force_and_ends_with_what_is_over(
    silences: Silences, clock: ManualClock
) -> None:
    over = silences.set(draft(clock, lasts=HOUR / 2))
    clock.advance(1800)
    later = silences.set(draft(clock, starts_in=2 * HOUR))
    soon = silences.set(draft(clock, starts_in=HOUR))
    long = silences.set(draft(clock, lasts=3 * HOUR))
    short = silences.set(draft(clock))
    assert [one.id for one in silences.listed()] == [short, long, soon, later, over]


def test_one_that_ended_long_ago_is_forgotten(silences: Silences, clock: ManualClock) -> None:
    old = silences.set(draft(clock))
    clock.advance((HOUR + KEPT_AFTER_END).total_seconds() + 1)
    silences.set(draft(clock))
    with pytest.raises(NoSuchSilence):
        silences.get(old)


def test_a_script_that_runs_wild_is_stopped(
    silences: Silences, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MAX_UNEXPIRED >= 100
    monkeypatch.setattr("tillwatch.alerting.silences.MAX_UNEXPIRED", 2)
    silences.set(draft(clock))
    silences.set(draft(clock))
    with pytest.raises(UsageError, match="expire some first"):
        silences.set(draft(clock))
