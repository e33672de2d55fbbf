"""The runs of one audit as stacked columns, and what the drift of all audits amounts to by site and by kind of data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tillwatch.config.declared import ChainConfig
from tillwatch.model.audit import AuditReport, Verdict

WIDTH = 600
HEIGHT = 96
_GAP = 1
#: A column nobody can see says nothing.
_MIN_COLUMN = 3.0
KINDS = ("missing", "extra", "changed")


@dataclass(frozen=True, kw_only=True)
class Column:
    """Position and size in the units of the view box; `kind` is one of KINDS, or the verdict of a run without drift."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    report: AuditReport


def columns(history: Sequence[AuditReport]) -> list[Column]:
    """Oldest on the left; `history` is newest first. A run that gave no answer stands at full height in grey."""
    if not history:
        return []
    width = WIDTH / len(history)
    most = max((_total(report) for report in history), default=0) or 1
    drawn: list[Column] = []
    for position, report in enumerate(reversed(history)):
        x, across = round(position * width, 2), round(max(1.0, width - _GAP), 2)
        if report.verdict is not Verdict.DRIFT:
            height = _MIN_COLUMN if report.verdict is Verdict.CLEAN else HEIGHT
            kind = report.verdict.value
            drawn.append(Column(x=x, y=HEIGHT - height, width=across, height=height, kind=kind, report=report))
            continue
        bottom = float(HEIGHT)
        for kind in KINDS:
            count = getattr(report, kind)
            if count:
                height = round(max(_MIN_COLUMN, HEIGHT * count / most), 2)
                bottom = round(max(0.0, bottom - height), 2)
                drawn.append(Column(x=x, y=bottom, width=across, height=height, kind=kind, report=report))
    return drawn


@dataclass(frozen=True, kw_only=True)
class Sum:
    """Drift of several audits together."""

    name: str
    missing: int = 0
    extra: int = 0
    changed: int = 0
    value_at_risk: Decimal = Decimal(0)

    @property
    def rows(self) -> int:
        return self.missing + self.extra + self.changed


def by_site(config: ChainConfig, latest: Mapping[str, AuditReport]) -> list[Sum]:
    """What the newest runs found, by the site of the interface (empty for none), the most money first."""
    sites = {interface.id: interface.site for interface in config.interfaces}
    return _sums({audit.id: sites.get(audit.interface, "") for audit in config.audits}, latest)


def by_kind_of_data(config: ChainConfig, latest: Mapping[str, AuditReport]) -> list[Sum]:
    """The same by what the interface carries: orders, stock, prices …"""
    carries = {interface.id: interface.carries for interface in config.interfaces}
    return _sums({audit.id: carries.get(audit.interface, "") for audit in config.audits}, latest)


def _sums(names: Mapping[str, str], latest: Mapping[str, AuditReport]) -> list[Sum]:
    found: dict[str, Sum] = {}
    for audit, name in names.items():
        report = latest.get(audit)
        if report is None or report.verdict is not Verdict.DRIFT:
            continue
        so_far = found.get(name, Sum(name=name))
        found[name] = Sum(
            name=name,
            missing=so_far.missing + report.missing,
            extra=so_far.extra + report.extra,
            changed=so_far.changed + report.changed,
            value_at_risk=so_far.value_at_risk + report.value_at_risk,
        )
    return sorted(found.values(), key=lambda one: (-one.value_at_risk, -one.rows, one.name))


def _total(report: AuditReport) -> int:
    return report.missing + report.extra + report.changed
