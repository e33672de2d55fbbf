"""Holds the values and writes the text for `/metrics`.

Probe results do not go through client objects: each result is rendered to text once, when it arrives, and a scrape only
joins the pieces. With thousands of probes that is the difference between a millisecond and a second.
"""

import re
import threading
from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.utils import floatToGoString

from tillwatch import __version__
from tillwatch.errors import UsageError
from tillwatch.metrics.table import METRICS, PROBE_LABELS, Kind, Metric
from tillwatch.model.probe import Outcome, ProbeResult

#: The Alertmanager whose API v2 is answered; karma talks to nothing that looks older than 0.22.
ALERTMANAGER_VERSION = "0.34.0"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

#: blackbox_exporter calls the name lookup `resolve`.
_BLACKBOX_PHASES = {"dns": "resolve"}
#: Written by the client library for this very process; a probe must not write them too.
_FOREIGN_PREFIXES = ("process_", "python_", "scrape_")
_METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Metrics:
    """Thread safe. `set`, `inc` and `observe` take names from the table only."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry or CollectorRegistry()
        if registry is None:
            ProcessCollector(registry=self._registry)
        self._own = {metric.name: metric for metric in METRICS if not metric.from_probes}
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._lock = threading.Lock()
        for metric in self._own.values():
            # A gauge nobody set has no value; showing 0 for it would be a lie that rules act on.
            if metric.kind is not Kind.GAUGE:
                self._register(metric)
        self._probes = ProbeExposition()
        self.set("tillwatch_build_info", 1, version=__version__)
        self.set("alertmanager_build_info", 1, version=ALERTMANAGER_VERSION)

    def _register(self, metric: Metric) -> None:
        if metric.kind is Kind.GAUGE:
            self._gauges[metric.name] = Gauge(metric.name, metric.help, metric.labels, registry=self._registry)
        elif metric.kind is Kind.COUNTER:
            self._counters[metric.name] = Counter(metric.name, metric.help, metric.labels, registry=self._registry)
        else:
            self._histograms[metric.name] = Histogram(
                metric.name, metric.help, metric.labels, registry=self._registry, buckets=metric.buckets
            )

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge. Labels that are left out are empty. Raises UsageError for a name or label not in the table."""
        values = self._label_values(name, Kind.GAUGE, labels)
        gauge = self._gauge(name)
        (gauge.labels(*values) if values else gauge).set(value)

    def inc(self, name: str, amount: float = 1.0, /, **labels: str) -> None:
        """Raise a counter."""
        values = self._label_values(name, Kind.COUNTER, labels)
        counter = self._counters[name]
        (counter.labels(*values) if values else counter).inc(amount)

    def observe(self, name: str, value: float, /, **labels: str) -> None:
        """Count one observation into a histogram."""
        values = self._label_values(name, Kind.HISTOGRAM, labels)
        histogram = self._histograms[name]
        (histogram.labels(*values) if values else histogram).observe(value)

    def value(self, name: str, /, **labels: str) -> float | None:
        """A gauge as last set, None when nobody has set it."""
        metric = self._own.get(name)
        wanted = dict(zip(metric.labels, self._label_values(name, Kind.GAUGE, labels), strict=True)) if metric else {}
        return self._registry.get_sample_value(name, wanted)

    def clear(self, name: str, /) -> None:
        """Forget all series of a labelled gauge, before setting the ones that still exist."""
        self._label_values(name, Kind.GAUGE, {})
        self._gauge(name).clear()

    def _gauge(self, name: str) -> Gauge:
        with self._lock:
            if name not in self._gauges:
                self._register(self._own[name])
            return self._gauges[name]

    def _label_values(self, name: str, kind: Kind, labels: Mapping[str, str]) -> tuple[str, ...]:
        metric = self._own.get(name)
        if metric is None:
            raise UsageError(f"there is no metric '{name}'; add a row to tillwatch/metrics/table.py")
        if metric.kind is not kind:
            raise UsageError(f"metric '{name}' is a {metric.kind}, not a {kind}")
        if unknown := set(labels) - set(metric.labels):
            raise UsageError(
                f"metric '{name}' has no label {', '.join(sorted(unknown))}; "
                f"it has {', '.join(metric.labels) or 'none'}"
            )
        return tuple(labels.get(label, "") for label in metric.labels)

    def probe_result(
        self, result: ProbeResult, *, labels: Mapping[str, str], kind: str, interval_seconds: float, failing: bool
    ) -> None:
        """Show the last result of one probe. `labels` are PROBE_LABELS that apply; `kind` is the prober's."""
        refused = self._probes.put(result, labels=labels, kind=kind, interval_seconds=interval_seconds, failing=failing)
        if refused:
            self.inc("tillwatch_loop_dropped_total", refused, loop="probes", reason="reserved_metric_name")

    def forget_probe(self, probe: str) -> None:
        self._probes.forget(probe)

    def render(self) -> bytes:
        """The whole text of `/metrics`."""
        return generate_latest(self._registry) + self._probes.render()


class ProbeExposition:
    """The series of the last result of every probe, kept as ready text by metric name."""

    def __init__(self) -> None:
        self._table = {metric.name: metric for metric in METRICS}
        self._lock = threading.Lock()
        self._text: dict[str, dict[str, str]] = {}

    def put(
        self, result: ProbeResult, *, labels: Mapping[str, str], kind: str, interval_seconds: float, failing: bool
    ) -> int:
        """Replace what `result.probe` showed before; returns how many measurements had a name that is not free."""
        base = {name: labels[name] for name in PROBE_LABELS if labels.get(name)}
        lines: dict[str, list[str]] = {}
        refused = 0
        for name, value, extra in _series(result, kind, interval_seconds, failing):
            if self._is_reserved(name):
                refused += 1
                continue
            lines.setdefault(name, []).append(_line(name, {**base, **extra}, value))
        with self._lock:
            for family in self._text.values():
                family.pop(result.probe, None)
            for name, texts in lines.items():
                self._text.setdefault(name, {})[result.probe] = "".join(texts)
        return refused

    def _is_reserved(self, name: str) -> bool:
        metric = self._table.get(name)
        if metric is not None:
            return not metric.from_probes
        return name.startswith(_FOREIGN_PREFIXES) or not _METRIC_NAME.fullmatch(name)

    def forget(self, probe: str) -> None:
        with self._lock:
            for family in self._text.values():
                family.pop(probe, None)

    def render(self) -> bytes:
        parts: list[str] = []
        with self._lock:
            for name in sorted(self._text):
                if family := self._text[name]:
                    parts += (self.header(name), *family.values())
        return "".join(parts).encode()

    def header(self, name: str) -> str:
        metric = self._table.get(name)
        kind = metric.kind if metric else (Kind.COUNTER if name.endswith("_total") else Kind.GAUGE)
        return f"# HELP {name} {metric.help if metric else 'Measured by a probe.'}\n# TYPE {name} {kind}\n"


def _series(
    result: ProbeResult, kind: str, interval_seconds: float, failing: bool
) -> Iterator[tuple[str, float, Mapping[str, str]]]:
    if result.outcome is not Outcome.UNKNOWN:
        yield "probe_success", float(result.outcome is not Outcome.FAILED), {}
    yield "probe_duration_seconds", result.seconds, {}
    yield "tillwatch_probe_failing", float(failing), {}
    yield "tillwatch_probe_result_info", 1.0, {"outcome": result.outcome.value, "cause": result.cause.value}
    yield "tillwatch_probe_last_run_timestamp_seconds", result.started_at.timestamp(), {}
    yield "tillwatch_probe_interval_seconds", interval_seconds, {}
    for phase, seconds in result.phases.items():
        yield "tillwatch_probe_phase_seconds", seconds, {"phase": phase}
        if kind == "http":
            yield "probe_http_duration_seconds", seconds, {"phase": _BLACKBOX_PHASES.get(phase, phase)}
    if "dns" in result.phases:
        yield "probe_dns_lookup_time_seconds", result.phases["dns"], {}
    for measurement in result.measurements:
        yield measurement.name, measurement.value, measurement.labels


def blackbox_text(result: ProbeResult, *, kind: str) -> bytes:
    """One result as blackbox_exporter's `/probe` shows it: its names only, no labels of ours."""
    families: dict[str, list[str]] = {}
    for name, value, labels in _series(result, kind, 0.0, False):
        if name.startswith("probe_"):
            families.setdefault(name, []).append(_line(name, labels, value))
    exposition = ProbeExposition()
    return "".join(exposition.header(name) + "".join(lines) for name, lines in sorted(families.items())).encode()


def _line(name: str, labels: Mapping[str, str], value: float) -> str:
    number = floatToGoString(value)  # type: ignore[no-untyped-call]
    inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items() if text)
    return f"{name}{{{inside}}} {number}\n" if inside else f"{name} {number}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
