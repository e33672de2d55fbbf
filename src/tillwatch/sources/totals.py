"""What a source offers beside `Source` when it can count and sum rows by group where they lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tillwatch.model.audit import Value


@dataclass(frozen=True, kw_only=True)
class Total:
    """Of the rows of one group."""

    rows: int
    #: In the order asked for; None where no row has a value.
    sums: tuple[Value, ...]


@runtime_checkable
class Totals(Protocol):
    """Errors that make up for each other do not show: an alarm, never a proof."""

    def totals(self, dataset: str, by: str, sums: Sequence[str]) -> Mapping[Value, Total]:
        """By the value of the field `by`. Raises what `Source.read` raises."""
        ...
