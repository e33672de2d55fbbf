"""What a proven audit run leaves behind, so that the next one needs to look only at what changed since."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A side's own fingerprint of one bucket. It is compared with the same side's earlier one, never across sides."""

    rows: int
    fingerprint: int


#: A bucket without rows.
NOTHING = Mark(rows=0, fingerprint=0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """Rows whose keys begin alike, proven equal on both sides at `verified_at` when the sides looked like this."""

    left: Mark
    right: Mark
    verified_at: datetime


@dataclass(frozen=True, kw_only=True)
class SideProof:
    rows: int
    #: What the marks are made from and of which database; marks of another basis mean nothing. Empty = no marks.
    basis: str = ""
    #: The newest change the side knew of before it was read, by its own clock; None when it cannot say.
    newest_change: datetime | None = None
    #: With what the side can be asked for everything that changed since it was read, deletions included; empty when it
    #: cannot.
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The last good state of an audit."""

    audit: str
    run: int
    #: Of the audit as declared: another key, field or tolerance makes an old proof worthless.
    signature: str
    #: When the last proven run began, when everything was last read, and when a deletion was last sure to be seen.
    proven_at: datetime
    full_at: datetime
    swept_at: datetime
    #: Delta runs since `swept_at`.
    deltas: int = 0
    left: SideProof
    right: SideProof
    #: Both systems write every key exactly as it is compared.
    exact_keys: bool
    #: Characters of a key that name its bucket; 0 = there are no buckets.
    prefix: int = 0
    #: By name; a bucket that held a difference is not among them and is read by every run.
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    #: Keys known to differ, None when they were too many to keep.
    known: tuple[Mapping[str, str], ...] | None = ()
    #: When a full run began that has not ended; buckets verified since then need not be read by the one that goes on.
    unfinished_since: datetime | None = None

    @property
    def oldest_verified_at(self) -> datetime:
        """Since when the row looked at longest ago has not been looked at."""
        return min((bucket.verified_at for bucket in self.buckets.values()), default=self.full_at)
