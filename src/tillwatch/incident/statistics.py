"""How fast people were, and how many of the pages they got were worth getting. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from tillwatch.model.incident import Severity
from tillwatch.store.statistics import Action, Case, Page

#: A page led to an action when somebody did something about its incident within this time.
ACTED_WITHIN = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Incidents of one severity, or all. Seconds; None when no incident got that far."""

    incidents: int
    acknowledged: int
    resolved: int
    mtta_seconds: float | None
    mtta_median_seconds: float | None
    mttr_seconds: float | None
    mttr_median_seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Paged:
    """The pages one person got; the empty person is a channel that many read."""

    person: str
    pages: int
    acted: int


@dataclass(frozen=True, kw_only=True)
class Statistics:
    since: datetime
    overall: Speed
    by_severity: Mapping[Severity, Speed]
    pages: int
    acted: int
    by_person: tuple[Paged, ...]

    def document(self) -> dict[str, Any]:
        """JSON values, as the API prints them."""
        return {
            "since": self.since.isoformat(),
            "overall": vars(self.overall),
            "by_severity": {severity.value: vars(speed) for severity, speed in self.by_severity.items()},
            "pages": self.pages,
            "pages_that_led_to_an_action": self.acted,
            "by_person": [vars(one) for one in self.by_person],
        }


def statistics(since: datetime, cases: Sequence[Case], pages: Sequence[Page], actions: Sequence[Action]) -> Statistics:
    """Count. `actions` are in the order of time; only incidents opened since then count for speed."""
    done: dict[int, list[datetime]] = {}
    for action in actions:
        done.setdefault(action.incident, []).append(action.at)
    judged = [(page.person, _acted(page, done.get(page.incident, []))) for page in pages]
    people = sorted({person for person, _ in judged})
    by_person = tuple(
        Paged(
            person=person,
            pages=sum(who == person for who, _ in judged),
            acted=sum(acted for who, acted in judged if who == person),
        )
        for person in people
    )
    return Statistics(
        since=since,
        overall=_speed(cases),
        by_severity={one: _speed([case for case in cases if case.severity is one]) for one in Severity},
        pages=len(judged),
        acted=sum(acted for _, acted in judged),
        by_person=by_person,
    )


def _acted(page: Page, done: Sequence[datetime]) -> bool:
    position = bisect_left(done, page.at)
    return position < len(done) and done[position] - page.at <= ACTED_WITHIN


def _speed(cases: Sequence[Case]) -> Speed:
    to_acknowledge = _seconds((case.opened_at, case.acknowledged_at) for case in cases)
    to_resolve = _seconds((case.opened_at, case.resolved_at) for case in cases)
    return Speed(
        incidents=len(cases),
        acknowledged=len(to_acknowledge),
        resolved=len(to_resolve),
        mtta_seconds=_mean(to_acknowledge),
        mtta_median_seconds=median(to_acknowledge) if to_acknowledge else None,
        mttr_seconds=_mean(to_resolve),
        mttr_median_seconds=median(to_resolve) if to_resolve else None,
    )


def _seconds(spans: Iterable[tuple[datetime, datetime | None]]) -> list[float]:
    return [(end - begin).total_seconds() for begin, end in spans if end is not None]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
