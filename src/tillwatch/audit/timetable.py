"""When an audit runs: its schedule, as far as the chain's calendar allows. Pure."""

from collections.abc import Callable, Mapping
from datetime import datetime

from tillwatch.audit.verdict import site_of
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit, When
from tillwatch.errors import UsageError
from tillwatch.oncall import days
from tillwatch.oncall.calendar import StoreCalendar
from tillwatch.schedule import NEVER, Schedule, Sieved, parse_schedule


def timetable(spec: Audit, config: ChainConfig) -> Schedule:
    """The schedule of `spec`. Raises UsageError when it asks for opening hours nobody has declared."""
    schedule = parse_schedule(spec.schedule, config.chain.timezone)
    if spec.when is None or isinstance(schedule, Sieved):
        return schedule
    site = site_of(spec, config)
    calendar = StoreCalendar.of(config)
    if spec.when.shop != "any" and not (site in calendar.sites and calendar.sites[site].hours):
        which = f"site '{site}' has no opening hours" if site else "it is about no single shop"
        raise UsageError(f"audit '{spec.id}': when.shop: {spec.when.shop}: {which}; declare hours or remove it")
    return Sieved(inner=schedule, allows=allowed(spec.when, calendar, site), next_change=calendar.next_change)


def timetables(config: ChainConfig) -> Mapping[str, Schedule]:
    """That of every audit, by id."""
    return {spec.id: timetable(spec, config) for spec in config.audits}


def next_instant(spec: Audit, config: ChainConfig, now: datetime) -> datetime | None:
    """When `spec` is due next after `now`; None when its calendar allows nothing within HORIZON."""
    due = timetable(spec, config).first_after(now, spec.id)
    return due if due - now < NEVER else None


def allowed(when: When, calendar: StoreCalendar, site: str) -> Callable[[datetime], bool]:
    """Whether an audit of `site` may begin at an instant."""
    closed_windows = [window for window in calendar.windows if window.id in when.not_in]

    def allows(at: datetime) -> bool:
        if when.days and not days.holds(
            at, calendar.zone, hours="", days=when.days, holidays=calendar.calendar.holidays
        ):
            return False
        if when.shop != "any" and calendar.is_open(site, at) is not (when.shop == "open"):
            return False
        return not any(calendar.holds(window, at) for window in closed_windows)

    return allows
