"""Differing rows side by side, whether they come from a report or from the evidence of an alert."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

from tillwatch.model.audit import Difference


@dataclass(frozen=True, kw_only=True)
class DiffRow:
    """One key. A side that is None does not have the key at all."""

    kind: str
    key: str
    left: Mapping[str, str | None] | None
    right: Mapping[str, str | None] | None
    differing: frozenset[str]
    value_at_risk: Decimal | None
    #: When the key was first found to differ; None where that is not known.
    first_seen: datetime | None = None

    @property
    def sides(self) -> tuple[Mapping[str, str | None] | None, Mapping[str, str | None] | None]:
        return self.left, self.right


def of_difference(item: Difference) -> DiffRow:
    return DiffRow(
        kind=item.kind.value,
        key=" · ".join(item.key.values()),
        left=item.left,
        right=item.right,
        differing=frozenset(item.fields),
        value_at_risk=item.value_at_risk,
        first_seen=item.first_seen,
    )


def of_document(item: Mapping[str, object]) -> DiffRow:
    """From evidence: JSON that an older version may have written, so whatever is not there stays empty."""
    key, fields = item.get("key"), item.get("fields")
    return DiffRow(
        kind=str(item.get("kind", "")),
        key=" · ".join(str(part) for part in key.values()) if isinstance(key, Mapping) else str(key or ""),
        left=_side(item.get("left")),
        right=_side(item.get("right")),
        differing=frozenset(str(name) for name in fields) if isinstance(fields, list | tuple) else frozenset(),
        value_at_risk=_amount(item.get("value_at_risk")),
    )


def columns(rows: Sequence[DiffRow]) -> list[str]:
    """Every field any of these rows shows, in first-seen order."""
    seen: dict[str, None] = {}
    for row in rows:
        for side in row.sides:
            seen.update(dict.fromkeys(side or {}))
    return list(seen)


def _side(value: object) -> Mapping[str, str | None] | None:
    if not isinstance(value, Mapping):
        return None
    return {str(name): None if cell is None else str(cell) for name, cell in value.items()}


def _amount(value: object) -> Decimal | None:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
