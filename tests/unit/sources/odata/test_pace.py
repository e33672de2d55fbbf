"""How many requests may be under way: told by a service in virtual time, without waiting for any."""

import heapq
from dataclasses import dataclass

import pytest

from tillwatch.sources.odata.pace import BACKOFF_SECONDS, Pace, backoff


@dataclass
class Simulated:
    """A service that answers after `latency(requests under way)` and throttles above `most`."""

    most: int = 1_000
    throttled: int = 0
    most_seen: int = 0

    def latency(self, under_way: int) -> float:  # noqa: ARG002
        return 0.2

    def run(self, pace: Pace, requests: int) -> tuple[Pace, float]:
        """The pace and the second after `requests` answers."""
        now, left = 0.0, requests
        running: list[tuple[float, int, float, bool]] = []
        number = 0
        while left or running:
            while left and len(running) < pace.limit:
                refused = len(running) >= self.most
                self.throttled += refused
                ends = now + (0.01 if refused else self.latency(len(running) + 1))
                heapq.heappush(running, (ends, number, now, refused))
                number, left = number + 1, left - 1
                self.most_seen = max(self.most_seen, len(running))
            now, _, began, refused = heapq.heappop(running)
            if refused:
                pace = pace.complaint(began=began, now=now, why="the service throttled us")
                left += 1
            else:
                pace = pace.succeeded(began=began, now=now)
        return pace, now


def test_it_begins_with_one_and_reaches_the_ceiling_while_all_is_well() -> None:
    service = Simulated()
    pace, seconds = service.run(Pace(ceiling=8), 100)
    assert (pace.limit, service.most_seen) == (8, 8)
    assert pace.reason == "every answer came in good time"
    # One at a time would take 20 s.
    assert seconds < 4


def test_a_throttled_request_halves_it_once_a_round() -> None:
    pace = Pace(ceiling=16, limit=16)
    for _ in range(5):
        pace = pace.complaint(began=0.0, now=1.0, why="the service throttled us")
    assert (pace.limit, pace.reason) == (8, "the service throttled us")
    assert pace.complaint(began=1.0, now=2.0, why="again").limit == 4


def test_it_never_stops_asking() -> None:
    pace = Pace(ceiling=4)
    for second in range(10):
        pace = pace.complaint(began=float(second), now=second + 0.5, why="no")
    assert pace.limit == 1


def test_after_a_complaint_it_grows_by_one_a_round() -> None:
    pace = Pace(ceiling=16, limit=8).complaint(began=0.0, now=1.0, why="no")
    limits = []
    for _ in range(15):
        pace = pace.succeeded(began=2.0, now=2.2)
        limits.append(pace.limit)
    assert limits == [4, 4, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7]


def test_answers_to_what_was_asked_before_the_halving_do_not_count() -> None:
    halved = Pace(ceiling=16, limit=8).complaint(began=0.0, now=1.0, why="no")
    assert halved.succeeded(began=0.5, now=1.2) == halved


def test_it_settles_near_what_a_throttling_service_allows() -> None:
    service = Simulated(most=5)
    pace, seconds = service.run(Pace(ceiling=16), 400)
    assert 2 <= pace.limit <= 6
    assert service.throttled < 40
    # 400 answers at 5 at once are 16 s, one at a time 80 s.
    assert seconds < 27


def test_a_service_that_grows_slow_under_load_is_asked_less() -> None:
    class Slow(Simulated):
        def latency(self, under_way: int) -> float:
            return 0.2 if under_way <= 4 else 0.2 * under_way

    pace, _ = Slow().run(Pace(ceiling=16), 300)
    assert pace.limit <= 8
    assert pace.complained


@pytest.mark.parametrize(("slower", "limit"), [(0.04, 9), (0.3, 4)])
def test_small_differences_of_latency_are_noise(slower: float, limit: int) -> None:
    pace = Pace(ceiling=16, limit=8, complained=True)
    for _ in range(8):
        pace = pace.succeeded(began=0.0, now=0.02)
    for _ in range(9):
        pace = pace.succeeded(began=1.0, now=1.0 + slower)
    assert pace.limit in (limit, limit + 1)


def test_what_is_known_of_a_service_is_carried_to_other_requests_but_not_their_latency() -> None:
    pace = Pace(ceiling=8, limit=4, complained=True, done=3, seconds=9.0, quickest=0.1, halved_at=50.0)
    assert pace.carried() == Pace(ceiling=8, limit=4, complained=True)


def test_the_wait_before_the_next_try_is_what_the_service_asks_or_longer_each_time() -> None:
    assert backoff(1, 7.0) == 7.0
    assert [backoff(tries, None) / BACKOFF_SECONDS for tries in (1, 2, 3)] == [1, 2, 4]
