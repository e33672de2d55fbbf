"""Both sides asked at once, under the audit's deadline: one thread, one session, one statement at a time for each."""

import queue
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.reading import LEAVE_SECONDS, POLL_SECONDS, SIDES, Gate, SideFault, Sides

T = TypeVar("T")
#: The number it was asked under, and what to do.
_Job = tuple[int, Callable[[], Any]] | None


@dataclass(frozen=True, kw_only=True)
class Both(Generic[T]):
    """One thing of each side."""

    left: T
    right: T

    def of(self, side: str) -> T:
        return self.left if side == "left" else self.right


@dataclass
class _Worker:
    thread: threading.Thread
    jobs: "queue.Queue[_Job]" = field(default_factory=queue.Queue)
    #: What the thread does when it is done, however late: nobody else may touch a connection it still uses.
    last: list[Callable[[], None]] = field(default_factory=list)


class Pair:
    """Threads of the two sides. A side that hangs when time is up is left behind, as a reading is."""

    def __init__(self, sides: Sides, gate: Gate) -> None:
        self._sides, self._gate = sides, gate
        self._answers: queue.Queue[tuple[int, str, Any, BaseException | None]] = queue.Queue()
        self._asked = 0
        self._workers: dict[str, _Worker] = {}

    def __enter__(self) -> Self:
        self._sides.refuse_hanging(SIDES)
        for side in SIDES:
            worker = _Worker(thread=threading.Thread())
            worker.thread = threading.Thread(target=self._work, args=(side, worker), name=f"digest-{side}", daemon=True)
            self._workers[side] = worker
            worker.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for side, worker in self._workers.items():
            worker.jobs.put(None)
            worker.thread.join(LEAVE_SECONDS)
            if worker.thread.is_alive():
                self._sides.leftovers.leave(self._sides.reads[side].system, worker.thread)

    def ask(self, doing: str, jobs: Mapping[str, Callable[[], T]]) -> dict[str, T]:
        """Run a job on the thread of each side named, together. Raises SideFault or Refused."""
        return self.wait(doing, self.begin(jobs), jobs)

    def begin(self, jobs: Mapping[str, Callable[[], T]]) -> int:
        """Give a job to the thread of each side named; `wait` tells how those under this number ended."""
        self._asked += 1
        for side, job in jobs.items():
            self._workers[side].jobs.put((self._asked, job))
        return self._asked

    def wait(self, doing: str, asked: int, sides: Collection[str]) -> dict[str, Any]:
        """What the jobs of these sides gave. Raises SideFault or Refused."""
        found: dict[str, Any] = {}
        while len(found) < len(sides):
            self._gate.check(doing)
            try:
                number, side, answer, error = self._answers.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if number != asked:
                # Of something that was given up when the other side refused.
                continue
            if isinstance(error, Refused | SideFault):
                raise error
            if error is not None:
                raise self._sides.fault(side, error)
            found[side] = answer
        return found

    def fault(self, side: str, error: BaseException) -> SideFault:
        """What went wrong on `side`, as the end of this run."""
        return self._sides.fault(side, error)

    def both(self, doing: str, job: Callable[[str], T]) -> Both[T]:
        """The same of each side."""

        def bound(side: str) -> Callable[[], T]:
            return lambda: job(side)

        found = self.ask(doing, {side: bound(side) for side in SIDES})
        return Both(left=found["left"], right=found["right"])

    def at_end(self, side: str, closing: Callable[[], None]) -> None:
        """Done on the side's thread when it ends."""
        self._workers[side].last.append(closing)

    def _work(self, side: str, worker: _Worker) -> None:
        while (asked := worker.jobs.get()) is not None:
            number, job = asked
            try:
                self._answers.put((number, side, job(), None))
            except BaseException as error:
                self._answers.put((number, side, None, error))
        for closing in worker.last:
            closing()
