"""Prometheus' own linter reads our `/metrics`."""

import re
import shutil
import subprocess
from datetime import UTC, datetime

from tillwatch.metrics import METRICS, Kind, Metrics
from tillwatch.model.probe import Measurement, Outcome, ProbeResult

#: Made from the result itself, so nobody measures them.
_DERIVED = (
    "probe_success",
    "probe_duration_seconds",
    "probe_http_duration_seconds",
    "probe_dns_lookup_time_seconds",
    "tillwatch_probe_failing",
    "tillwatch_probe_result_info",
    "tillwatch_probe_phase_seconds",
    "tillwatch_probe_last_run_timestamp_seconds",
    "tillwatch_probe_interval_seconds",
)
#: node_exporter names its memory metrics after /proc/meminfo; its own check makes the same exception.
_ALLOWED = re.compile(r"node_memory_\w+ metric names should be written in 'snake_case' not 'camelCase'")
#: The kernel's counter keeps node_exporter's name.
_ALSO_ALLOWED = 'node_vmstat_oom_kill counter metrics should have "_total" suffix'


def complaints(text: bytes) -> list[str]:
    executable = shutil.which("promtool")
    assert executable, "promtool is missing; install it with: apt-get install prometheus"
    done = subprocess.run([executable, "check", "metrics"], input=text, capture_output=True, check=False)
    lines = (done.stdout + done.stderr).decode().splitlines()
    return [line for line in lines if not _ALLOWED.search(line) and _ALSO_ALLOWED not in line]


def test_promtool_has_no_complaint_about_anything_we_can_expose() -> None:
    metrics = Metrics()
    for metric in METRICS:
        if metric.from_probes:
            continue
        labels = dict.fromkeys(metric.labels, "x")
        if metric.kind is Kind.GAUGE:
            metrics.set(metric.name, 1, **labels)
        elif metric.kind is Kind.COUNTER:
            metrics.inc(metric.name, **labels)
        else:
            metrics.observe(metric.name, 1, **labels)
    measured = tuple(
        Measurement(name=metric.name, value=1, labels=dict.fromkeys(metric.labels, "x"))
        for metric in METRICS
        if metric.from_probes and not metric.name.startswith(_DERIVED)
    )
    result = ProbeResult(
        probe="all",
        outcome=Outcome.OK,
        started_at=datetime(2026, 11, 24, tzinfo=UTC),
        seconds=0.5,
        phases={"dns": 0.1, "connect": 0.2},
        measurements=measured,
    )
    metrics.probe_result(result, labels={"probe": "all"}, kind="http", interval_seconds=15, failing=False)
    text = metrics.render()
    for metric in METRICS:
        assert f"# TYPE {metric.name.removesuffix('_total')}" in text.decode()
    assert complaints(text) == []


def test_the_linter_does_complain_about_a_bad_exposition() -> None:
    assert complaints(b"# TYPE bad_counter counter\nbad_counter 1\n")
