"""Any order of notices, answers, deaths of workers and clock steps: nothing lost, nothing repeated unmarked."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from tests.unit.notify.conftest import DELIVERED, REJECTED, UNKNOWN, Channels, Desk, FakeNotifier, again

from tillwatch.clock import ManualClock
from tillwatch.model.notice import DeliveryState, NoticeKind
from tillwatch.notify.base import Delivery, Message
from tillwatch.notify.worker import LEASE
from tillwatch.store import outbox
from tillwatch.store.db import Database


class Killed(BaseException):
    """The process is gone in the middle of a send."""


class Chat(FakeNotifier):
    """A channel that remembers what really arrived, whatever it said about it."""

    def __init__(self) -> None:
        super().__init__()
        self.fate = "delivered"
        #: (key, arrived, marked as a possible repeat, what was said), in order.
        self.log: list[tuple[str, bool, bool, str]] = []

    def send(self, message: Message, *, key: str) -> Delivery:
        arrives = self.fate in {"delivered", "arrived, no answer", "killed after sending"}
        self.log.append((key, arrives, message.possible_repeat, self.fate))
        if self.fate.startswith("killed"):
            raise Killed
        if self.fate == "busy":
            raise again()
        return {"delivered": DELIVERED, "refused": REJECTED}.get(self.fate, UNKNOWN)


FATES = st.sampled_from(
    [
        "delivered",
        "busy",
        "refused",
        "arrived, no answer",
        "lost, no answer",
        "killed before sending",
        "killed after sending",
    ]
)


class OutboxLife(RuleBasedStateMachine):
    template: Path

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "tillwatch.db"
        shutil.copy(self.template, path)
        self.clock = ManualClock()
        self.database = Database.open(f"sqlite:///{path}", clock=self.clock)
        self.chat = Chat()
        self.desk = Desk(database=self.database, clock=self.clock, channels=Channels(ops=self.chat))
        self.worker = self.desk.worker("first")
        self.versions: dict[int, int] = {}
        self.deaths = 0

    @rule(incident=st.integers(1, 3), kind=st.sampled_from(list(NoticeKind)[:4]), priority=st.integers(0, 2))
    def enqueue(self, incident: int, kind: NoticeKind, priority: int) -> None:
        self.versions[incident] = self.versions.get(incident, 0) + 1
        self.desk.put(incident=incident, kind=kind, version=self.versions[incident], priority=priority)

    @rule(fate=FATES)
    def work(self, fate: str) -> None:
        self.chat.fate = fate
        try:
            self.worker.step()
        except Killed:
            self.deaths += 1
            self.worker = self.desk.worker(f"heir {self.deaths}")

    @rule(seconds=st.sampled_from([1.0, 10.0, 61.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def step_the_clock(self, seconds: float) -> None:
        self.clock.jump(seconds)

    @invariant()
    def what_arrived_once_only_comes_again_marked(self) -> None:
        if not hasattr(self, "chat"):
            return
        arrived: set[str] = set()
        for key, arrives, marked, _ in self.chat.log:
            assert marked or key not in arrived
            if arrives:
                arrived.add(key)

    @invariant()
    def what_is_over_is_not_sent_again(self) -> None:
        if not hasattr(self, "chat"):
            return
        over: set[str] = set()
        for key, _, _, said in self.chat.log:
            assert key not in over
            if said in {"delivered", "refused"}:
                over.add(key)

    def teardown(self) -> None:
        """When the faults stop, everything comes to an end, in order, and the log tells the truth."""
        if not hasattr(self, "chat"):
            return
        self.chat.fate = "delivered"
        for _ in range(60):
            self.clock.advance(LEASE.total_seconds())
            self.worker.step()
            with self.database.read() as connection:
                if not outbox.pending(connection):
                    break
        with self.database.read() as connection:
            rows = [row for incident in self.versions for row in outbox.deliveries(connection, incident)]
        for row in rows:
            sends = [(arrives, said) for key, arrives, _, said in self.chat.log if key == row.key]
            assert row.state.is_final
            if row.state is DeliveryState.DELIVERED:
                assert sends[-1] == (True, "delivered")
            elif row.state is DeliveryState.REJECTED:
                assert sends[-1][1] == "refused"
            else:
                # Given up in doubt: only after it was sent, without an answer, as often as is allowed.
                assert row.state is DeliveryState.UNKNOWN
                assert len([said for _, said in sends if said not in {"busy"}]) == 2
        self._in_order()
        for worker in self.desk.workers:
            worker.close()
        self.database.close()
        self.folder.cleanup()

    def _in_order(self) -> None:
        """Of one incident on one channel, the next message is first sent when the one before has come to its end."""
        for incident in self.versions:
            keys = [key for key, *_ in self.chat.log if key.startswith(f"{incident}:")]
            versions = [int(key.split(":")[2]) for key in keys]
            assert versions == sorted(versions)


def test_any_life_of_the_outbox_loses_nothing(sqlite_template: Path) -> None:
    machine = type("Life", (OutboxLife,), {"template": sqlite_template})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("fate", ["killed after sending", "arrived, no answer"])
def test_the_machine_would_notice_an_unmarked_repeat(fate: str) -> None:
    life = OutboxLife()
    life.chat = Chat()
    life.chat.log = [("1:opened:1:ops", True, False, fate), ("1:opened:1:ops", True, False, "delivered")]
    with pytest.raises(AssertionError):
        life.what_arrived_once_only_comes_again_marked()
