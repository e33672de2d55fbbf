"""Consistency: do shops and ERP agree, how much money is at risk, and how old is that knowledge?"""

from grafana_foundation_sdk.builders import dashboard
from panels import lines, number, page, rows, steps, text

_GOOD_ZERO = steps((None, "green"), (1, "red"))


def build() -> dashboard.Dashboard:
    return (
        page(
            "tillwatch-consistency",
            text("Consistency", "对账一致性"),
            "Audits between shops and ERP: drift, value at risk, age and cost.",
        )
        .with_row(dashboard.Row(text("Now", "现在")))
        .with_panel(
            number(
                text("Differing rows", "差异行数"),
                "Rows that differ after settling, over all audits.",
                "short",
                "sum(tillwatch_drift_rows)",
                _GOOD_ZERO,
            )
        )
        .with_panel(
            number(
                text("Value at risk", "风险金额"),
                "Money at risk over all audits, in the chain's currency.",
                "currencyCNY",
                "sum(tillwatch_drift_value_at_risk)",
                steps((None, "green"), (0.01, "orange"), (1000, "red")),
            )
        )
        .with_panel(
            number(
                text("Oldest conclusive audit", "最久的有效对账"),
                "Time since the audit that has waited longest for a conclusive result.",
                "s",
                "max(time() - tillwatch_audit_last_success_timestamp_seconds)",
                steps((None, "green"), (3600, "orange"), (86400, "red")),
            )
        )
        .with_panel(
            number(
                text("Rows compared", "对账行数"),
                "Rows read on the side of truth by the last run of every audit.",
                "short",
                'sum(tillwatch_audit_rows{side="left"})',
                steps((None, "blue")),
            )
        )
        .with_row(dashboard.Row(text("Drift", "差异")))
        .with_panel(
            lines(
                text("Drift by audit and kind", "各对账的差异"),
                "missing = only on the side of truth, extra = only on the other, changed = both but different.",
                "short",
                ("sum by (audit, kind) (tillwatch_drift_rows)", "{{audit}} {{kind}}"),
            )
        )
        .with_panel(
            lines(
                text("Value at risk by audit", "各对账的风险金额"),
                "In the chain's currency.",
                "currencyCNY",
                ("max by (audit) (tillwatch_drift_value_at_risk)", "{{audit}}"),
            )
        )
        .with_row(dashboard.Row(text("Age and cost", "时效与成本")))
        .with_panel(
            lines(
                text("Age of the last conclusive result", "距上次有效结果"),
                "Grows while an audit fails or cannot conclude.",
                "s",
                ("time() - max by (audit) (tillwatch_audit_last_success_timestamp_seconds)", "{{audit}}"),
            )
        )
        .with_panel(
            lines(
                text("Duration", "耗时"),
                "Seconds of the last run.",
                "s",
                ("max by (audit) (tillwatch_audit_duration_seconds)", "{{audit}}"),
            )
        )
        .with_panel(
            rows(
                text("Rows by audit and side", "各对账两侧行数"),
                "Rows read by the last run.",
                "short",
                "max by (audit, side) (tillwatch_audit_rows)",
                span=12,
            )
        )
        .with_panel(
            lines(
                text("Sync lag", "同步延迟"),
                "Age of the newest synced document by interface.",
                "s",
                ("max by (interface) (tillwatch_sync_lag_seconds)", "{{interface}}"),
            )
        )
    )
