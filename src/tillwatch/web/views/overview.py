"""Is my chain OK? One sentence, then sites x checks, worst first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tillwatch.config.declared import ChainConfig
from tillwatch.model.audit import AuditReport
from tillwatch.model.incident import Incident
from tillwatch.model.probe import ProbeState
from tillwatch.web.views.checks import CheckView, of_audit, of_probe, worst
from tillwatch.web.views.levels import OF_SEVERITY, Level
from tillwatch.web.views.places import CHAIN_ROW, affected_shops, hub, shops, site_of

#: Column of checks on systems themselves, and of machines; the other columns are what interfaces carry.
SYSTEMS = "systems"
HOSTS = "hosts"
#: The order documents matter in when a shop is open; what is not listed follows by name.
_CARRIES_ORDER = ("orders", "stock", "prices", "members")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All checks of one site in one column; it speaks in the words of the worst."""

    checks: tuple[CheckView, ...]

    @property
    def worst(self) -> CheckView:
        return worst(self.checks)

    @property
    def ok_count(self) -> int:
        return sum(check.level is Level.OK for check in self.checks)


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    """One site; `site` is empty for checks that belong to none."""

    site: str
    names: Mapping[str, str]
    cells: tuple[Cell | None, ...]

    @property
    def level(self) -> Level:
        levels = [cell.worst.level for cell in self.cells if cell]
        return min(levels, key=lambda level: level.rank, default=Level.OK)


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """The answer: a message id, its numbers, and how loud it is. `incident` is the worst open one, if any."""

    level: Level
    key: str
    shops: int = 0
    n: int = 0
    hub: str | None = None
    incident: Incident | None = None
    since: datetime | None = None
    affected: tuple[str, ...] = ()
    checked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Overview:
    sentence: Sentence
    columns: tuple[str, ...]
    rows: tuple[SiteRow, ...]
    checks: tuple[CheckView, ...] = field(default=())


def overview(
    config: ChainConfig,
    states: Mapping[str, ProbeState],
    reports: Mapping[str, AuditReport],
    incidents: Sequence[Incident],
    now: datetime,
) -> Overview:
    """1. View every check. 2. Place it in (site, column). 3. Sort sites worst first. 4. Say it in one sentence."""
    placed: dict[tuple[str, str], list[CheckView]] = {}
    for probe in config.probes:
        column = _column(config, probe.interface, probe.system)
        site = site_of(config, site=probe.site, interface=probe.interface, system=probe.system)
        placed.setdefault((site, column), []).append(of_probe(probe, states.get(probe.id), now))
    for audit in config.audits:
        column = _column(config, audit.interface, audit.left.system)
        site = site_of(config, interface=audit.interface, system=audit.left.system)
        placed.setdefault((site, column), []).append(of_audit(audit, reports.get(audit.id), config, now))
    columns = _ordered({column for _, column in placed})
    checks = tuple(check for cell in placed.values() for check in cell)
    return Overview(
        sentence=sentence(config, checks, incidents),
        columns=columns,
        rows=_rows(config, placed, columns),
        checks=checks,
    )


def sentence(config: ChainConfig, checks: Sequence[CheckView], incidents: Sequence[Incident]) -> Sentence:
    """Incidents first, then blindness, then failing checks, then calm. Never calm while something is unknown."""
    count, centre = len(shops(config)), hub(config)
    latest = max((check.at for check in checks if check.at), default=None)
    roots = sorted((item for item in incidents if item.parent is None), key=_urgency) or sorted(incidents, key=_urgency)
    if roots:
        first = roots[0]
        level = OF_SEVERITY[first.severity]
        return Sentence(
            level=level,
            key="sentence.incident",
            n=len(roots) - 1,
            incident=first,
            since=first.opened_at,
            affected=affected_shops(config, first.component),
            checked_at=latest,
        )
    if not checks:
        return Sentence(level=Level.UNKNOWN, key="sentence.no_checks")
    if latest is None:
        return Sentence(level=Level.PENDING, key="sentence.starting", n=len(checks))
    stale = [check for check in checks if check.word == "stale"]
    if len(stale) == sum(check.at is not None for check in checks):
        return Sentence(level=Level.UNKNOWN, key="sentence.blind", since=latest, checked_at=latest)
    failing = [check for check in checks if check.level in (Level.CRITICAL, Level.WARNING)]
    if failing:
        return Sentence(level=worst(failing).level, key="sentence.failing", n=len(failing), checked_at=latest)
    unknown = [check for check in checks if check.level is Level.UNKNOWN]
    if unknown:
        return Sentence(level=Level.UNKNOWN, key="sentence.unknown", n=len(unknown), checked_at=latest)
    pending = [check for check in checks if check.level is Level.PENDING]
    if pending:
        return Sentence(level=Level.PENDING, key="sentence.pending", n=len(pending), checked_at=latest)
    key = "sentence.ok_hub" if centre and count else "sentence.ok"
    return Sentence(level=Level.OK, key=key, shops=count, n=len(checks), hub=centre, checked_at=latest)


def _urgency(incident: Incident) -> tuple[int, datetime, int]:
    return incident.severity.rank, incident.opened_at, incident.id


def _column(config: ChainConfig, interface: str, system: str) -> str:
    carries = {item.id: item.carries for item in config.interfaces}
    if interface in carries:
        return carries[interface]
    sources = {item.id: item.source for item in config.systems}
    return HOSTS if sources.get(system) == "host" else SYSTEMS


def _ordered(columns: set[str]) -> tuple[str, ...]:
    known = (SYSTEMS, *_CARRIES_ORDER, HOSTS)
    others = sorted(columns.difference(known))
    ranked = (SYSTEMS, *_CARRIES_ORDER, *others, HOSTS)
    return tuple(column for column in ranked if column in columns)


def _rows(
    config: ChainConfig, placed: Mapping[tuple[str, str], Sequence[CheckView]], columns: Sequence[str]
) -> tuple[SiteRow, ...]:
    names = {site.id: site.name for site in config.sites}
    present = {site for site, _ in placed}
    order = [site.id for site in config.sites if site.id in present]
    order += sorted(present.difference(names, {CHAIN_ROW})) + ([CHAIN_ROW] if CHAIN_ROW in present else [])
    rows = [
        SiteRow(
            site=site,
            names=names.get(site, {}),
            cells=tuple(_cell(placed.get((site, column), ())) for column in columns),
        )
        for site in order
    ]
    return tuple(sorted(rows, key=lambda row: row.level.rank))


def _cell(checks: Sequence[CheckView]) -> Cell | None:
    return Cell(checks=tuple(sorted(checks, key=lambda check: (check.level.rank, check.id)))) if checks else None
