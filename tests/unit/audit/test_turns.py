"""How many may ask one database at once, and who waits for whom."""

import threading
from dataclasses import dataclass, field

import pytest
from tests.support.audits import FakeSource

from tillwatch.audit.turns import Throttle, Turn
from tillwatch.clock import ManualClock
from tillwatch.errors import UnavailableError


def test_a_database_answers_two_at_a_time_however_many_audits_ask() -> None:
    throttle = Throttle(limit=2)
    assert throttle.take(("erp", "till-1"))
    assert throttle.take(("erp", "till-2"))
    assert not throttle.take(("erp", "till-3"))
    assert throttle.take(("till-3", "till-4"))
    throttle.give_back(("erp", "till-1"))
    assert throttle.take(("erp", "till-3"))


def test_an_audit_of_one_database_with_itself_needs_two_places_in_it() -> None:
    throttle = Throttle(limit=2)
    assert throttle.take(("erp", "erp"))
    assert not throttle.take(("erp", "till"))
    throttle.give_back(("erp", "erp"))
    assert throttle.take(("erp", "till"))
    assert not throttle.take(("erp", "erp"))
    assert not Throttle(limit=1).take(("erp", "erp"))


def test_who_needs_two_databases_is_not_overtaken_by_those_who_need_one_of_them() -> None:
    throttle = Throttle(limit=1)
    assert throttle.take(("erp",))
    assert not throttle.wait(("erp", "till"), "first", 0.0)
    assert not throttle.wait(("till",), "second", 0.0)
    assert not throttle.take(("till",))
    throttle.give_back(("erp",))
    assert throttle.wait(("erp", "till"), "first", 0.0)
    assert not throttle.wait(("till",), "second", 0.0)
    throttle.give_back(("erp", "till"))
    assert throttle.wait(("till",), "second", 0.0)


def test_nobody_waits_behind_who_has_left() -> None:
    throttle = Throttle(limit=1)
    assert throttle.take(("erp",))
    assert not throttle.wait(("erp", "till"), "first", 0.0)
    throttle.leave("first")
    assert throttle.take(("till",))


@dataclass
class Gate:
    """Says no after some looks; each look is a second later."""

    looks: int = 1_000
    clock: ManualClock = field(default_factory=ManualClock)
    deadline: float = 10.0
    doing: str = ""
    looked: threading.Event = field(default_factory=threading.Event)

    def check(self, doing: str) -> None:
        self.doing = doing
        self.looked.set()
        self.looks -= 1
        if self.looks < 0:
            raise UnavailableError("told to stop")


def turn(throttle: Throttle, gate: Gate) -> Turn:
    return Turn(throttle, (FakeSource("erp", {}), FakeSource("till", {})), gate)


PLACES = ("system erp", "system till")


def test_a_turn_inside_a_turn_takes_no_second_place() -> None:
    throttle = Throttle(limit=1)
    mine = turn(throttle, Gate())
    with mine:
        with mine:
            assert throttle.busy() == dict.fromkeys(PLACES, 1)
        assert throttle.busy() == dict.fromkeys(PLACES, 1)
    assert throttle.busy() == {}


def test_a_run_that_is_told_to_stop_while_it_waits_leaves_nothing_behind() -> None:
    throttle, gate = Throttle(limit=1), Gate(looks=0)
    assert throttle.take(("system erp",))
    with pytest.raises(UnavailableError, match="told to stop"), turn(throttle, gate):
        pass
    assert gate.doing == "waiting for a turn in system erp and system till"
    assert throttle.busy() == {"system erp": 1}
    assert throttle.take(("system till",))


class PatientThrottle(Throttle):
    """A stub: a place is free at the third look, five seconds later each time."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock, self._looks = clock, 0

    def wait(self, places: object, ticket: object, seconds: float) -> bool:  # noqa: ARG002
        self._looks += 1
        self._clock.advance(5.0)
        return self._looks == 3


def test_waiting_for_other_audits_is_not_taken_from_the_time_a_run_has() -> None:
    gate = Gate()
    mine = turn(PatientThrottle(gate.clock), gate)
    mine.__enter__()
    assert gate.deadline == 10.0 + 15.0


def test_a_run_goes_on_as_soon_as_another_has_read() -> None:
    throttle, gate = Throttle(limit=1), Gate()
    assert throttle.take(PLACES)
    read = threading.Event()

    def wait() -> None:
        with turn(throttle, gate):
            read.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert gate.looked.wait(10)
    assert not read.is_set()
    throttle.give_back(PLACES)
    assert read.wait(10)
    thread.join(10)
    assert throttle.busy() == {}
