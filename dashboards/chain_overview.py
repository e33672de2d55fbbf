"""Chain overview: is the chain OK, and where not?"""

from grafana_foundation_sdk.builders import dashboard
from panels import lines, number, page, rows, steps, text

_GOOD_ZERO = steps((None, "green"), (1, "red"))


def build() -> dashboard.Dashboard:
    return (
        page(
            "tillwatch-chain-overview",
            text("Chain overview", "整链概览"),
            "Every interface, system and host of the chain, and the incidents they caused.",
        )
        .with_row(dashboard.Row(text("Now", "现在")))
        .with_panel(
            number(
                text("Open critical incidents", "未解决的严重事件"),
                "Incidents of severity critical that no clean re-check has closed.",
                "short",
                'sum(tillwatch_incidents_open{severity="critical"})',
                _GOOD_ZERO,
            )
        )
        .with_panel(
            number(
                text("Failing probes", "失败的探测"),
                "Probes whose last run failed.",
                "short",
                "count(probe_success == 0) or vector(0)",
                _GOOD_ZERO,
            )
        )
        .with_panel(
            number(
                text("Probes ok", "探测成功率"),
                "Share of probes whose last run succeeded.",
                "percentunit",
                "avg(probe_success)",
                steps((None, "red"), (0.95, "orange"), (1, "green")),
            )
        )
        .with_panel(
            number(
                text("Oldest waiting notification", "最久未送出的通知"),
                "Age of the oldest message in the outbox; above a minute somebody is not being told.",
                "s",
                "max(tillwatch_outbox_oldest_seconds)",
                steps((None, "green"), (60, "orange"), (300, "red")),
            )
        )
        .with_row(dashboard.Row(text("Probes", "探测")))
        .with_panel(
            lines(
                text("Success by system", "各系统成功率"),
                "1 = every probe of the system succeeded.",
                "percentunit",
                ("avg by (system) (probe_success)", "{{system}}"),
            )
        )
        .with_panel(
            lines(
                text("Duration by probe", "各探测耗时"),
                "How long each probe took, timeouts included.",
                "s",
                ("max by (probe) (probe_duration_seconds)", "{{probe}}"),
            )
        )
        .with_panel(
            rows(
                text("Every probe, now", "全部探测的当前状态"),
                "1 = ok, 0 = failed.",
                "short",
                "max by (site, system, interface, probe) (probe_success)",
            )
        )
        .with_row(dashboard.Row(text("Hosts and messages", "主机与通知")))
        .with_panel(
            lines(
                text("CPU busy", "CPU 使用率"),
                "Share of the host's CPU time not idle, container limits honoured.",
                "percentunit",
                ("max by (system) (tillwatch_host_cpu_busy_ratio)", "{{system}}"),
            )
        )
        .with_panel(
            lines(
                text("Notifications", "通知"),
                "Messages per minute by channel and the channel's real answer.",
                "short",
                (
                    "sum by (channel, result) (rate(tillwatch_notifications_total[$__rate_interval])) * 60",
                    "{{channel}} {{result}}",
                ),
            )
        )
    )
