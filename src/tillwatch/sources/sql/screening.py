"""What a source offers beside `Source` when it can sort out rows by itself: a statement of the caller's own making.

The statement gives rows that the caller wants to look at and nothing of the others; how many were looked at is counted
in the same snapshot.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from tillwatch.sources.base import Reading
from tillwatch.sources.sql.session import Session


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One SELECT: the fields asked for, then a column for each of `flags`."""

    statement: str
    #: Names of the columns after the fields; in a row they stand beside them.
    flags: tuple[str, ...] = ()
    #: SQLite: functions of ours that the statement calls with one value.
    functions: Mapping[str, Callable[[object], bool]] = field(default_factory=dict)


@runtime_checkable
class Screens(Protocol):
    """Methods may block and raise what `Source.read` raises."""

    def session(self, dataset: str, fields: Sequence[str]) -> Session: ...

    def read_screened(self, dataset: str, fields: Sequence[str], screen: Screen) -> Reading:
        """The rows the statement gives; the tail says how many the dataset holds."""
        ...
