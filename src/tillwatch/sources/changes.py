"""What a source offers beside `Source` when it can say what changed in it without handing over every row.

A bucket is the rows whose keys, as text, begin with the same characters. Its fingerprint changes when a row in it is
added, removed or changed; it is compared with the same source's earlier one only, so it needs no canonical form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from tillwatch.model.proof import Mark
from tillwatch.sources.base import Reading

#: Stands between the parts of a composite key in the text a bucket is named after.
KEY_SEPARATOR = "\x1f"


@dataclass(frozen=True, kw_only=True)
class ChangeSupport:
    """What a dataset can say of its changes."""

    #: What its fingerprints are made from, and of which database.
    basis: str
    #: In words for people, by language.
    made_from: Mapping[str, str]
    #: The canonical field that says when a row changed; empty when there is none.
    change_field: str
    #: Counted when asked for.
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Part of a dataset: the rows of some buckets."""

    key: tuple[str, ...]
    prefix: int
    buckets: frozenset[str] = field(default=frozenset())


@runtime_checkable
class Changes(Protocol):
    """Methods may block and may be called from several threads; they raise what `Source.read` raises."""

    def change_support(self, dataset: str, fields: Sequence[str], *, count: bool) -> ChangeSupport: ...

    def sample_keys(self, dataset: str, key: Sequence[str], *, share: float) -> list[str]:
        """About `share` of the dataset's keys, picked at random, as the text buckets are named after."""
        ...

    def fingerprints(self, dataset: str, fields: Sequence[str], slices: Slices) -> dict[str, Mark]:
        """Every bucket of the dataset (`slices.buckets` is not looked at), in one snapshot."""
        ...

    def read_slices(self, dataset: str, fields: Sequence[str], slices: Slices) -> Reading:
        """The rows of `slices.buckets`."""
        ...

    def newest_change(self, dataset: str, *, until: datetime) -> datetime | None:
        """The newest change before `until` by the dataset's change field; a date in the future would hide what
        comes. None when there is none."""
        ...


def key_text(parts: Sequence[str]) -> str:
    return KEY_SEPARATOR.join(parts)
