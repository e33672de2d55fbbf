"""One document at a time: sent once, or not at all, and written down before and after.

For each item, in this order:
 1. An item cut off while it was being sent waits until nothing of it can be under way any more; then it is searched by
    reference. Found = done. One whose answer was lost is only ever searched again, never sent again.
 2. The other system plans the document (read-only), with its before-image, and says whether it may be posted.
 3. Both sides are looked at once more. What agrees already, or moved since the audit, is not sent.
 4. The journal is written: about to send, with the before-image. Only who still holds the lease gets past this.
 5. The document is sent once. The source searches by reference before it creates anything, and writes only over what
    still is the before-image.
 6. Both sides are read again; only agreement is called done.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from sqlalchemy import Connection

from tillwatch.audit.declare import Declared
from tillwatch.audit.look import Seen, look
from tillwatch.clock import Clock
from tillwatch.errors import AuthRefused, OutcomeUnknown, RefusedError, TillwatchError
from tillwatch.model.repair import RepairAction, RepairItem, RepairPlan, RepairStatus
from tillwatch.sources.base import Operation, Source
from tillwatch.sources.documents import (
    Document,
    Plan,
    Receipt,
    StockCount,
    document_from_json,
    plan_to_json,
    receipt_to_json,
)
from tillwatch.store import leases
from tillwatch.store import repairs as records
from tillwatch.store.db import Database

_log = logging.getLogger(__name__)

#: Who repairs a system holds its lease; renewed three times within it, so a dead process frees it soon.
LEASE = timedelta(seconds=15)
#: After this long nothing of an interrupted request is under way any more; only then does "not found" mean "not sent".
IN_FLIGHT = timedelta(seconds=10)
#: Longest sleep between two looks at a request to stop.
NAP_SECONDS = 0.5

_OPERATIONS = {
    RepairAction.CREATE: {Operation.CREATE, Operation.FINISH},
    RepairAction.CORRECT: {Operation.CORRECT, Operation.FINISH},
    # An order is cancelled; stock goes by a movement the other way, a document of its own.
    RepairAction.REVERSE: {Operation.CANCEL, Operation.CREATE, Operation.FINISH},
}


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What applying one item would do now; nothing was sent."""

    item: RepairItem
    #: The other system's plan; None when nothing would be sent.
    plan: Plan | None
    #: Why nothing would be sent; empty when something would.
    reason: str = ""


class Lost(TillwatchError):
    """Another process holds the lease now: stop at once."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """A lease we took."""

    name: str
    owner: str
    epoch: int

    def renew(self, connection: Connection, database: Database) -> bool:
        return leases.renew(connection, self.name, self.owner, self.epoch, LEASE, database.now(connection))


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Works on the items of one plan."""

    plan: RepairPlan
    declared: Declared
    left: Source
    right: Source
    by_key: bool
    #: Field with the quantity, where the audit compares stock.
    quantity: str
    database: Database
    clock: Clock
    actor: str
    held: Held | None

    def preview(self, item: RepairItem) -> Preview:
        planned = self.right.plan(document_from_json(item.document))
        if reason := self._not_now(item, self._look(item)):
            return Preview(item=item, plan=None, reason=reason)
        return Preview(item=item, plan=planned, reason=_refusal(item, planned))

    def apply(self, item: RepairItem, stop: Callable[[], bool]) -> int:
        """Carry one item as far as it goes and write down how far; returns the documents sent (0 or 1).

        Raises AuthRefused, RefusedError and Lost: then nothing more can be sent at all.
        """
        document = document_from_json(item.document)
        try:
            if item.status in {RepairStatus.SENDING, RepairStatus.UNKNOWN}:
                if not self._let_land(item, stop):
                    return 0
                if (receipt := self.right.find(document)) is not None:
                    self._after(item, receipt, None, found=True)
                    return 0
                if item.status is RepairStatus.UNKNOWN:
                    return 0
            # Planned before it is looked at: what changes in between shows in the look, what changes later no longer is
            # the plan's before-image, and the source refuses to write over it.
            planned = self.right.plan(document)
            if reason := self._not_now(item, self._look(item)):
                self._settle(item, RepairStatus.SKIPPED, reason)
                return 0
            if reason := _refusal(item, planned):
                self._settle(item, RepairStatus.FAILED, reason)
                return 0
        except (AuthRefused, RefusedError):
            raise
        except TillwatchError as error:
            # Nothing was sent. An item that was cut off keeps its status: it must still be searched for.
            if item.status not in {RepairStatus.SENDING, RepairStatus.UNKNOWN}:
                self._settle(item, RepairStatus.FAILED, str(error))
            return 0
        return self._send(item, document, planned)

    def holds(self, item: RepairItem) -> bool:
        """Whether both sides still agree on what was sent."""
        return self._agrees(item, self._look(item))

    def _agrees(self, item: RepairItem, seen: Seen) -> bool:
        """Both sides agree; stock that was taken back leaves a row that says 0, and that is all there can be."""
        if seen.differing == ():
            return True
        if item.action is not RepairAction.REVERSE or seen.left is not None or seen.right is None:
            return False
        left_over = seen.right.get(self.quantity)
        return item.document["kind"] == StockCount.kind and left_over is not None and not Decimal(left_over)

    def _let_land(self, item: RepairItem, stop: Callable[[], bool]) -> bool:
        """Wait until nothing of an earlier attempt can be under way. False when told to stop."""
        while item.updated_at is not None and self.clock.now() < item.updated_at + IN_FLIGHT:
            if stop():
                return False
            self.clock.sleep(NAP_SECONDS)
        return True

    def _look(self, item: RepairItem) -> Seen:
        return look(self.declared, self.left, self.right, item.key, by_key=self.by_key)

    def _not_now(self, item: RepairItem, seen: Seen) -> str:
        """Why nothing may be sent for `item`; empty when it may."""
        if self._agrees(item, seen):
            return "both sides agree already"
        if seen.left != self.compared(item.left):
            return "the side of truth moved since the audit; run the audit again and plan anew"
        if item.attempts == 0 and seen.right != self.compared(item.right):
            return f"{self.plan.system} moved since the audit; run the audit again and plan anew"
        return ""

    def compared(self, cells: object) -> dict[str, str | None] | None:
        """The compared fields of a difference, without what was only shown beside them."""
        if cells is None:
            return None
        assert isinstance(cells, dict)
        return {rule.name: cells.get(rule.name) for rule in self.declared.fields}

    def _send(self, item: RepairItem, document: Document, planned: Plan) -> int:
        attempt = self._open(item, planned)
        try:
            receipt = self.right.write(planned)
        except OutcomeUnknown as error:
            self._settle(item, RepairStatus.UNKNOWN, f"{error}; apply again later to search for it", attempt=attempt)
            return 1
        except (AuthRefused, RefusedError) as error:
            self._settle(item, RepairStatus.FAILED, str(error), attempt=attempt)
            raise
        except TillwatchError as error:
            self._settle(item, RepairStatus.FAILED, str(error), attempt=attempt)
            return 1
        except Exception as error:
            _log.exception("item %s of repair plan %s: a defect while %s was sent", item.number, self.plan.id, document)
            reason = f"a defect while it was sent: {type(error).__name__}: {error}; apply again later to search for it"
            self._settle(item, RepairStatus.UNKNOWN, reason, attempt=attempt)
            return 1
        self._after(item, receipt, attempt, found=False)
        return 1

    def _open(self, item: RepairItem, planned: Plan) -> int:
        """The journal row before the document, in one transaction with the proof that the lease is still ours."""
        now = self.clock.now()
        held = self.held
        assert held is not None

        def job(connection: Connection) -> int:
            if not held.renew(connection, self.database):
                raise Lost(f"another process took over the repair of '{self.plan.system}'; nothing more is sent here")
            opened = records.open_attempt(
                connection, self.plan.id, item, actor=self.actor, now=now, sent=plan_to_json(planned)
            )
            if opened is None:
                raise Lost(f"item {item.number} of repair plan {self.plan.id} is in other hands; nothing was sent")
            return opened

        return self.database.write(job)

    def _after(self, item: RepairItem, receipt: Receipt, attempt: int | None, *, found: bool) -> None:
        """It stands there; believe it only when both sides, read again, agree."""
        what = "found by its reference" if found else str(receipt.state)
        try:
            seen = self._look(item)
        except TillwatchError as error:
            reason = f"{what} as {receipt.document_id}, but not verified: {error}"
            self._settle(item, RepairStatus.FAILED, reason, receipt=receipt, attempt=attempt)
            return
        if self._agrees(item, seen):
            reason = f"{what} as {receipt.document_id}; both sides agree"
            self._settle(item, RepairStatus.DONE, reason, receipt=receipt, attempt=attempt)
            return
        still = ", ".join(seen.differing) if seen.differing else "one side has no such row"
        reason = f"{what} as {receipt.document_id}, but the sides still differ ({still}); run the audit again"
        self._settle(item, RepairStatus.FAILED, reason, receipt=receipt, attempt=attempt)

    def _settle(
        self,
        item: RepairItem,
        status: RepairStatus,
        reason: str,
        *,
        receipt: Receipt | None = None,
        attempt: int | None = None,
    ) -> None:
        now = self.clock.now()
        document = None if receipt is None else receipt_to_json(receipt)

        def job(connection: Connection) -> None:
            records.settle_item(
                connection, self.plan.id, item.number, status, reason, now=now, receipt=document, attempt=attempt
            )

        self.database.write(job)


def _refusal(item: RepairItem, planned: Plan) -> str:
    """Why the other system's plan must not be carried out; empty when it may."""
    if not planned.possible:
        failed = [
            condition.message.get("en", condition.name) for condition in planned.preconditions if not condition.ok
        ]
        return "; ".join(failed)
    if planned.operation is Operation.NONE:
        return (
            f"{planned.system} already holds exactly this document, yet the audit's fields differ; "
            "look at the dataset's mapping"
        )
    if item.attempts == 0 and planned.operation not in _OPERATIONS[item.action]:
        return f"{planned.system} would {planned.operation} where the audit wants to {item.action}; run the audit again"
    return ""
