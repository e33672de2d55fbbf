"""Threads for what blocks."""

import asyncio
import threading

import pytest

from tillwatch.errors import Cause
from tillwatch.probers.base import Unreachable
from tillwatch.probers.workers import Workers

PATIENCE_SECONDS = 10.0


def test_a_value_and_an_error_come_back() -> None:
    async def scenario() -> None:
        workers = Workers()
        assert await workers.call("a", lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await workers.call("a", lambda: 1 // 0)

    asyncio.run(scenario())


def test_work_runs_at_the_same_time_up_to_the_size_of_the_pool() -> None:
    meeting = threading.Barrier(4)

    async def scenario() -> None:
        workers = Workers(4)
        together = (workers.call(str(number), lambda: meeting.wait(PATIENCE_SECONDS)) for number in range(4))
        assert sorted(await asyncio.gather(*together)) == [0, 1, 2, 3]

    asyncio.run(scenario())


def test_a_call_that_still_hangs_is_not_started_again_and_others_go_on() -> None:
    release, started = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        assert release.wait(PATIENCE_SECONDS)

    async def scenario() -> None:
        workers = Workers(2)
        given_up = asyncio.create_task(workers.call("erp", hang))
        assert await asyncio.to_thread(started.wait, PATIENCE_SECONDS)
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with pytest.raises(Unreachable, match="the previous check still hangs") as refused:
            await workers.call("erp", lambda: 1)
        assert refused.value.cause is Cause.TIMEOUT
        assert await workers.call("till", lambda: 2) == 2
        release.set()

    asyncio.run(scenario())


def test_work_that_was_given_up_before_a_thread_was_free_never_runs() -> None:
    release, ran = threading.Event(), threading.Event()

    async def scenario() -> None:
        workers = Workers(1)
        first = asyncio.create_task(workers.call("a", lambda: release.wait(PATIENCE_SECONDS)))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(workers.call("b", ran.set), 0.01)
        release.set()
        assert await first
        assert await workers.call("b", lambda: 3) == 3

    asyncio.run(scenario())
    assert not ran.is_set()
