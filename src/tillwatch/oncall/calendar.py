"""What the calendar says about one moment: severity, who may sleep, and whether runbooks may start by themselves."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tillwatch.config.declared import ChainConfig
from tillwatch.config.matcher import matches_all, parse_matcher
from tillwatch.config.schema import Calendar, Site, Window
from tillwatch.model.incident import Severity
from tillwatch.model.labels import Labels
from tillwatch.oncall import days

_ORDER = tuple(Severity)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The severity of an alert at one moment, with what changed it: ids of windows, or `closed`."""

    severity: Severity
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StoreCalendar:
    """The declared calendar of one chain."""

    calendar: Calendar
    windows: tuple[Window, ...]
    sites: Mapping[str, Site]
    zone: ZoneInfo

    @classmethod
    def of(cls, config: ChainConfig) -> "StoreCalendar":
        sites = {site.id: site for site in config.sites}
        return cls(calendar=config.calendar, windows=config.windows, sites=sites, zone=config.chain.timezone)

    def judged(self, labels: Labels, stated: Severity, at: datetime) -> Judged:
        """1. Windows raise or lower, one step in all; raising wins. 2. Else a closed shop lowers, if so declared."""
        if not self.windows and self.calendar.closed == "keep":
            # Most chains; and in a storm this is asked of every alert.
            return Judged(severity=stated)
        found = [one for one in self.active(labels, at) if one.severity != "keep"]
        raising = [one.id for one in found if one.severity == "raise"]
        if raising:
            return Judged(severity=_moved(stated, -1), reasons=tuple(raising))
        if found:
            return Judged(severity=_moved(stated, 1), reasons=tuple(one.id for one in found))
        if self.calendar.closed == "lower" and not self.is_open(labels.get("site", ""), at):
            return Judged(severity=_moved(stated, 1), reasons=("closed",))
        return Judged(severity=stated)

    def active(self, labels: Labels, at: datetime) -> list[Window]:
        """The windows that hold at `at` for an alert with `labels`."""
        return [
            one for one in self.windows if self.holds(one, at) and matches_all(map(parse_matcher, one.matchers), labels)
        ]

    def holds(self, window: Window, at: datetime) -> bool:
        if window.from_ is not None and window.until is not None:
            return days.placed(window.from_, self.zone) <= at < days.placed(window.until, self.zone)
        if window.month_end and (at.astimezone(self.zone).date() + window.month_end * _ONE_DAY).day > window.month_end:
            return False
        return days.holds(at, self.zone, hours=window.hours, days=window.days, holidays=self.calendar.holidays)

    def is_open(self, site: str, at: datetime) -> bool:
        """True for a place without opening hours: it never closes."""
        known = self.sites.get(site)
        if known is None or not known.hours:
            return True
        return days.holds(at, self.zone, hours=known.hours, days=(), holidays=self.calendar.holidays)

    def next_change(self, at: datetime, hours: Iterable[str] = ()) -> datetime:
        """The first instant after `at` at which anything this calendar says may change: a midnight, an end of a window,
        of opening hours or of any other of `hours`."""
        spans = {*hours, *(one.hours for one in self.windows), *(site.hours for site in self.sites.values())} - {""}
        today = at.astimezone(self.zone).date()
        found = [days.placed(end, self.zone) for one in self.windows for end in (one.from_, one.until) if end]
        # A span over midnight belongs to the day on which it begins, so yesterday's may end today.
        for day in (today - _ONE_DAY, today, today + _ONE_DAY):
            minutes = {0, *(minute for span in spans for minute in days.span(span))}
            found.extend(days.instant(day, minute, self.zone) for minute in minutes)
        return min(instant for instant in found if instant > at)

    def held(self, severity: Severity, at: datetime) -> datetime:
        """When something of this severity may be told: `at`, or the end of the quiet hours around it."""
        return at if severity is Severity.CRITICAL else self.quiet_until(at) or at

    def quiet_until(self, at: datetime) -> datetime | None:
        """The end of the quiet hours around `at`; None outside of them."""
        quiet = self.calendar.quiet_hours
        until = days.ends(at, self.zone, quiet) if quiet else at
        return until if until > at else None

    def automatic_runs_allowed(self, at: datetime, labels: Labels | None = None) -> tuple[bool, tuple[str, ...]]:
        """Whether a runbook may start by itself at `at`, and the windows that forbid it."""
        forbidding = tuple(one.id for one in self.active(labels or {}, at) if not one.automatic_runs)
        return not forbidding, forbidding


def _moved(severity: Severity, steps: int) -> Severity:
    return _ORDER[max(0, min(len(_ORDER) - 1, severity.rank + steps))]


#: A chain that declares nothing: severities as stated, no quiet hours.
NO_CALENDAR = StoreCalendar(calendar=Calendar(), windows=(), sites={}, zone=ZoneInfo("UTC"))
