"""Threads for work that blocks (drivers, files): bounded, never in the way of the event loop or of the exit."""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from tillwatch.errors import Cause
from tillwatch.probers.base import Unreachable

#: Each waiting driver holds one thread; with more systems than this hanging at once, checks wait for a free one.
MAX_THREADS = 16

T = TypeVar("T")
_Job = tuple[Callable[[], Any], Future[Any]]


class Workers:
    """A pool whose threads never keep the process alive: a driver that hangs must not hang our shutdown."""

    def __init__(self, size: int = MAX_THREADS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._busy: dict[str, Future[Any]] = {}
        self._threads = 0
        self._idle = 0
        self._queued = 0

    async def call(self, key: str, job: Callable[[], T]) -> T:
        """Run `job` on a thread and wait for it. At most one job of one `key` runs at a time.

        When we are cancelled (out of time) the thread goes on, because a thread cannot be stopped. Until it returns, a
        further call of the same key raises Unreachable/timeout at once, so that one hanging system ties up one thread.
        """
        future: Future[T] = Future()
        with self._lock:
            if key in self._busy:
                raise Unreachable(
                    "the previous check still hangs in the driver; the system does not answer",
                    "上一次检查仍停在驱动程序里，系统没有响应",
                    cause=Cause.TIMEOUT,
                )
            self._busy[key] = future
            self._queued += 1
            if self._queued > self._idle and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._loop, name=f"probe-worker-{self._threads}", daemon=True).start()
        future.add_done_callback(lambda _: self._release(key))
        self._jobs.put((job, future))
        return await asyncio.wrap_future(future)

    def _release(self, key: str) -> None:
        with self._lock:
            self._busy.pop(key, None)

    def _loop(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job, future = self._jobs.get()
            with self._lock:
                self._idle -= 1
                self._queued -= 1
            if not future.set_running_or_notify_cancel():
                continue
            try:
                value = job()
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(value)
            del job, future
