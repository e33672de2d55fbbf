"""Messages that come late, twice or in any order lead to the same episodes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.alerting.episodes import END_TAKEN_BACK_AFTER, Effect, receive
from tillwatch.model.alert import Alert, AlertState, ChangeKind, Episode

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def message(
    start: datetime, *, end: datetime | None = None, source: str = "prometheus", stated: bool = True, summary: str = "s"
) -> Alert:
    return Alert(
        labels={"alertname": "A"},
        annotations={"summary": summary},
        starts_at=start,
        ends_at=end,
        starts_at_stated=stated,
        source=source,
    )


def fold(messages: Sequence[tuple[Alert, datetime]]) -> tuple[list[Episode], list[ChangeKind]]:
    """All messages, each at its time of receipt; the episodes by start, and the changes told."""
    known: dict[int, Episode] = {}
    kinds: list[ChangeKind] = []
    for alert, now in messages:
        effect = receive(list(known.values()), alert, now)
        if effect is None:
            continue
        episode = effect.episode if effect.before is not None else replace(effect.episode, id=len(known) + 1)
        known[episode.id] = episode
        kinds += [effect.kind] if effect.kind else []
    return sorted(known.values(), key=lambda episode: episode.starts_at), kinds


def at_once(*messages: Alert, now: datetime = NOW) -> tuple[list[Episode], list[ChangeKind]]:
    return fold([(alert, now) for alert in messages])


def test_a_repeated_message_changes_nothing_and_tells_nobody() -> None:
    firing = message(NOW - MINUTE, end=NOW + 4 * MINUTE)
    episodes, kinds = at_once(firing, firing, firing)
    assert (len(episodes), kinds) == (1, [ChangeKind.OPENED])


def test_another_annotation_is_an_update() -> None:
    _, kinds = at_once(message(NOW), message(NOW, summary="worse"))
    assert kinds == [ChangeKind.OPENED, ChangeKind.UPDATED]


def test_a_resend_prolongs_the_lease_and_a_late_copy_does_not_shorten_it() -> None:
    early, late = message(NOW, end=NOW + 4 * MINUTE), message(NOW, end=NOW + 6 * MINUTE)
    for order in ((early, late), (late, early)):
        [episode], _ = at_once(*order)
        assert episode.lease_until == NOW + 6 * MINUTE


def test_an_end_that_comes_before_its_beginning_is_remembered() -> None:
    start = NOW - 5 * MINUTE
    [episode], kinds = at_once(message(start, end=NOW), message(start, end=NOW + MINUTE))
    assert (episode.state, kinds) == (AlertState.RESOLVED, [])


def test_a_late_end_of_an_older_episode_does_not_close_a_newer_one() -> None:
    old, new = NOW - 60 * MINUTE, NOW - 5 * MINUTE
    episodes, _ = at_once(message(old), message(new), message(old, end=NOW - 30 * MINUTE))
    assert [episode.state for episode in episodes] == [AlertState.RESOLVED, AlertState.FIRING]


def test_a_source_that_still_fires_long_after_its_end_has_taken_it_back() -> None:
    start = NOW - 5 * MINUTE
    late = NOW + END_TAKEN_BACK_AFTER
    early = late - timedelta(seconds=1)
    first = [(message(start), NOW), (message(start, end=NOW), NOW)]
    [episode], kinds = fold([*first, (message(start), early)])
    assert (episode.state, kinds[-1]) == (AlertState.RESOLVED, ChangeKind.RESOLVED)
    [episode], kinds = fold([*first, (message(start), late)])
    assert (episode.state, episode.ends_at, kinds[-1]) == (AlertState.FIRING, None, ChangeKind.REOPENED)


def test_a_sender_without_starts_speaks_of_whatever_fires() -> None:
    later = NOW + 2 * MINUTE
    firing = (message(NOW, stated=False), NOW)
    [episode], kinds = fold([firing, (message(later, stated=False), later)])
    assert (episode.starts_at, kinds) == (NOW, [ChangeKind.OPENED])
    [episode], kinds = fold([firing, (message(later, end=later, stated=False), later)])
    assert (episode.state, kinds) == (AlertState.RESOLVED, [ChangeKind.OPENED, ChangeKind.RESOLVED])


@pytest.mark.parametrize("source", ["probe", "audit", "validation", "heartbeat"])
def test_a_local_source_needs_no_lease_and_its_end_is_an_end_whatever_the_clock_says(source: str) -> None:
    probe = message(NOW, source=source)
    [episode], _ = at_once(probe, message(NOW + MINUTE, end=NOW + MINUTE, source=source))
    assert (episode.state, episode.lease_until) == (AlertState.RESOLVED, None)
    [episode], _ = at_once(probe, message(NOW, end=NOW - 60 * MINUTE, source=source))
    assert (episode.state, episode.ends_at) == (AlertState.RESOLVED, NOW)


def test_a_late_copy_does_not_bring_back_old_words() -> None:
    old, new = message(NOW, end=NOW + 4 * MINUTE, summary="old"), message(NOW, end=NOW + 5 * MINUTE, summary="new")
    for order in ((old, new), (new, old), (old, new, old)):
        [episode], _ = at_once(*order)
        assert (episode.annotations["summary"], episode.lease_until) == ("new", NOW + 5 * MINUTE)


def test_a_local_end_without_a_beginning_is_nothing() -> None:
    assert at_once(message(NOW, end=NOW, source="audit")) == ([], [])


def test_a_silent_alert_that_is_heard_again_fires_again() -> None:
    silent = Episode(
        id=1, fingerprint="f", source="prometheus", labels={"alertname": "A"}, annotations={}, starts_at=NOW,
        state=AlertState.SILENT, ends_at=None, lease_until=NOW + MINUTE, updated_at=NOW, incident=1,
    )  # fmt: skip
    effect = receive([silent], message(NOW, end=NOW + 9 * MINUTE), NOW + 5 * MINUTE)
    assert isinstance(effect, Effect)
    assert (effect.kind, effect.episode.state) == (ChangeKind.REOPENED, AlertState.FIRING)
    assert effect.episode.lease_until == NOW + 9 * MINUTE
    ended = receive([silent], message(NOW, end=NOW + 2 * MINUTE), NOW + 5 * MINUTE)
    assert ended is not None
    assert ended.kind is ChangeKind.RESOLVED


@dataclass(frozen=True)
class Life:
    """One episode as its source lived it: firing at some minutes, perhaps ended."""

    start: int
    resends: tuple[int, ...]
    end: int | None


@st.composite
def lives(draw: st.DrawFn) -> list[Life]:
    """Up to four episodes of one alert, one after the other, within the hour before NOW."""
    found: list[Life] = []
    start = draw(st.integers(0, 5))
    for _ in range(draw(st.integers(1, 4))):
        length = draw(st.integers(1, 10))
        resends = tuple(draw(st.lists(st.integers(start, start + length), max_size=3)))
        last = draw(st.booleans())
        found.append(Life(start=start, resends=resends, end=None if last else start + length))
        if last:
            break
        start += length + draw(st.integers(1, 4))
    return found


def messages_of(life: Life) -> list[Alert]:
    hour_ago = NOW - 60 * MINUTE
    start = hour_ago + life.start * MINUTE
    sent = [
        message(start, end=NOW + (4 + resend) * MINUTE, summary=f"said in minute {resend}")
        for resend in (life.start, *life.resends)
    ]
    return sent if life.end is None else [*sent, message(start, end=hour_ago + life.end * MINUTE)]


@settings(max_examples=300, deadline=None)
@given(data=st.data(), story=lives())
def test_any_order_with_any_duplicates_ends_in_the_same_episodes(data: st.DataObject, story: list[Life]) -> None:
    told = [alert for life in story for alert in messages_of(life)]
    expected, _ = at_once(*told)
    copies = told + data.draw(st.lists(st.sampled_from(told), max_size=5))
    shuffled = data.draw(st.permutations(copies))
    # Everything arrives within the time in which a copy is taken for a copy.
    gaps = data.draw(st.lists(st.integers(0, 5), min_size=len(shuffled), max_size=len(shuffled)))
    moments = [NOW + timedelta(seconds=sum(gaps[:index])) for index in range(len(shuffled))]
    found, kinds = fold(list(zip(shuffled, moments, strict=True)))
    shape = [(one.starts_at, one.state, one.ends_at, one.lease_until) for one in found]
    assert shape == [(one.starts_at, one.state, one.ends_at, one.lease_until) for one in expected]
    last_words = [f"said in minute {max(life.start, *life.resends, life.start)}" for life in story if life.end is None]
    assert [one.annotations["summary"] for one in found if one.state is AlertState.FIRING] == last_words
    assert [one.state for one in found] == [
        AlertState.FIRING if life.end is None else AlertState.RESOLVED for life in story
    ]
    assert kinds.count(ChangeKind.OPENED) >= kinds.count(ChangeKind.RESOLVED)
