"""What a source offers beside `Source` when it can say what changed in it without handing over every row.

A bucket is the rows whose keys, as text, begin with the same characters. Its fingerprint changes when a row in it is
added, removed or changed; it is compared with the same source's earlier one only, so it needs no canonical form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from tillwatch.errors import Cause, SourceError
from tillwatch.model.audit import Value
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


class TrackLost(SourceError):
    """The system no longer knows what changed since a token; only reading everything gives a new one. The message,
    half a sentence that goes on after "because", is shown in the report."""

    cause = Cause.DATA


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """What changed since a token was given."""

    #: The keys of rows added, changed or removed, by field; what was changed twice may stand here twice.
    keys: tuple[Mapping[str, Value], ...]
    #: How many of them were removed, and how many changes could not be told by the key asked for.
    removed: int = 0
    unnamed: int = 0
    #: More changed than was wanted: `keys` is not all, and `token` is not to be kept.
    more: bool = False
    #: With what to ask for what changes from here on.
    token: str
    #: The system's own count of all rows now, None when it cannot say.
    rows: int | None = None


@runtime_checkable
class Tracks(Protocol):
    """A system that keeps track of changes for us; `Tail.token` of a whole reading is where it begins.

    Methods may block and may be called from several threads; they raise what `Source.read` raises.
    """

    def tracks(self, dataset: str) -> bool:
        """Whether it is told to. Asks nobody."""
        ...

    def changes_since(
        self, dataset: str, fields: Sequence[str], key: Sequence[str], token: str, *, limit: int
    ) -> Tracked:
        """Raises TrackLost when the token, or what it was given for, is not known any more."""
        ...

    def cuts(self, dataset: str, key: Sequence[str]) -> bool:
        """Whether `read_slices` can be asked by this key."""
        ...

    def read_slices(self, dataset: str, fields: Sequence[str], slices: Slices) -> Reading:
        """The rows of `slices.buckets`."""
        ...


def key_text(parts: Sequence[str]) -> str:
    return KEY_SEPARATOR.join(parts)
