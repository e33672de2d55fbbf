"""Maintenance windows that come again and again, as the silences they amount to. Pure."""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from tillwatch.config.matcher import parse_matcher
from tillwatch.config.schema import Maintenance
from tillwatch.schedule import Cron
from tillwatch.store.silences import Silence

#: What a window is called among the silences, before its id.
PREFIX = "maintenance:"


def active(windows: Iterable[Maintenance], zone: ZoneInfo, now: datetime) -> list[Silence]:
    """The windows that hold at `now`, as silences nobody can expire: the file decides."""
    found = ((window, _begun(window, zone, now)) for window in windows)
    return [_silence(window, begun) for window, begun in found if begun is not None]


def _begun(window: Maintenance, zone: ZoneInfo, now: datetime) -> datetime | None:
    """When the window that holds at `now` began; of overlapping ones the last."""
    begun = Cron(expression=window.schedule, zone=window.zone or zone).last_until(now)
    return begun if now < begun + window.duration else None


def _silence(window: Maintenance, begun: datetime) -> Silence:
    return Silence(
        id=PREFIX + window.id,
        matchers=tuple(map(parse_matcher, window.matchers)),
        starts_at=begun,
        ends_at=begun + window.duration,
        created_by="alerts/routes.yaml",
        comment=window.comment or next(iter(window.name.values()), window.id),
        updated_at=begun,
    )
