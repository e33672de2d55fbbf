"""Turns in a database: at most so many audits of a process ask one at a time, however many run and by what strategy.

Validations and acceptances take a turn for each dataset they read, one after the other; who waits for one holds none.

A run takes a place in the databases of both its sides at once or waits, so two audits with swapped sides never wait for
each other. It holds them while it reads, not while it waits for rows to settle.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Protocol, Self, TypeVar

from tillwatch.clock import Clock
from tillwatch.sources.base import Source
from tillwatch.sources.sql import SqlSource

#: Queries at a time in one database, however many workers there are: more only move the queue into the ERP.
QUERIES_PER_DATABASE = 2
#: How often a run that waits looks at a request to stop.
WAIT_SECONDS = 0.1

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(kw_only=True, eq=False)
class Throttle:
    """How many may look into each database at once. Thread-safe."""

    limit: int = QUERIES_PER_DATABASE
    _used: dict[str, int] = field(default_factory=dict)
    #: Who waits, in the order they came: nobody is overtaken by those who need fewer databases.
    _waiting: dict[object, Sequence[str]] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, places: Sequence[str]) -> bool:
        """A place in each of `places`, or in none. A database named twice gives two queries at a time."""
        with self._changed:
            return self._take(places, None)

    def wait(self, places: Sequence[str], ticket: object, seconds: float) -> bool:
        """As `take`, behind those who came before; waits so long at most. A `ticket` that got none has to be given up
        with `leave`."""
        with self._changed:
            self._waiting.setdefault(ticket, places)
            if not (taken := self._take(places, ticket)):
                self._changed.wait(seconds)
                taken = self._take(places, ticket)
            if taken:
                del self._waiting[ticket]
            return taken

    def leave(self, ticket: object) -> None:
        """Wait no longer."""
        with self._changed:
            self._waiting.pop(ticket, None)
            self._changed.notify_all()

    def give_back(self, places: Sequence[str]) -> None:
        with self._changed:
            for place in places:
                self._used[place] -= 1
            self._changed.notify_all()

    def busy(self) -> dict[str, int]:
        """Places taken just now, by database."""
        with self._changed:
            return {place: count for place, count in self._used.items() if count}

    def _take(self, places: Sequence[str], ticket: object) -> bool:
        for other, wanted in self._waiting.items():
            if other is ticket:
                break
            if not set(wanted).isdisjoint(places):
                return False
        if any(self._used.get(place, 0) + places.count(place) > self.limit for place in places):
            return False
        for place in places:
            self._used[place] = self._used.get(place, 0) + 1
        return True


#: One for everything that is audited or validated in this process.
SHARED = Throttle()


def place_of(source: Source) -> str:
    """What a source is counted by: its database, which several systems may share, else the system itself."""
    return source.database if isinstance(source, SqlSource) else f"system {source.id}"


class _Gate(Protocol):
    clock: Clock
    deadline: float

    def check(self, doing: str) -> None: ...


class Turn:
    """The turn of one run: `with turn:` while it asks its databases, also inside another one. Used by one thread."""

    def __init__(self, throttle: Throttle, sources: Sequence[Source], gate: _Gate) -> None:
        """`sources`: all that are asked at the same time, both sides of an audit or one dataset."""
        self.throttle, self.places = throttle, tuple(map(place_of, sources))
        self._gate = gate
        self._depth = 0

    def __enter__(self) -> Self:
        if self._depth == 0:
            self._wait()
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.throttle.give_back(self.places)

    def _wait(self) -> None:
        clock = self._gate.clock
        try:
            while True:
                before = clock.monotonic()
                taken = self.throttle.wait(self.places, self, WAIT_SECONDS)
                # The queue is ours: no side is too slow because another audit reads it.
                self._gate.deadline += clock.monotonic() - before
                if taken:
                    return
                self._gate.check(f"waiting for a turn in {' and '.join(self.places)}")
        except BaseException:
            self.throttle.leave(self)
            raise


class _InTurn(Protocol):
    @property
    def turn(self) -> Turn: ...


S = TypeVar("S", bound=_InTurn)


def in_turn(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that asks the databases waits for its turn, unless the turn is its caller's already."""

    @wraps(method)
    def waiting(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.turn:
            return method(self, *args, **kwargs)

    return waiting
