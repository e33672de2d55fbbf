"""Validations of the night the pages are tested with."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from tillwatch.model.validation import Finding, ValidationReport, ValidationVerdict


class Checked:
    """Stands for the runner of validations."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def latest(self) -> Mapping[str, ValidationReport]:
        return {report.validation: report for _, report in sorted(self._world.validated.items())}

    def reports(self, *, limit: int) -> Sequence[ValidationReport]:
        self._world.ask()
        return [report for _, report in sorted(self._world.validated.items(), reverse=True)][:limit]

    def report(self, run: int) -> ValidationReport:
        report: ValidationReport = self._world.validated[run]
        return report

    def findings(self, run: int, *, rule: str | None, offset: int, limit: int) -> Sequence[Finding]:
        return [item for item in self.report(run).findings if rule in (None, item.rule)][offset : offset + limit]

    def run(self, validation: str, *, trigger: str) -> ValidationReport:
        self._world.order("validation", validation, trigger)
        return self.latest()[validation]

    def start(self, validation: str, *, trigger: str) -> int:
        self._world.order("validation", validation, trigger)
        return 5

    def export(self, run: int, format: str, *, language: str) -> bytes:
        return f"{run} {format} {language}".encode()


def validated_night(world: Any) -> None:
    """One validation found rows that break its rules, one could not read its till."""
    rows = [
        Finding(
            rule="sum-amount",
            key={"order_ref": f"CY-{number:05}"},
            field="amount",
            value=f"{number}.50",
            problem={"en": f"its lines add up to {number}.00", "zh": f"明细合计为 {number}.00"},
        )
        for number in range(60)
    ]
    rows.append(
        Finding(
            rule="required-amount-changed_at",
            key={"order_ref": "CY-锟斤拷<b>"},
            field="amount, changed_at",
            value=None,
            problem={"en": "no value", "zh": "没有值"},
        )
    )
    common = {"dataset": "orders", "strategy": "stream", "started_at": world.clock.now() - timedelta(minutes=4)}
    world.validated[3] = ValidationReport(
        run=3,
        validation="till-orders-chaoyang",
        verdict=ValidationVerdict.INVALID,
        reason="sum-amount: 60, required-amount-changed_at: 1",
        system="till-chaoyang",
        rows=1204,
        counts={"pattern-order_ref": 0, "required-amount-changed_at": 1, "sum-amount": 60},
        findings=tuple(rows),
        strategy_reason={"en": "every row is read and checked here", "zh": "读取每一行并在本地检查"},
        evidence={"suspects": 63, "cleared": 2},
        seconds=0.4,
        **common,
    )
    world.validated[4] = ValidationReport(
        run=4,
        validation="till-orders-haidian",
        verdict=ValidationVerdict.FAILED,
        reason="till-haidian.orders: no such file",
        system="till-haidian",
        **common,
    )
