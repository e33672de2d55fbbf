"""The one table of metrics. Add a row here and set it by name; a name that is not here cannot be set.

Names: base units, `_total` for counters, `_timestamp_seconds` for instants. Labels are bounded: ids from the chain
directory and small enumerations, never a message, a number or an id that grows (run, incident).
"""

import enum
from dataclasses import dataclass

#: What every series that comes from a probe carries; the ones that do not apply are left out.
PROBE_LABELS = ("probe", "system", "interface", "site")

#: Seconds: from a cached local answer to the longest audit.
_SECONDS_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)


class Kind(enum.StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True)
class Metric:
    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    #: True when the series come from probe results; they carry PROBE_LABELS besides `labels`.
    from_probes: bool = False
    buckets: tuple[float, ...] = _SECONDS_BUCKETS


def _own(name: str, kind: Kind, help_text: str, *labels: str) -> Metric:
    return Metric(name=name, kind=kind, help=help_text, labels=labels)


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, help=help_text, labels=labels, from_probes=True)


def _count(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, help=help_text, labels=labels, from_probes=True)


#: blackbox_exporter's names, so that its dashboards and rules work unchanged.
_BLACKBOX = (
    _gauge("probe_success", "1 when the probe succeeded, 0 when it failed; absent while it could not look."),
    _gauge("probe_duration_seconds", "How long the probe took."),
    _gauge("probe_http_duration_seconds", "Duration of an HTTP probe by phase, redirects summed.", "phase"),
    _gauge("probe_http_status_code", "Status code of the last answer."),
    _gauge("probe_http_version", "Protocol version of the last answer."),
    _gauge("probe_http_ssl", "1 when the last answer came over TLS."),
    _gauge("probe_http_redirects", "Redirects followed."),
    _gauge("probe_http_content_length", "Content-Length of the last answer, -1 when not stated."),
    _gauge("probe_http_uncompressed_body_length", "Bytes of the decoded body that were read."),
    _gauge("probe_failed_due_to_regex", "1 when a body or header predicate failed the probe."),
    _gauge("probe_ssl_earliest_cert_expiry", "Earliest expiry in the presented chain, Unix time."),
    _gauge("probe_tls_version_info", "The TLS version in use.", "version"),
    _gauge("probe_ip_protocol", "4 or 6."),
    _gauge("probe_dns_lookup_time_seconds", "How long the name lookup took."),
    _gauge("probe_dns_answer_rrs", "Records in the answer section."),
    _gauge("probe_dns_query_succeeded", "1 when the name server answered."),
)

#: node_exporter's names.
_NODE = (
    _count("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.", "cpu", "mode"),
    _gauge("node_load1", "Load average over 1 minute."),
    _gauge("node_load5", "Load average over 5 minutes."),
    _gauge("node_load15", "Load average over 15 minutes."),
    _gauge("node_memory_MemTotal_bytes", "Physical memory."),
    _gauge("node_memory_MemAvailable_bytes", "Memory that can be given to programs without swapping."),
    _gauge("node_memory_MemFree_bytes", "Memory nobody uses."),
    _gauge("node_memory_SwapTotal_bytes", "Swap space."),
    _gauge("node_memory_SwapFree_bytes", "Swap space nobody uses."),
    _gauge("node_filesystem_size_bytes", "Size of the file system.", "device", "fstype", "mountpoint"),
    _gauge("node_filesystem_free_bytes", "Free space.", "device", "fstype", "mountpoint"),
    _gauge("node_filesystem_avail_bytes", "Free space for ordinary users.", "device", "fstype", "mountpoint"),
    _gauge("node_filesystem_files", "Inodes.", "device", "fstype", "mountpoint"),
    _gauge("node_filesystem_files_free", "Free inodes.", "device", "fstype", "mountpoint"),
    _gauge("node_filesystem_readonly", "1 when mounted read-only.", "device", "fstype", "mountpoint"),
    _count("node_disk_read_bytes_total", "Bytes read.", "device"),
    _count("node_disk_written_bytes_total", "Bytes written.", "device"),
    _count("node_disk_io_time_seconds_total", "Seconds the device was busy.", "device"),
    _count("node_network_receive_bytes_total", "Bytes received.", "device"),
    _count("node_network_transmit_bytes_total", "Bytes sent.", "device"),
    _count("node_network_receive_errs_total", "Receive errors.", "device"),
    _count("node_network_transmit_errs_total", "Transmit errors.", "device"),
    _count("node_vmstat_oom_kill", "Processes killed because memory ran out."),
    _count("node_pressure_cpu_waiting_seconds_total", "Seconds some task waited for CPU."),
    _count("node_pressure_memory_waiting_seconds_total", "Seconds some task waited for memory."),
    _count("node_pressure_memory_stalled_seconds_total", "Seconds every task waited for memory."),
    _count("node_pressure_io_waiting_seconds_total", "Seconds some task waited for I/O."),
    _count("node_pressure_io_stalled_seconds_total", "Seconds every task waited for I/O."),
    _gauge("node_filefd_allocated", "Open file descriptors."),
    _gauge("node_filefd_maximum", "Most open file descriptors allowed."),
    _gauge("node_boot_time_seconds", "When the machine started, Unix time."),
    _gauge("node_time_seconds", "The machine's clock, Unix time."),
)

_PROBES = (
    _gauge("tillwatch_probe_failing", "1 while the probe is failing after its thresholds, 0 when it is well."),
    _gauge("tillwatch_probe_result_info", "Outcome and cause of the last run.", "outcome", "cause"),
    _gauge("tillwatch_probe_phase_seconds", "Duration of the last run by phase.", "phase"),
    _gauge("tillwatch_probe_last_run_timestamp_seconds", "When the last run started, Unix time."),
    _gauge("tillwatch_probe_interval_seconds", "How often the probe is meant to run."),
    _gauge("tillwatch_sync_lag_seconds", "Age of the newest synced document, or of the oldest that waits."),
    _gauge("tillwatch_host_cpu_busy_ratio", "Share of the CPU time that may be used (container limit honoured)."),
    _gauge("tillwatch_host_memory_used_ratio", "Share of the memory that may be used (container limit honoured)."),
    _gauge("tillwatch_host_pressure_ratio", "Share of the last 10 seconds in which some task waited.", "resource"),
    _gauge("tillwatch_clock_offset_seconds", "Own clock minus the peer's.", "peer"),
    _gauge("tillwatch_clock_offset_uncertainty_seconds", "How far the offset may be wrong.", "peer"),
    _gauge("tillwatch_probe_value", "The number the probe's own query or predicate returned."),
)

_G, _C, _H = Kind.GAUGE, Kind.COUNTER, Kind.HISTOGRAM
_LOOPS = (
    _own("tillwatch_build_info", _G, "The running version.", "version"),
    _own("alertmanager_build_info", _G, "The Alertmanager whose API is answered; clients ask for it.", "version"),
    _own("tillwatch_loop_last_success_timestamp_seconds", _G, "When a loop last finished a round.", "loop"),
    _own("tillwatch_loop_lag_seconds", _G, "How late the last due piece of work started.", "loop"),
    _own("tillwatch_loop_period_seconds", _G, "Longest time between two rounds of a healthy loop.", "loop"),
    _own("tillwatch_loop_dropped_total", _C, "Work that was not done, by reason.", "loop", "reason"),
    _own("tillwatch_loop_errors_total", _C, "Rounds that ended in an error.", "loop"),
    _own("tillwatch_config_last_reload_successful", _G, "1 when the last reading of the chain directory succeeded."),
    _own("tillwatch_config_last_reload_success_timestamp_seconds", _G, "When it was last read successfully."),
)
_WHERE = ("audit", "interface", "site")
_AUDITS = (
    _own("tillwatch_audit_rows", _G, "Rows read on each side by the last run.", "audit", "interface", "site", "side"),
    _own("tillwatch_drift_rows", _G, "Differing rows found by the last run.", "audit", "interface", "site", "kind"),
    _own("tillwatch_drift_value_at_risk", _G, "Money at risk in the chain's currency.", "audit", "interface", "site"),
    _own("tillwatch_drift_suspects", _G, "Rows that differed at first sight in the last run.", *_WHERE),
    _own("tillwatch_drift_unsettled", _G, "Rows that differed and kept moving; never called equal.", *_WHERE),
    _own("tillwatch_drift_late", _G, "Rows that took longer to arrive than the audit allows.", *_WHERE),
    _own("tillwatch_audit_sync_lag_seconds", _G, "How long rows took to arrive, 99th percentile of a run.", *_WHERE),
    _own("tillwatch_sync_converge_seconds", _H, "How long rows in flight took to become equal.", "audit"),
    _own("tillwatch_audit_duration_seconds", _G, "How long the last run took.", "audit"),
    _own("tillwatch_audit_rows_per_second", _G, "Rows of both sides read a second by the last run.", "audit"),
    _own("tillwatch_audit_totals_differing", _G, "Groups that differed in count or sum beforehand.", "audit"),
    _own("tillwatch_audit_oldest_verified_seconds", _G, "Since when some of its rows were not looked at.", "audit"),
    _own("tillwatch_audit_runs_total", _C, "Runs by verdict.", "audit", "verdict"),
    _own("tillwatch_audit_last_success_timestamp_seconds", _G, "Last run that ended clean or with drift.", "audit"),
    _own("tillwatch_audit_interval_seconds", _G, "Time between two scheduled runs.", "audit"),
    _own("tillwatch_audit_expected_by_timestamp_seconds", _G, "When the next success is due at the latest.", "audit"),
)
_RULE = ("validation", "rule", "interface", "system", "site")
_VALIDATIONS = (
    _own("tillwatch_validation_rows", _G, "Rows that broke a rule in the last run with an answer.", *_RULE),
    _own("tillwatch_validation_duration_seconds", _G, "How long the last run took.", "validation"),
    _own("tillwatch_validation_runs_total", _C, "Runs by verdict.", "validation", "verdict"),
    _own("tillwatch_validation_last_success_timestamp_seconds", _G, "Last run that had an answer.", "validation"),
)
_INCIDENTS = (
    _own("tillwatch_alerts_received_total", _C, "Alerts taken in, by source and result.", "source", "result"),
    _own("tillwatch_incidents_open", _G, "Incidents that are not resolved.", "severity"),
    _own("tillwatch_notifications_total", _C, "Delivery attempts by result.", "channel", "result"),
    _own("tillwatch_notification_duration_seconds", _H, "How long a channel took to answer.", "channel"),
    _own("tillwatch_outbox_oldest_seconds", _G, "Age of the oldest message that is due and not delivered."),
    _own(
        "tillwatch_invariant_breaches",
        _G,
        "Incidents or messages that a promise of ours was broken for.",
        "invariant",
    ),
    _own("tillwatch_outbox_pending", _G, "Messages that are not delivered yet."),
    _own(
        "tillwatch_channel_open",
        _G,
        "1 while a channel failed so often that only probes are sent.",
        "channel",
    ),
    _own("tillwatch_channel_waiting", _G, "Messages of a channel that are due and have not arrived.", "channel"),
    _own("tillwatch_dead_letters", _G, "Messages of a channel given up within the last week.", "channel"),
    _own("tillwatch_runbook_runs_total", _C, "Runbook runs by final state.", "runbook", "state"),
    _own("tillwatch_runbook_runs_waiting", _G, "Runs that wait for a person.", "state"),
    _own("tillwatch_drill_mttr_seconds", _G, "Time to recovery in the last drill.", "drill"),
    _own("tillwatch_source_breaker_open", _G, "1 while a system's credentials are known to be refused.", "system"),
    _own("tillwatch_store_write_seconds", _H, "How long a write took, commit included."),
)

METRICS: tuple[Metric, ...] = (*_BLACKBOX, *_NODE, *_PROBES, *_LOOPS, *_AUDITS, *_VALIDATIONS, *_INCIDENTS)
