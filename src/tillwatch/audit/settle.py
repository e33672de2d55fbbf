"""Rows in flight are not drift: differing keys are read again after the settle window before anything is said.

    equal now                       cleared: it was in flight
    unequal, both sides unchanged   confirmed: nobody moved it for a whole window
    unequal, a side changed         still moving: waits for another window, and is unsettled when the rounds are over

A correct sync that applies every change within the window is therefore never called drift. A row that toggles A → B → A
inside one window without leaving a trace in its compared fields can look unchanged; the window should be longer than
the sync's slowest normal delay.
"""

import enum
from datetime import timedelta

from tillwatch.audit.compare import ROWS_PER_LOOK, Difference, Task
from tillwatch.audit.reading import SideFault
from tillwatch.audit.rows import MAX_EXAMPLES, decode_key
from tillwatch.audit.spill import Half, Pair, Stand

#: Windows waited for a key that keeps moving; afterwards it is reported as unsettled.
MAX_ROUNDS = 3
#: With more suspects than this, reading both sides whole again is cheaper than asking for single keys.
MAX_KEYS_ASKED = 5_000
#: Longest sleep between two looks at the deadline and a request to stop.
SLEEP_SECONDS = 0.5


class Settled(enum.StrEnum):
    CLEARED = "cleared"
    CONFIRMED = "confirmed"
    MOVING = "moving"


def judge(before: Pair, now: Pair, difference: Difference) -> Settled:
    """What one more look at a suspect says."""
    if difference.fields(now) == ():
        return Settled.CLEARED
    if _same(before.left, now.left) and _same(before.right, now.right):
        return Settled.CONFIRMED
    return Settled.MOVING


def _same(before: Half | None, now: Half | None) -> bool:
    if before is None or now is None:
        return before is now
    return before.cells == now.cells


def settle(task: Task, window: timedelta) -> int:
    """Wait and read again until every suspect is confirmed or cleared, at most MAX_ROUNDS times.

    Returns the rounds it took. Afterwards pending suspects are those that kept moving. Raises SideFault when a side
    can no longer be read: then no suspect is confirmed.
    """
    if not window:
        task.spill.confirm_all()
        return 0
    difference = Difference(task.declared.fields)
    rounds = 0
    while rounds < MAX_ROUNDS and (pending := task.spill.count(Stand.PENDING)):
        rounds += 1
        _wait(task, window, pending)
        _read_again(task, pending)
        for number, (before, now) in enumerate(task.spill.again()):
            if number % ROWS_PER_LOOK == 0:
                task.gate.check("comparing again")
            verdict = judge(before, now, difference)
            stand = {Settled.CLEARED: Stand.CLEARED, Settled.CONFIRMED: Stand.CONFIRMED}.get(verdict, Stand.PENDING)
            task.spill.suspect(now, stand)
    return rounds


def _wait(task: Task, window: timedelta, pending: int) -> None:
    """Sleep one window in short naps. The time does not count against the audit's timeout."""
    gate = task.gate
    until = gate.clock.monotonic() + window.total_seconds()
    gate.deadline += window.total_seconds()
    while (left := until - gate.clock.monotonic()) > 0:
        gate.check(f"waiting for {pending} differing rows to settle")
        gate.clock.sleep(min(left, SLEEP_SECONDS))


def _read_again(task: Task, pending: int) -> None:
    if pending <= MAX_KEYS_ASKED and task.sides.can_ask_by_key():
        task.sides.read_keys([decode_key(task.declared, pair.key) for pair in task.spill.suspects(Stand.PENDING)])
    else:
        task.sides.read_all(pending_only=True)
    for side in ("left", "right"):
        repeated = task.spill.repeated(side, examples=MAX_EXAMPLES)
        if repeated.keys:
            shown = ", ".join("/".join(decode_key(task.declared, key).values()) for key in repeated.examples)
            raise SideFault(f"{task.sides.reads[side]} holds keys more than once: {shown}; make the key unique")
