"""What `/metrics` says."""

from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tillwatch.errors import Cause, UsageError
from tillwatch.metrics import METRICS, Kind, Metrics, blackbox_text
from tillwatch.model.probe import Measurement, Outcome, ProbeResult

AT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def result(probe: str = "erp-api", outcome: Outcome = Outcome.OK, **changes: object) -> ProbeResult:
    values: dict[str, object] = {"probe": probe, "outcome": outcome, "started_at": AT, "seconds": 0.25, **changes}
    return ProbeResult(**values)  # type: ignore[arg-type]


def show(metrics: Metrics, shown: ProbeResult, *, kind: str = "http", failing: bool = False, **labels: str) -> None:
    metrics.probe_result(
        shown, labels={"probe": shown.probe, **labels}, kind=kind, interval_seconds=15, failing=failing
    )


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    found = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"{key} is exposed twice"
            found[key] = sample.value
    return found


def test_every_row_of_the_table_has_a_help_text_and_a_name_of_its_own() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    assert all(metric.help.endswith(".") for metric in METRICS)
    assert all(
        (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        for metric in METRICS
        # node_exporter's own name.
        if metric.name != "node_vmstat_oom_kill"
    )


def test_a_name_or_label_outside_the_table_is_an_error_that_says_where_to_add_it() -> None:
    metrics = Metrics()
    with pytest.raises(UsageError, match=r"there is no metric 'tillwatch_nothing'; add a row to"):
        metrics.set("tillwatch_nothing", 1)
    with pytest.raises(UsageError, match="metric 'tillwatch_incidents_open' has no label incident; it has severity"):
        metrics.set("tillwatch_incidents_open", 1, incident="7")
    with pytest.raises(UsageError, match="metric 'tillwatch_incidents_open' is a gauge, not a counter"):
        metrics.inc("tillwatch_incidents_open", severity="critical")


def test_set_inc_and_observe_show_what_was_given() -> None:
    metrics = Metrics()
    metrics.set("tillwatch_incidents_open", 2, severity="critical")
    metrics.inc("tillwatch_notifications_total", channel="ops", result="delivered")
    metrics.inc("tillwatch_notifications_total", 2, channel="ops", result="delivered")
    metrics.observe("tillwatch_notification_duration_seconds", 0.3, channel="ops")
    found = samples(metrics)
    assert found["tillwatch_incidents_open", (("severity", "critical"),)] == 2
    assert found["tillwatch_notifications_total", (("channel", "ops"), ("result", "delivered"))] == 3
    assert found["tillwatch_notification_duration_seconds_count", (("channel", "ops"),)] == 1


def test_a_gauge_nobody_set_is_not_shown_as_zero() -> None:
    assert b"tillwatch_outbox_oldest_seconds" not in Metrics().render()


def test_clearing_a_gauge_forgets_series_that_no_longer_exist() -> None:
    metrics = Metrics()
    metrics.set("tillwatch_incidents_open", 2, severity="critical")
    metrics.clear("tillwatch_incidents_open")
    assert b"tillwatch_incidents_open{" not in metrics.render()


def test_a_probe_shows_blackbox_names_and_only_the_labels_that_apply() -> None:
    metrics = Metrics()
    show(metrics, result(phases={"dns": 0.1, "connect": 0.05}), system="erp", site="")
    found = samples(metrics)
    labels = (("probe", "erp-api"), ("system", "erp"))
    assert found["probe_success", labels] == 1
    assert found["probe_duration_seconds", labels] == 0.25
    assert found["probe_http_duration_seconds", (("phase", "resolve"), *labels)] == 0.1
    assert found["tillwatch_probe_phase_seconds", (("phase", "dns"), *labels)] == 0.1
    assert found["tillwatch_probe_interval_seconds", labels] == 15
    assert found["tillwatch_probe_last_run_timestamp_seconds", labels] == AT.timestamp()


@pytest.mark.parametrize(
    ("outcome", "success"), [(Outcome.OK, 1), (Outcome.DEGRADED, 1), (Outcome.FAILED, 0), (Outcome.UNKNOWN, None)]
)
def test_success_is_absent_when_the_probe_could_not_look(outcome: Outcome, success: float | None) -> None:
    metrics = Metrics()
    show(metrics, result(outcome=outcome, cause=Cause.NONE))
    assert samples(metrics).get(("probe_success", (("probe", "erp-api"),))) == success


def test_a_new_result_replaces_every_series_of_the_last_one() -> None:
    metrics = Metrics()
    disk = Measurement(name="node_filesystem_avail_bytes", value=5, labels={"mountpoint": "/data"})
    show(metrics, result(outcome=Outcome.FAILED, cause=Cause.TCP, measurements=(disk,)), failing=True)
    show(metrics, result())
    found = samples(metrics)
    assert found["tillwatch_probe_failing", (("probe", "erp-api"),)] == 0
    assert not [key for key in found if key[0] == "node_filesystem_avail_bytes"]
    assert [dict(key[1])["outcome"] for key in found if key[0] == "tillwatch_probe_result_info"] == ["ok"]


def test_a_forgotten_probe_shows_nothing() -> None:
    metrics = Metrics()
    show(metrics, result())
    metrics.forget_probe("erp-api")
    assert b"erp-api" not in metrics.render()


def test_label_values_are_escaped_so_that_they_stay_values() -> None:
    metrics = Metrics()
    evil = 'a"b\\c\nprobe_success 0'
    show(metrics, result(measurements=(Measurement(name="node_load1", value=1, labels={"device": evil}),)))
    assert samples(metrics)["node_load1", (("device", evil), ("probe", "erp-api"))] == 1


def test_a_measurement_cannot_take_a_name_that_is_ours_and_the_refusal_is_counted() -> None:
    metrics = Metrics()
    stolen = (
        Measurement(name="tillwatch_incidents_open", value=99),
        Measurement(name="process_cpu_seconds_total", value=99),
        Measurement(name="plugin_queue_length", value=3),
    )
    show(metrics, result(measurements=stolen))
    found = samples(metrics)
    assert 99 not in found.values()
    assert found["plugin_queue_length", (("probe", "erp-api"),)] == 3
    assert found["tillwatch_loop_dropped_total", (("loop", "probes"), ("reason", "reserved_metric_name"))] == 2


def test_the_drop_in_text_has_blackbox_names_without_our_labels() -> None:
    text = blackbox_text(result(phases={"connect": 0.05}), kind="http").decode()
    assert "probe_success 1.0\n" in text
    assert 'probe_http_duration_seconds{phase="connect"} 0.05\n' in text
    assert "tillwatch_" not in text
