"""Times, money, numbers and durations as a reader of one language in one zone expects them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel.numbers import format_currency, format_decimal

from tillwatch.web.language import CHINESE, Texts

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
#: Beyond this a duration in seconds is read in minutes.
_SECONDS_SHOWN_BELOW = 120
_MILLISECONDS_SHOWN_BELOW = 1.0


@dataclass(frozen=True, kw_only=True)
class Formats:
    """Bound to one reader and one moment: `now` is the time of the request."""

    t: Texts
    zone: ZoneInfo
    currency: str
    now: datetime

    def full(self, at: datetime) -> str:
        """`2026-11-24 10:02:13 +08:00`: never ambiguous, also after a screenshot left the house."""
        local = at.astimezone(self.zone)
        offset = local.strftime("%z")
        return f"{local:%Y-%m-%d %H:%M:%S} {offset[:3]}:{offset[3:5]}"

    def clock(self, at: datetime) -> str:
        """`10:02` today, `11-23 10:02` on another day of this year, else with the year."""
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        if local.date() == today.date():
            return f"{local:%H:%M}"
        return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d %H:%M}"

    def seconds_clock(self, at: datetime) -> str:
        """`10:02:13 +08:00`, with the date when it is not today."""
        full = self.full(at)
        today = f"{self.now.astimezone(self.zone):%Y-%m-%d} "
        return full.removeprefix(today)

    def ago(self, at: datetime) -> str:
        """`12 s ago`; a time in the future (clocks differ) reads as now."""
        seconds = max(0, int((self.now - at).total_seconds()))
        return self.t("ago", span=self.span(seconds))

    def span(self, seconds: float) -> str:
        """A duration in the largest unit that still says something."""
        whole = int(seconds)
        if whole < _SECONDS_SHOWN_BELOW:
            return self.t("span.seconds", n=whole)
        if whole < 2 * _HOUR:
            return self.t("span.minutes", n=whole // _MINUTE)
        if whole < 2 * _DAY:
            return self.t("span.hours", n=whole // _HOUR)
        return self.t("span.days", n=whole // _DAY)

    def took(self, seconds: float) -> str:
        """A measured duration: `34 ms`, `1.24 s`, `3 min`."""
        if seconds < _MILLISECONDS_SHOWN_BELOW:
            return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 or seconds == 0 else f"{seconds * 1000:.1f} ms"
        return f"{seconds:.2f} s" if seconds < _SECONDS_SHOWN_BELOW else self.span(seconds)

    def money(self, amount: Decimal) -> str:
        return format_currency(amount, self.currency, locale=self._babel)

    def number(self, value: float | Decimal) -> str:
        return format_decimal(value, locale=self._babel)

    @property
    def offset(self) -> str:
        offset = self.now.astimezone(self.zone).strftime("%z")
        return f"UTC{offset[:3]}:{offset[3:5]}"

    @property
    def _babel(self) -> str:
        return "zh_CN" if self.t.language == CHINESE else "en_US"
