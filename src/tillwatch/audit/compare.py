"""Finding the keys on which two sides differ. A strategy only finds suspects; whether they are differences is settled
afterwards, so that a cheaper strategy can take its place without knowing about rows in flight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import ClassVar, Protocol

import orjson

from tillwatch.audit.canonical import Rule
from tillwatch.audit.declare import Declared
from tillwatch.audit.reading import SIDES, Gate, SideFault, Sides
from tillwatch.audit.rows import MAX_EXAMPLES, Cell, decode_key
from tillwatch.audit.spill import Pair, Spill
from tillwatch.audit.value import EXACT
from tillwatch.errors import TillwatchError

#: Rows compared between two looks at the deadline.
ROWS_PER_LOOK = 1000


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a strategy works with."""

    declared: Declared
    sides: Sides
    spill: Spill
    gate: Gate


class Unsuited(TillwatchError):
    """This strategy cannot prove the audit on these systems as they are now. Nothing was found; the message, half a
    sentence that goes on after "because", is shown in the report beside the strategy that took its place."""


class Strategy(Protocol):
    """One way to find suspects. After `find`, `task.spill` holds every key on which the sides differ, and
    `task.sides` says how much was read.

    Returns half a sentence on how it went for the report, empty when there is nothing to add to why it was chosen.
    Raises SideFault when a side gives no evidence and Unsuited when another strategy must take its place.
    """

    name: ClassVar[str]

    def find(self, task: Task) -> str: ...


class Stream:
    """Read both sides whole, sort, merge. Always possible; memory is bounded by the spill."""

    name: ClassVar[str] = "stream"

    def find(self, task: Task) -> str:
        task.sides.read_all()
        refuse_repeated(task)
        find_suspects(task)
        return ""


def find_suspects(task: Task) -> None:
    """Mark every key whose rows, as they were read from both sides, differ."""
    differ = Difference(task.declared.fields)
    for number, pair in enumerate(task.spill.unequal()):
        if number % ROWS_PER_LOOK == 0:
            task.gate.check("comparing")
        if differ.fields(pair) != ():
            task.spill.suspect(pair)


def refuse_repeated(task: Task) -> None:
    """Raises SideFault naming the keys that stand twice on a side, and rows without a key: they match nothing."""
    reasons: list[str] = []
    for side in SIDES:
        read = task.sides.reads[side]
        repeated = task.spill.repeated(side, examples=MAX_EXAMPLES)
        if repeated.keys:
            shown = [_spoken(decode_key(task.declared, key)) for key in repeated.examples]
            reasons.append(
                f"{read} holds {repeated.keys} {_keys(repeated.keys)} more than once: {_listed(shown, repeated.keys)}; "
                "make the key unique or fix the rows"
            )
        if read.faults.keyless:
            reasons.append(
                f"{read} holds {read.faults.keyless} rows without a usable key: "
                f"{_listed(read.faults.keyless_examples, read.faults.keyless)}"
            )
    if reasons:
        raise SideFault("; ".join(reasons))


def _spoken(key: dict[str, str]) -> str:
    return "/".join(key.values())


def _keys(count: int) -> str:
    return "key" if count == 1 else "keys"


def _listed(examples: Sequence[str], total: int) -> str:
    more = f" and {total - len(examples)} more" if total > len(examples) else ""
    return ", ".join(examples) + more


class Difference:
    """Which fields of a pair differ, tolerances applied."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        #: True when rows are equal only if their bytes are.
        self.exact = not any(rule.tolerance for rule in self._rules)

    def fields(self, pair: Pair) -> tuple[str, ...] | None:
        """Names of the fields that differ, () when the rows are equal, None when one of them is not there."""
        if pair.left is None or pair.right is None:
            return () if pair.left is pair.right else None
        if pair.left.cells == pair.right.cells:
            return ()
        left, right = orjson.loads(pair.left.cells), orjson.loads(pair.right.cells)
        return tuple(
            rule.name
            for rule, one, other in zip(self._rules, left, right, strict=True)
            if one != other and not _within(rule.tolerance, one, other)
        )


def _within(tolerance: Decimal | None, one: Cell, other: Cell) -> bool:
    """Whether two canonical numbers are no further apart than `tolerance`. NULL and unreadable values never are."""
    if tolerance is None or not isinstance(one, str) or not isinstance(other, str):
        return False
    try:
        return EXACT.subtract(Decimal(one), Decimal(other)).copy_abs() <= tolerance
    except InvalidOperation:
        return False
