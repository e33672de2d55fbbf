"""Reading the datasets of one validation: in bounded batches, under one deadline, and checked against their own count.

Each reading runs on a thread of its own, because a source may block. One that hangs is left behind when the deadline
passes, as the audits do it.
"""

import queue
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from tillwatch.audit.pushdown import asking
from tillwatch.audit.reading import (
    LEAVE_SECONDS,
    MAX_BATCHES_WAITING,
    MAX_READS,
    POLL_SECONDS,
    Gate,
    Leftovers,
    SideFault,
    doubt,
)
from tillwatch.audit.turns import SHARED, Throttle, Turn
from tillwatch.errors import SchemaMismatch, TillwatchError
from tillwatch.model.audit import Row, Verdict
from tillwatch.sources.base import Reading, Source, Tail

Take = Callable[[list[Row]], object]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A dataset of an opened system."""

    source: Source
    system: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.system}.{self.dataset}"


@dataclass(kw_only=True)
class Reader:
    """Everything one run reads, and what it weighed."""

    gate: Gate
    leftovers: Leftovers
    name: str
    #: Readings at a time in one database, shared with the audits.
    throttle: Throttle = SHARED
    bytes_read: int = 0
    rows_read: int = field(default=0)

    def whole(
        self,
        place: Place,
        columns: Sequence[str],
        take: Take,
        forget: Callable[[], object],
        *,
        ask: Callable[[], Reading] | None = None,
    ) -> int:
        """All rows of `place`, or those `ask` gives, each batch handed to `take`; returns how many `place` holds.

        A reading its own count or stability speaks against is done once more, after `forget`. Raises SideFault.
        """
        for _ in range(MAX_READS):
            forget()
            rows, tail = self._once(place, ask or (lambda: place.source.read(place.dataset, columns)), take)
            found = doubt(str(place), tail, rows)
            if not found:
                return rows if tail.looked_at is None else tail.looked_at
        raise SideFault(f"{found}; read twice, so nothing is known of it", verdict=Verdict.INCONCLUSIVE)

    def by_key(self, place: Place, columns: Sequence[str], keys: Sequence[Mapping[str, str]], take: Take) -> None:
        """Only the rows under `keys`. Raises SideFault."""
        rows, tail = self._once(place, lambda: place.source.read(place.dataset, columns, keys=keys), take)
        if found := doubt(str(place), tail, rows):
            raise SideFault(found, verdict=Verdict.INCONCLUSIVE)

    def ask(self, place: Place, question: Callable[[], T], doing: str) -> T:
        """The answer to a question that gives no rows. Raises SideFault."""
        answers: list[T] = []

        def work(put: Callable[[object], bool]) -> None:
            answers.append(question())
            put(None)

        with self._turn(place), closing(self._items(place, work, doing)) as items:
            next(items)
        return answers[0]

    def _once(self, place: Place, ask: Callable[[], Reading], take: Take) -> tuple[int, Tail]:
        rows, tail = 0, Tail(rows=0)

        def work(put: Callable[[object], bool]) -> None:
            with ask() as reading:
                for batch in reading:
                    if not put(batch):
                        return
                put(reading.tail)

        with self._turn(place), closing(self._items(place, work, f"reading {place}")) as items:
            for item in items:
                if isinstance(item, Tail):
                    tail = item
                    break
                assert isinstance(item, list)
                rows += len(item)
                self.rows_read += len(item)
                self._hand_over(place, item, take)
        self.bytes_read += tail.bytes_read
        return rows, tail

    def _turn(self, place: Place) -> Turn:
        """Held for one reading only: a run that waits for a turn holds none, so none waits for it."""
        return Turn(self.throttle, (place.source,), self.gate)

    def _hand_over(self, place: Place, batch: list[Row], take: Take) -> None:
        try:
            take(batch)
        except KeyError as error:
            raise SideFault(f"{place}: a row has no field '{error.args[0]}'") from error

    def _items(self, place: Place, work: Callable[[Callable[[object], bool]], None], doing: str) -> Generator[object]:
        """What `work` puts, one after the other; its error as a SideFault. The caller stops at the last."""
        if self.leftovers.hangs(place.system):
            raise SideFault(
                f"{place} was not read: an earlier reading of {place.system} still hangs; "
                "lower that source's timeout_seconds or look at why it does not answer"
            )
        box: queue.Queue[object] = queue.Queue(MAX_BATCHES_WAITING)
        cancel = threading.Event()

        def put(item: object) -> bool:
            while not cancel.is_set():
                try:
                    box.put(item, timeout=POLL_SECONDS)
                except queue.Full:
                    continue
                return True
            return False

        def run() -> None:
            try:
                work(put)
            except BaseException as error:
                put(error)

        thread = threading.Thread(target=run, name=f"validation-{self.name}", daemon=True)
        thread.start()
        try:
            while True:
                self.gate.check(doing)
                try:
                    item = box.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(item, BaseException):
                    raise _fault(place, item)
                yield item
        finally:
            cancel.set()
            thread.join(LEAVE_SECONDS)
            if thread.is_alive():
                self.leftovers.leave(place.system, thread)


def _fault(place: Place, error: BaseException) -> SideFault:
    if isinstance(error, TillwatchError):
        fault = SideFault(f"{place}: {error}")
    else:
        fault = SideFault(f"{place} could not be read, a defect of the source: {type(error).__name__}: {error}")
    fault.__cause__ = error
    return fault


def is_inability(fault: SideFault) -> bool:
    """A statement of ours that the server would not run; the same rows can still be read."""
    # When what is declared really is not there, reading says so too.
    return isinstance(fault.__cause__, SchemaMismatch) or asking.is_inability(fault)
