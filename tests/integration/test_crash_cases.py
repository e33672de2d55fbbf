"""Six crashes that cost a lone Alertmanager messages or make it repeat them; here a real server is killed in each.

Nobody sends anything again unless the case says so: what was answered with 200 is enough, and every message is sent
once. Only a message that was on its way at the very moment of kill -9 may come twice: marked, under the same id.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.real_server import RealServer
from tests.support.receiver import Receiver

from tillwatch.notify.worker import LEASE

#: Long enough that a kill right after the answer falls into it.
GROUP_WAIT_SECONDS = 2
NAME = "PosErpLinkDown"


@pytest.fixture
def server(tmp_path: Path, receiver: Receiver) -> Iterator[RealServer]:
    made = RealServer(root=tmp_path, receiver=receiver, group_wait_seconds=GROUP_WAIT_SECONDS)
    try:
        made.start()
        yield made
    finally:
        made.end(signal.SIGKILL)


def notified(server: RealServer) -> None:
    """The incident was told and the store knows it: a crash from here on is no reason to tell it again."""
    assert server.post(NAME) == 200
    server.wait_for("opened")
    server.wait("delivered mark", lambda: server.delivered(1))


def test_t1_a_source_that_repeats_itself_after_a_crash_is_not_told_twice(server: RealServer) -> None:
    notified(server)
    server.end(signal.SIGKILL)
    server.start()
    assert server.post(NAME) == 200
    assert server.post(NAME, over=True) == 200
    server.wait_for("resolved")
    assert server.kinds() == ["opened", "resolved"]


def test_t2_what_was_answered_200_is_told_though_the_crash_fell_into_group_wait(server: RealServer) -> None:
    assert server.post(NAME) == 200
    server.end(signal.SIGKILL)
    assert server.told() == []
    server.start()
    server.wait_for("opened")
    server.wait("delivered mark", lambda: server.delivered(1))
    assert server.kinds() == ["opened"]
    assert not server.told()[0].possible_repeat


@pytest.mark.parametrize("resends", [0, 2], ids=["t3_t4_source_silent", "t5_t6_source_sends_the_end_twice"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: how.name)
def test_an_end_that_was_answered_200_is_told_after_the_crash(
    server: RealServer, how: signal.Signals, resends: int
) -> None:
    notified(server)
    assert server.post(NAME, over=True) == 200
    server.end(how)
    on_its_way = how is signal.SIGKILL and "resolved" in server.kinds()
    server.start()
    for _ in range(resends):
        assert server.post(NAME, over=True) == 200
    # One that was claimed but not sent before the kill waits for the dead sender's lease.
    server.wait("resolved", lambda: "resolved" in server.kinds(), LEASE.total_seconds() + 30)
    told = server.told()
    first = [one for one in told if not one.possible_repeat]
    repeats = [one for one in told if one.possible_repeat]
    assert [one.kind for one in first] == ["opened", "resolved"]
    assert len(repeats) <= int(on_its_way)
    assert {one.key for one in repeats} <= {first[1].key}
