"""Both sides read at once, each by its own thread, neither far ahead of the other."""

import queue
import threading
from collections.abc import Callable, Iterator

from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.scroll import Cell
from tillwatch.audit.reading import POLL_SECONDS, SIDES, Gate, SideFault

#: Cells of one side that wait for the other.
MAX_CELLS_WAITING = 4

_Item = Cell | BaseException | None


def cells(pair: Pair, gate: Gate, readers: Both[Callable[[], Iterator[Cell]]]) -> Iterator[tuple[str, Cell]]:
    """Cells of both sides, the one behind first. Raises SideFault or Refused, and leaves no thread reading."""
    boxes: dict[str, queue.Queue[_Item]] = {side: queue.Queue(MAX_CELLS_WAITING) for side in SIDES}
    cancel = threading.Event()

    def pump(side: str) -> None:
        def put(item: _Item) -> bool:
            while not cancel.is_set():
                try:
                    boxes[side].put(item, timeout=POLL_SECONDS)
                except queue.Full:
                    continue
                return True
            return False

        try:
            for cell in readers.of(side)():
                if not put(cell):
                    return
            put(None)
        except BaseException as error:
            put(error)

    asked = pair.begin({side: _bound(pump, side) for side in SIDES})
    rows = dict.fromkeys(SIDES, 0)
    ended: set[str] = set()
    try:
        while len(ended) < len(SIDES):
            side = min((side for side in SIDES if side not in ended), key=rows.__getitem__)
            gate.check("reading all rows")
            try:
                got = boxes[side].get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if isinstance(got, Refused | SideFault):
                raise got
            if isinstance(got, BaseException):
                raise pair.fault(side, got)
            if got is None:
                ended.add(side)
                continue
            rows[side] += got.rows
            yield side, got
    finally:
        cancel.set()
    pair.wait("ending", asked, SIDES)


def _bound(pump: Callable[[str], None], side: str) -> Callable[[], None]:
    return lambda: pump(side)
