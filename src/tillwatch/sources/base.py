"""What every source offers. A source only talks to its system; retries, budget and the auth breaker are shared pieces.

Every failure is an error of `tillwatch.errors` with a cause; no message and no repr ever holds a secret.
"""

import enum
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import ClassVar, Protocol, Self

from tillwatch.errors import AuthRefused, Cause, RefusedError, UsageError
from tillwatch.model.audit import Row
from tillwatch.sources.documents import (
    Document,
    Line,
    Operation,
    OrderDocument,
    Plan,
    Precondition,
    Receipt,
    ReceiptState,
    StockCount,
)

__all__ = [
    "BATCH_ROWS",
    "Breaker",
    "Capabilities",
    "Check",
    "CheckOutcome",
    "DatasetDescription",
    "Description",
    "Document",
    "FieldDescription",
    "Line",
    "MemoryBreaker",
    "Operation",
    "OrderDocument",
    "Plan",
    "Precondition",
    "ReadOnly",
    "Reading",
    "Receipt",
    "ReceiptState",
    "Source",
    "StockCount",
    "Tail",
    "credential_digest",
]

#: Rows handed over at once: large enough to amortise a round trip, small enough that 50-column rows stay under ~10 MB.
BATCH_ROWS = 1000


class CheckOutcome(enum.StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIPPED = "skipped"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One step of `Source.check`, in order; the first failed one makes the later ones `skipped`."""

    name: str
    outcome: CheckOutcome
    cause: Cause = Cause.NONE
    seconds: float = 0.0
    #: One sentence, empty when ok and nothing needs saying.
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class FieldDescription:
    """A canonical field and the column that feeds it; `type` is the system's own word for it."""

    name: str
    column: str
    type: str = ""


@dataclass(frozen=True, kw_only=True)
class DatasetDescription:
    name: str
    fields: Mapping[str, FieldDescription]
    #: The canonical field that says when a row changed, empty when the dataset has none (then `since` is refused).
    change_field: str = ""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What this source really does; each flag is tested by the conformance suite, not only declared."""

    count: bool = False
    since: bool = False
    keys: bool = False
    write_orders: bool = False
    write_stock: bool = False
    revert: bool = False
    #: It offers `sources.changes.Changes`.
    changes: bool = False


@dataclass(frozen=True, kw_only=True)
class Description:
    system: str
    product: str
    version: str
    datasets: Mapping[str, DatasetDescription]
    capabilities: Capabilities


@dataclass(frozen=True, kw_only=True)
class Tail:
    """What a finished reading knows about itself."""

    rows: int
    #: The system's own count of the same selection, None when it cannot say.
    server_count: int | None = None
    #: Rows the system looked at to give these; None when it gave all it has.
    looked_at: int | None = None
    #: False when the data moved under the reading (counts disagree, keys came twice): the result is not evidence.
    stable: bool = True
    bytes_read: int = 0
    requests: int = 0
    #: With what to ask for everything that changes from the beginning of this reading on (`sources.changes.Tracks`);
    #: empty when the system does not track this dataset.
    token: str = ""


class Reading:
    """Batches of rows, bounded in memory. Iterate it once, inside `with`; `tail` is there after the last batch."""

    def __init__(self, batches: Iterator[list[Row]], tail: Callable[[], Tail], close: Callable[[], None]) -> None:
        self._batches = batches
        self._tail = tail
        self._close = close
        self._finished = False

    def __iter__(self) -> Iterator[list[Row]]:
        for batch in self._batches:
            if batch:
                yield batch
        self._finished = True

    @property
    def tail(self) -> Tail:
        """Raises UsageError while rows are left: a tail of half a reading would look like a complete one."""
        if not self._finished:
            raise UsageError("the reading is not finished; iterate it to the end before asking for its tail")
        return self._tail()

    def close(self) -> None:
        """Give back the connection; safe to call twice and in the middle."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Source(Protocol):
    """One business system. All methods may block and may be called from several threads at once."""

    kind: ClassVar[str]
    id: str
    capabilities: Capabilities

    def check(self) -> list[Check]:
        """Reach, log in, look at each dataset; never raises for what the system does."""
        ...

    def describe(self) -> Description:
        """What is there, checked against the live system. Raises SchemaMismatch naming what exists instead."""
        ...

    def read(
        self,
        dataset: str,
        fields: Sequence[str] | None = None,
        *,
        since: datetime | None = None,
        keys: Sequence[Mapping[str, str]] | None = None,
    ) -> Reading:
        """Rows of `dataset`: all, those changed at or after `since`, or those whose fields equal one of `keys`.

        Values are Decimal, str, int, bool, aware datetime, date or None; a number that can be money is a Decimal.
        Raises SchemaMismatch for an unknown dataset or field, UsageError when `since` is not supported.
        """
        ...

    def plan(self, document: Document) -> Plan:
        """Read-only: what the system holds now and what `write` would send."""
        ...

    def write(self, plan: Plan) -> Receipt:
        """Make it so, once. The caller has journaled `plan` before.

        Searches by reference first; what is already there is not sent again. Raises RefusedError when writing is not
        enabled, SourceRejected when a precondition does not hold or the document moved since `plan`, OutcomeUnknown
        when an answer was lost and the document cannot be found: then only `find` may be called, never `write`.
        """
        ...

    def find(self, document: Document) -> Receipt | None:
        """Did it happen? A receipt only when the system holds exactly this document, finished."""
        ...

    def revert(self, receipt: Receipt) -> Plan:
        """Read-only: the plan that restores the before-image of `receipt`; give it to `write`."""
        ...

    def close(self) -> None:
        """Log off and give back connections; safe to call twice."""
        ...


class ReadOnly:
    """The writing half of a source that has none."""

    kind: ClassVar[str]
    id: str

    def _refused(self) -> RefusedError:
        return RefusedError(
            f"system {self.id!r} is read only: a {self.kind!r} source cannot post documents; "
            "repair through the system that owns the data"
        )

    def plan(self, document: Document) -> Plan:  # noqa: ARG002
        raise self._refused()

    def write(self, plan: Plan) -> Receipt:  # noqa: ARG002
        raise self._refused()

    def find(self, document: Document) -> Receipt | None:  # noqa: ARG002
        raise self._refused()

    def revert(self, receipt: Receipt) -> Plan:  # noqa: ARG002
        raise self._refused()


class Breaker(Protocol):
    """Remembers that credentials were refused, so that nobody tries them again and locks the account."""

    def check(self, system: str, credential_digest: str) -> None:
        """Raises AuthRefused, without touching the network, when these very credentials were refused before."""
        ...

    def refused(self, system: str, credential_digest: str, reason: str) -> None:
        """Open for these credentials. Other credentials, or an operator's re-arm, close it."""
        ...


@dataclass
class MemoryBreaker:
    """A breaker for one process: the command line and tests. The server uses one that survives a restart."""

    _open: dict[str, tuple[str, str]] = field(default_factory=dict)

    def check(self, system: str, credential_digest: str) -> None:
        digest, reason = self._open.get(system, ("", ""))
        if digest == credential_digest and digest:
            raise AuthRefused(
                f"system {system!r}: these credentials were refused before ({reason}) and are not tried again; "
                "change the password in the chain directory or re-arm the system"
            )

    def refused(self, system: str, credential_digest: str, reason: str) -> None:
        self._open[system] = (credential_digest, reason)

    def rearm(self, system: str) -> None:
        self._open.pop(system, None)


def credential_digest(secret: str, *context: str) -> str:
    """A fingerprint of credentials: changes when they change. Slow on purpose (~50 ms): it is stored, so it must not
    help whoever reads the store to guess a weak password."""
    salt = "\x00".join(("tillwatch", *context)).encode()
    return hashlib.scrypt(secret.encode(), salt=salt, n=2**14, r=8, p=1, dklen=16).hex()
