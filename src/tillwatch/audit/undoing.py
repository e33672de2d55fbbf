"""Taking a repair back, one document at a time: what it found before goes back, and only if nobody used it since.

For each item that was sent:
 1. The other system plans the way back to the before-image (read-only). What was changed or used after us it refuses,
    with its reason: such a document is a person's to correct. Nothing is ever deleted; a sale of ours is cancelled.
 2. The journal is written: about to take back, with the plan. Only who still holds the lease gets past this.
 3. The plan is carried out; the source compares again with what the plan saw before each of its steps.
 4. The other side is read again, and the journal says whether it shows what it showed before the repair.

An undo that was cut off is carried on from the journaled plan, once nothing of it can be under way any more: every step
of a plan looks first at what is there, so a step that happened does not happen again. A new document whose answer was
lost is only searched for; to cancel what is cancelled does nothing.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from tillwatch.audit.look import look
from tillwatch.audit.sending import IN_FLIGHT, NAP_SECONDS, Held, Lost, Preview, Sender
from tillwatch.errors import AuthRefused, OutcomeUnknown, RefusedError, TillwatchError
from tillwatch.model.repair import RepairItem, RepairStatus
from tillwatch.sources.base import Operation
from tillwatch.sources.documents import (
    Plan,
    Receipt,
    ReceiptState,
    plan_from_json,
    plan_to_json,
    receipt_from_json,
    receipt_to_json,
)
from tillwatch.store import repairs as records

_log = logging.getLogger(__name__)

#: To cancel what is cancelled does nothing, nor does bringing back what stands again.
_REPEATABLE = frozenset({Operation.CANCEL, Operation.RESTORE})
#: Marks, in the journal, what was sent to take a document back.
UNDO = "undo"


@dataclass(frozen=True, kw_only=True)
class Undoer:
    """Takes back the items of one plan, with the sources, the lease and the journal of `sender`."""

    sender: Sender

    def preview(self, item: RepairItem) -> Preview:
        if reason := _nothing_to_undo(item):
            return Preview(item=item, plan=None, reason=reason)
        if item.status is not RepairStatus.DONE:
            return Preview(item=item, plan=None, reason=f"is {item.status}; undo again carries it on")
        planned = self.sender.right.revert(self._receipt(item))
        return Preview(item=item, plan=planned, reason=_refusal(planned))

    def undo(self, item: RepairItem, stop: Callable[[], bool]) -> int:
        """Take one item back as far as it goes and write down how far; returns the documents sent (0 or 1).

        Raises AuthRefused, RefusedError and Lost: then nothing more can be sent at all.
        """
        try:
            if item.status is RepairStatus.DONE:
                planned = self.sender.right.revert(self._receipt(item))
                if reason := _refusal(planned):
                    self._settle(item, RepairStatus.DONE, f"not taken back: {reason}")
                    return 0
            else:
                if not self._let_land(item, stop):
                    return 0
                planned = self._cut_off(item)
                if self._landed(planned):
                    self._after(item, planned, None, None)
                    return 0
                if item.status is RepairStatus.UNDO_UNKNOWN and planned.operation not in _REPEATABLE:
                    return 0
        except (AuthRefused, RefusedError):
            raise
        except TillwatchError as error:
            # Nothing was sent, and what was cut off stays so.
            self._settle(item, item.status, f"not taken back: {error}")
            return 0
        return self._send(item, planned)

    def _send(self, item: RepairItem, planned: Plan) -> int:
        attempt = self._open(item, planned)
        try:
            receipt = self.sender.right.write(planned)
        except OutcomeUnknown as error:
            reason = f"{error}; undo again later to search for it"
            self._settle(item, RepairStatus.UNDO_UNKNOWN, reason, attempt=attempt)
            return 1
        except (AuthRefused, RefusedError) as error:
            self._settle(item, RepairStatus.DONE, f"not taken back: {error}", attempt=attempt)
            raise
        except TillwatchError as error:
            self._settle(item, RepairStatus.DONE, f"not taken back: {error}", attempt=attempt)
            return 1
        except Exception as error:
            _log.exception("item %s of repair plan %s: a defect in the undo", item.number, self.sender.plan.id)
            reason = f"a defect while it was taken back: {type(error).__name__}: {error}; undo again later"
            self._settle(item, RepairStatus.UNDO_UNKNOWN, reason, attempt=attempt)
            return 1
        self._after(item, planned, receipt, attempt)
        return 1

    def _receipt(self, item: RepairItem) -> Receipt:
        """What the repair left. One found by its reference after a crash is what the journal says was sent."""
        receipt = receipt_from_json(item.receipt)
        sent = self._journaled(item, undo=False)
        if receipt.state is ReceiptState.POSTED or sent is None:
            return receipt
        return replace(receipt, state=ReceiptState.POSTED, operation=sent.operation, before=sent.before)

    def _cut_off(self, item: RepairItem) -> Plan:
        planned = self._journaled(item, undo=True)
        assert planned is not None
        return planned

    def _journaled(self, item: RepairItem, *, undo: bool) -> Plan | None:
        """The last plan that was about to be sent for `item`, forwards or backwards."""
        with self.sender.database.read() as connection:
            rows = records.attempts(connection, self.sender.plan.id)
        sent = [row["sent"] for row in rows if row["number"] == item.number and bool(row["sent"].get(UNDO)) is undo]
        return plan_from_json(sent[-1]) if sent else None

    def _landed(self, planned: Plan) -> bool:
        """True when the document stands as the undo wants it. A cancelled one cannot be searched for by content."""
        return planned.operation is not Operation.CANCEL and self.sender.right.find(planned.document) is not None

    def _let_land(self, item: RepairItem, stop: Callable[[], bool]) -> bool:
        while item.updated_at is not None and self.sender.clock.now() < item.updated_at + IN_FLIGHT:
            if stop():
                return False
            self.sender.clock.sleep(NAP_SECONDS)
        return True

    def _open(self, item: RepairItem, planned: Plan) -> int:
        """The journal row before the document, in one transaction with the proof that the lease is still ours."""
        now, plan, database = self.sender.clock.now(), self.sender.plan, self.sender.database
        held: Held | None = self.sender.held
        assert held is not None

        def job(connection: Connection) -> int:
            if not held.renew(connection, database):
                raise Lost(f"another process took over the repair of '{plan.system}'; nothing more is sent here")
            sent = {**plan_to_json(planned), UNDO: True}
            opened = records.open_attempt(
                connection, plan.id, item, actor=self.sender.actor, now=now, sent=sent, status=RepairStatus.UNDOING
            )
            if opened is None:
                raise Lost(f"item {item.number} of repair plan {plan.id} is in other hands; nothing was sent")
            return opened

        return database.write(job)

    def _after(self, item: RepairItem, planned: Plan, receipt: Receipt | None, attempt: int | None) -> None:
        """Taken back; say whether the other side shows again what it showed before."""
        sender = self.sender
        what = "found by its reference" if receipt is None else f"taken back ({receipt.state})"
        document = planned.reference if receipt is None else receipt.document_id or planned.reference
        try:
            seen = look(sender.declared, sender.left, sender.right, item.key, by_key=sender.by_key)
        except TillwatchError as error:
            self._settle(item, RepairStatus.UNDONE, f"{what} as {document}, but not looked at again: {error}", attempt)
            return
        reason = f"{what} as {document}; {sender.plan.system} shows what it showed before the repair"
        if seen.right != sender.compared(item.right):
            reason = f"{what} as {document}, but {sender.plan.system} shows something else than before; audit again"
        self._settle(item, RepairStatus.UNDONE, reason, attempt, receipt)

    def _settle(
        self,
        item: RepairItem,
        status: RepairStatus,
        reason: str,
        attempt: int | None = None,
        receipt: Receipt | None = None,
    ) -> None:
        sender, now = self.sender, self.sender.clock.now()
        document = None if receipt is None else receipt_to_json(receipt)
        # Who only looked leaves the time alone: it says since when something may be under way.
        when = item.updated_at if attempt is None and status is item.status else now

        def job(connection: Connection) -> None:
            records.settle_item(
                connection,
                sender.plan.id,
                item.number,
                status,
                reason,
                now=when or now,
                receipt=document,
                attempt=attempt,
            )

        sender.database.write(job)


def to_undo(item: RepairItem) -> bool:
    """True for what was sent and is not taken back."""
    return not _nothing_to_undo(item)


def _nothing_to_undo(item: RepairItem) -> str:
    if item.status in {RepairStatus.UNDOING, RepairStatus.UNDO_UNKNOWN}:
        return ""
    if item.status is not RepairStatus.DONE:
        return f"is {item.status}; only what was done is taken back"
    return "" if item.receipt else "nothing was sent for it"


def _refusal(planned: Plan) -> str:
    """Why the way back must not be taken; empty when it may."""
    if not planned.possible:
        return "; ".join(one.message.get("en", one.name) for one in planned.preconditions if not one.ok)
    if planned.operation is Operation.NONE:
        return "nothing of ours stands there"
    return ""
