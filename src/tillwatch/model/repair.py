"""Repairs: from the differences of one audit run to documents in the other system, one item a document."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tillwatch.model.audit import DifferenceKind


class RepairStatus(enum.StrEnum):
    """Where one item stands. It is written to the journal before anything is sent."""

    PENDING = "pending"
    #: The journal says "about to send": after a crash only a search by reference tells what became of it.
    SENDING = "sending"
    DONE = "done"
    #: Nothing was sent, on purpose; the reason says why (already equal, not repairable, moved since the plan).
    SKIPPED = "skipped"
    #: Refused, or the other system does not hold what it should; applying the plan again tries again.
    FAILED = "failed"
    #: Nobody can tell whether it was sent. Applying again searches by reference first, and never sends blindly.
    UNKNOWN = "unknown"
    #: The journal says "about to take back"; undoing again carries it on.
    UNDOING = "undoing"
    #: Nobody can tell whether it was taken back; undoing again only searches.
    UNDO_UNKNOWN = "undo_unknown"
    #: Taken back: the other system is as the repair found it. Applying the plan again does not send it again.
    UNDONE = "undone"

    @property
    def is_final(self) -> bool:
        """Applying the plan again has nothing to do for it."""
        return self not in {RepairStatus.PENDING, RepairStatus.SENDING, RepairStatus.FAILED, RepairStatus.UNKNOWN}


class RepairAction(enum.StrEnum):
    """What the plan wants in the target system."""

    CREATE = "create"
    CORRECT = "correct"
    #: What stands only in the target system is taken back there by its own means, never deleted.
    REVERSE = "reverse"
    #: A person has to decide: we never delete, and never write what the truth does not say.
    MANUAL = "manual"


@dataclass(frozen=True, kw_only=True)
class RepairItem:
    """One difference and the document that would settle it."""

    #: Position in the plan, from 1.
    number: int
    key: Mapping[str, str]
    kind: DifferenceKind
    action: RepairAction
    #: The document as JSON (`sources.documents.document_to_json`); empty for manual items.
    document: Mapping[str, object] = field(default_factory=dict)
    #: What the sides held when the audit looked (canonical text).
    left: Mapping[str, str | None] | None = None
    right: Mapping[str, str | None] | None = None
    value_at_risk: Decimal = Decimal(0)
    status: RepairStatus = RepairStatus.PENDING
    #: One sentence: why this status.
    reason: str = ""
    attempts: int = 0
    #: The receipt as JSON (`sources.documents.receipt_to_json`), once there is one.
    receipt: Mapping[str, object] = field(default_factory=dict)
    updated_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RepairPlan:
    """All items of one audit run. A run has one plan: planning it again returns the same one."""

    id: int
    run: int
    audit: str
    #: The system that receives the documents.
    system: str
    #: SHA-256 over run, system and items as planned; it does not change while items are applied.
    digest: str
    created_at: datetime
    created_by: str
    items: tuple[RepairItem, ...] = ()

    def count(self, status: RepairStatus) -> int:
        return sum(1 for item in self.items if item.status is status)


@dataclass(frozen=True, kw_only=True)
class RepairResult:
    """What one call of apply did, item numbers and keys by outcome."""

    plan: int
    #: Posted now, or found to stand there already through an earlier attempt of ours.
    ok: tuple[RepairItem, ...] = ()
    failed: tuple[RepairItem, ...] = ()
    skipped: tuple[RepairItem, ...] = ()
    unknown: tuple[RepairItem, ...] = ()
    #: Items this call did not get to (limit reached, or told to stop).
    left_over: int = 0
    #: Why it stopped early; empty when it went through.
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Nothing failed, nothing is unknown and nothing is left over."""
        return not self.failed and not self.unknown and not self.left_over


@dataclass(frozen=True, kw_only=True)
class UndoResult:
    """What one call of undo did."""

    plan: int
    #: Taken back, now or by an earlier call.
    undone: tuple[RepairItem, ...] = ()
    #: Still stands; the item's reason says why it was not taken back.
    kept: tuple[RepairItem, ...] = ()
    unknown: tuple[RepairItem, ...] = ()
    #: Why it stopped early; empty when it went through.
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Everything the repair sent is taken back."""
        return not self.kept and not self.unknown
