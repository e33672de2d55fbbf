"""Repair plans, their items and the journal of every document sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from tillwatch.errors import UsageError
from tillwatch.model.audit import DifferenceKind
from tillwatch.model.repair import RepairAction, RepairItem, RepairPlan, RepairStatus
from tillwatch.store.tables.repairs import repair_attempts, repair_items, repair_plans


def create(connection: Connection, plan: RepairPlan) -> int:
    """Store a plan with its items and return its number; `plan.id` is not used. A run has one plan: if it has one
    already, that one's number is returned and nothing is stored."""
    if (there := of_run(connection, plan.run)) is not None:
        return there
    values = {
        "run": plan.run,
        "audit": plan.audit,
        "system": plan.system,
        "digest": plan.digest,
        "created_at": plan.created_at,
        "created_by": plan.created_by,
    }
    number = int(connection.execute(insert(repair_plans).values(values).returning(repair_plans.c.id)).scalar_one())
    if plan.items:
        connection.execute(insert(repair_items), [_item_row(number, item, plan.created_at) for item in plan.items])
    return number


def of_run(connection: Connection, run: int) -> int | None:
    """The plan of an audit run, None when nobody planned it."""
    found = connection.execute(select(repair_plans.c.id).where(repair_plans.c.run == run)).scalar_one_or_none()
    return None if found is None else int(found)


def get(connection: Connection, plan: int) -> RepairPlan:
    """A plan with all its items as they stand now. Raises UsageError when there is none."""
    row = connection.execute(select(repair_plans).where(repair_plans.c.id == plan)).mappings().first()
    if row is None:
        raise UsageError(f"there is no repair plan {plan}; make one with 'tillwatch repair plan RUN'")
    items = connection.execute(
        select(repair_items).where(repair_items.c.plan == plan).order_by(repair_items.c.number)
    ).mappings()
    return RepairPlan(
        id=row["id"],
        run=row["run"],
        audit=row["audit"],
        system=row["system"],
        digest=row["digest"],
        created_at=row["created_at"],
        created_by=row["created_by"],
        items=tuple(_item(item) for item in items),
    )


def open_attempt(
    connection: Connection,
    plan: int,
    item: RepairItem,
    *,
    actor: str,
    now: datetime,
    sent: Mapping[str, Any],
    status: RepairStatus = RepairStatus.SENDING,
) -> int | None:
    """Write down that `item` is about to be sent. None when it no longer stands as the caller saw it: do not send."""
    claimed = connection.execute(
        update(repair_items)
        .where(
            repair_items.c.plan == plan,
            repair_items.c.number == item.number,
            repair_items.c.status == item.status.value,
            repair_items.c.attempts == item.attempts,
        )
        .values(status=status.value, attempts=item.attempts + 1, reason="", updated_at=now)
    )
    if claimed.rowcount != 1:
        return None
    row = {
        "plan": plan,
        "number": item.number,
        "actor": actor,
        "started_at": now,
        "sent": dict(sent),
        "outcome": "",
        "detail": "",
    }
    return int(connection.execute(insert(repair_attempts).values(row).returning(repair_attempts.c.id)).scalar_one())


def settle_item(
    connection: Connection,
    plan: int,
    number: int,
    status: RepairStatus,
    reason: str,
    *,
    now: datetime,
    receipt: Mapping[str, Any] | None = None,
    attempt: int | None = None,
) -> None:
    """Write down what became of an item, and of the attempt that led there."""
    values: dict[str, object] = {"status": status.value, "reason": reason, "updated_at": now}
    if receipt is not None:
        values["receipt"] = dict(receipt)
    connection.execute(
        update(repair_items).where(repair_items.c.plan == plan, repair_items.c.number == number).values(values)
    )
    if attempt is not None:
        connection.execute(
            update(repair_attempts)
            .where(repair_attempts.c.id == attempt)
            .values(finished_at=now, outcome=status.value, detail=reason)
        )


def attempts(connection: Connection, plan: int) -> list[dict[str, Any]]:
    """The journal of a plan, oldest first: number, actor, started_at, finished_at, outcome, detail, sent."""
    query = select(repair_attempts).where(repair_attempts.c.plan == plan).order_by(repair_attempts.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _item_row(plan: int, item: RepairItem, now: datetime) -> dict[str, object]:
    return {
        "plan": plan,
        "number": item.number,
        "key": dict(item.key),
        "kind": item.kind.value,
        "action": item.action.value,
        "document": dict(item.document),
        "left": None if item.left is None else dict(item.left),
        "right": None if item.right is None else dict(item.right),
        "value_at_risk": item.value_at_risk,
        "status": item.status.value,
        "reason": item.reason,
        "attempts": 0,
        "receipt": {},
        "updated_at": now,
    }


def _item(row: RowMapping) -> RepairItem:
    return RepairItem(
        number=row["number"],
        key=row["key"],
        kind=DifferenceKind(row["kind"]),
        action=RepairAction(row["action"]),
        document=row["document"],
        left=row["left"],
        right=row["right"],
        value_at_risk=row["value_at_risk"],
        status=RepairStatus(row["status"]),
        reason=row["reason"],
        attempts=row["attempts"],
        receipt=row["receipt"],
        updated_at=row["updated_at"],
    )
