"""Validations of fake sources and of real ones, and what they found, for tests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.audits import ZONE, FakeSource
from tillwatch.clock import Clock, ManualClock
from tillwatch.config.validations import Rule, Validation
from tillwatch.model.audit import Row
from tillwatch.model.validation import ValidationReport
from tillwatch.validation.declare import declare
from tillwatch.validation.examine import Order, examine
from tillwatch.validation.outliers import Usual

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def validation(*rules: Mapping[str, Any], **changes: Any) -> Validation:
    """A validation of `till.stock` by sku; rows that may be on their way are not waited for unless told."""
    values: dict[str, Any] = {
        "id": "stock",
        "system": "till",
        "dataset": "stock",
        "key": ("sku",),
        "schedule": "@every 20s",
        "settle": timedelta(0),
        "rules": tuple(Rule(**rule) for rule in rules),
    }
    return Validation(**(values | changes))


def validated(
    spec: Validation,
    *sources: Any,
    clock: Clock | None = None,
    history: Mapping[str, tuple[Usual, ...]] | None = None,
    push: bool = True,
    own: Mapping[str, Mapping[str, Sequence[float]]] | None = None,
) -> ValidationReport:
    """The report of one run over these sources."""
    by_id = {source.id: source for source in sources}
    return examine(
        Order(
            declared=declare(spec, ZONE),
            open=by_id.__getitem__,
            run=1,
            started_at=NOW,
            clock=clock or ManualClock(),
            history=history or {},
            push=push,
            own=own or {},
        )
    )


def checked(rows: Sequence[Row], *rules: Mapping[str, Any], **changes: Any) -> ValidationReport:
    """The report on these rows of `till.stock`."""
    return validated(validation(*rules, **changes), FakeSource("till", {"stock": list(rows)}))


def broken(report: ValidationReport) -> list[tuple[str, str, str | None]]:
    """Rule, key and value of every finding."""
    return [(item.rule, "/".join(map(str, item.key.values())), item.value) for item in report.findings]
