"""What one alert brought with it, in the order a person reads it: cause, rows, processes, phases, log, the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tillwatch.model.alert import Episode
from tillwatch.model.probe import Outcome, ProbeResult
from tillwatch.web.language import ENGLISH, Texts
from tillwatch.web.views.chart import Bar, bars
from tillwatch.web.views.differences import DiffRow, columns, of_document

#: Two screens of log are evidence; more is a file.
MAX_LOG_LINES = 200
MAX_PROCESSES = 20
MAX_DIFFERENCES = 20
MAX_FACTS = 40
MAX_HISTORY = 100
#: Keys with a presentation of their own, or said elsewhere on the page.
_SHOWN = frozenset(
    {"log", "phases", "top_processes", "differences", "cause", "probe", "audit", "run", "target", "outcome", "message"}
    | {"message_zh", "seconds", "checked_at", "verdict", "reason", "left", "right", "missing", "extra", "changed"}
    | {"unsettled", "value_at_risk", "history"}
)
_KIB = 1024.0


@dataclass(frozen=True, kw_only=True)
class ProcessView:
    pid: str
    name: str
    user: str
    cpu_percent: float
    memory: str
    command: str


@dataclass(frozen=True, kw_only=True)
class EvidenceView:
    episode: Episode
    summary: str
    cause: str
    target: str
    probe: str
    audit: str
    run: int | None
    log: tuple[str, ...]
    phases: tuple[tuple[str, float], ...]
    #: The probe's last results when the alert was last confirmed, as columns of a chart.
    history: tuple[Bar, ...]
    processes: tuple[ProcessView, ...]
    differences: tuple[DiffRow, ...]
    columns: tuple[str, ...]
    #: System ids of the two sides of an audit.
    sides: tuple[str, str]
    facts: tuple[tuple[str, str], ...]


def evidence_view(episode: Episode, t: Texts) -> EvidenceView:
    evidence = episode.evidence
    run = evidence.get("run")
    rows = tuple(of_document(item) for item in _tables(evidence.get("differences"))[:MAX_DIFFERENCES])
    return EvidenceView(
        episode=episode,
        summary=summary(episode, t),
        cause=str(evidence.get("cause") or episode.annotations.get("cause", "")),
        target=str(evidence.get("target") or ""),
        probe=str(evidence.get("probe") or episode.labels.get("probe", "")),
        audit=str(evidence.get("audit") or episode.labels.get("audit", "")),
        run=run if isinstance(run, int) else None,
        log=tuple(str(line) for line in _list(evidence.get("log"))[-MAX_LOG_LINES:]),
        phases=_phases(evidence.get("phases")),
        history=tuple(bars(_history(evidence.get("history")))),
        processes=tuple(_process(item) for item in _tables(evidence.get("top_processes"))[:MAX_PROCESSES]),
        differences=rows,
        columns=tuple(columns(rows)),
        sides=(_system(evidence.get("left")), _system(evidence.get("right"))),
        facts=tuple(_facts({key: value for key, value in evidence.items() if key not in _SHOWN}))[:MAX_FACTS],
    )


def summary(episode: Episode, t: Texts) -> str:
    """The annotation in the reader's language, else the other one."""
    keys = ("summary", "summary_zh") if t.language == ENGLISH else ("summary_zh", "summary")
    return next((episode.annotations[key] for key in keys if episode.annotations.get(key)), "")


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < _KIB:
            return f"{count:.0f} {unit}" if unit in ("B", "KiB") else f"{count:.1f} {unit}"
        count /= _KIB
    return f"{count:.1f} TiB"


def _process(item: Mapping[str, object]) -> ProcessView:
    argv = item.get("argv")
    return ProcessView(
        pid=str(item.get("pid", "")),
        name=str(item.get("name", "")),
        user=str(item.get("user", "")),
        cpu_percent=_number(item.get("cpu_percent")),
        memory=size(_number(item.get("rss_bytes"))),
        command=" ".join(str(part) for part in argv) if isinstance(argv, list | tuple) else str(argv or ""),
    )


def _facts(values: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts flattened to `host.cpus`, empty ones left out."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found += _facts(value, f"{name}.")
        elif value not in (None, "", []):
            found.append((name, _plain(value)))
    return found


def _plain(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}={_plain(item)}" for key, item in value.items())
    return ", ".join(_plain(item) for item in value) if isinstance(value, list | tuple) else str(value)


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _tables(value: object) -> tuple[Mapping[str, object], ...]:
    return tuple(item for item in _list(value) if isinstance(item, Mapping))


def _history(value: object) -> list[ProbeResult]:
    """Newest first; what an older version may have written in another shape is left out."""
    found: list[ProbeResult] = []
    for item in _tables(value)[:MAX_HISTORY]:
        try:
            found.append(
                ProbeResult(
                    probe="",
                    outcome=Outcome(str(item["outcome"])),
                    started_at=datetime.fromisoformat(str(item["started_at"])),
                    seconds=_number(item["seconds"]),
                )
            )
        except (KeyError, ValueError):
            continue
    return found


def _phases(value: object) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple((str(name), float(seconds)) for name, seconds in value.items() if isinstance(seconds, int | float))


def _system(value: object) -> str:
    return str(value.get("system", "")) if isinstance(value, Mapping) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
