"""Finding the keys that differ by matching the records of all rows of both sides."""

from collections.abc import Callable, Iterator
from itertools import chain

from tillwatch.audit.compare import ROWS_PER_LOOK, Task, Unsuited
from tillwatch.audit.pushdown.asking import MAX_DIFFERING_SHARE, MAX_KEYS, Found, refuse_keyless
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.scroll import ITEM, ODD, SCROLLS, Cell, Scroll, key_of
from tillwatch.audit.pushdown.statements import Asker
from tillwatch.audit.pushdown.streams import cells
from tillwatch.audit.pushdown.unmatched import Unmatched
from tillwatch.audit.reading import SIDES


def scrolls(pair: Pair, askers: Both[Asker]) -> Both[Scroll]:
    """How each side is read. Raises Refused when one of them cannot be read in cells."""

    def made(side: str) -> Scroll:
        asker = askers.of(side)
        scroll = SCROLLS[asker.session.dialect](asker)
        scroll.refuse()
        return scroll

    return pair.both("looking at how rows are kept", made)


def match(pair: Pair, task: Task, askers: Both[Asker], ways: Both[Scroll], found: Found) -> None:
    """Fill `found` with the number of rows and the keys that differ. Raises Unsuited when far too many do."""
    rows = dict.fromkeys(SIDES, 0)
    marked: list[bytes] = []
    parts = len(task.declared.key)
    readers = Both[Callable[[], Iterator[Cell]]](left=ways.left.cells, right=ways.right.cells)
    with Unmatched() as unmatched:
        for side, cell in cells(pair, task.gate, readers):
            rows[side] += cell.rows
            items = cell.split()
            unmatched.add(side, items)
            # An odd row stands for nothing, so its equal on the other side does not either.
            marked += [item for item in items if item.startswith(ODD)] if _holds_odd(cell) else []
            if len(marked) > len(SIDES) * MAX_KEYS:
                raise Unsuited(f"more than {MAX_KEYS} rows hold a value that only reading can tell")
        found.rows = rows
        if marked:
            refuse_keyless(pair, task, askers)
        most = min(MAX_KEYS, max(1, int(MAX_DIFFERING_SHARE * max(rows.values()))))
        for number, item in enumerate(chain(marked, unmatched.found())):
            if number % ROWS_PER_LOOK == 0:
                task.gate.check("matching")
            found.keys[key_of(item, parts)] = None
            if len(found.keys) > most:
                raise Unsuited(f"more than {most} of {max(rows.values())} rows differ")
    found.how.append("the records of all rows were matched")


def _holds_odd(cell: Cell) -> bool:
    """Quick, and wrong only in one direction."""
    return cell.items.startswith(ODD) or ITEM + ODD in cell.items
