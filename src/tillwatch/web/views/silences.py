"""Silences as a page shows them: what each reaches now, and the form to set one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tillwatch.alerting.reach import LiveAlerts, Reach
from tillwatch.alerting.silences import Draft
from tillwatch.config.declared import ChainConfig
from tillwatch.config.matcher import Matcher, parse_matcher
from tillwatch.errors import UsageError
from tillwatch.incident import maintenance
from tillwatch.model.alert import Episode
from tillwatch.model.incident import Incident
from tillwatch.store.silences import Silence, SilenceState
from tillwatch.web.language import Texts
from tillwatch.web.views.incident import headline
from tillwatch.web.views.names import component_name

#: What the form offers; anything else is an end on the clock.
DURATIONS: Mapping[str, timedelta] = {
    "30m": timedelta(minutes=30),
    "1h": timedelta(hours=1),
    "2h": timedelta(hours=2),
    "4h": timedelta(hours=4),
    "8h": timedelta(hours=8),
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
}
DEFAULT_DURATION = "1h"
#: As the API takes; each is tried against every alert.
MAX_MATCHERS = 50
#: What a browser's field for a local time sends; seconds only when they are not zero.
_LOCAL = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")


@dataclass(frozen=True, kw_only=True)
class SilenceView:
    """One silence and what it keeps quiet now."""

    silence: Silence
    state: SilenceState
    reach: Reach
    #: A maintenance window: the chain directory decides about it, no button does.
    declared: bool


@dataclass(frozen=True, kw_only=True)
class ReachedView:
    """An incident that matchers reach, in one language."""

    incident: int
    headline: str
    matched: int
    live: int
    whole: bool


@dataclass(frozen=True, kw_only=True)
class SilenceForm:
    """The fields as typed. Times are local to the chain, as a browser's field spells them."""

    matchers: str = ""
    start: str = ""
    duration: str = DEFAULT_DURATION
    end: str = ""
    comment: str = ""
    #: The silence that is being changed; empty for a new one.
    id: str = ""

    def parsed(self) -> tuple[Matcher, ...]:
        """One matcher a line, or several in braces as Alertmanager writes them. Raises UsageError."""
        return tuple(matchers_of(self.matchers))

    def draft(self, by: str, zone: ZoneInfo, now: datetime, *, before: Silence | None) -> Draft:
        """The silence as wanted. Raises UsageError."""
        started = before is not None and before.state(now) is SilenceState.ACTIVE
        starts_at = before.starts_at if before and started else _local(self.start, zone) or now
        if not self.end and self.duration not in DURATIONS:
            raise UsageError(f"'{self.duration}' is no duration of the form; give an end")
        # "For two hours" said about something in force is meant from now on.
        ends_at = _local(self.end, zone) or max(starts_at, now) + DURATIONS[self.duration]
        return Draft(
            matchers=self.parsed(), starts_at=starts_at, ends_at=ends_at, created_by=by, comment=self.comment.strip()
        )


def form_of(silence: Silence, zone: ZoneInfo, now: datetime) -> SilenceForm:
    """The form filled from a silence. One that has ended is offered again from now on."""
    ended = silence.state(now) is SilenceState.EXPIRED
    return SilenceForm(
        matchers="\n".join(map(str, silence.matchers)),
        start=_spelled(silence.starts_at, zone) if silence.state(now) is SilenceState.PENDING else "",
        end="" if ended else _spelled(silence.ends_at, zone),
        comment=silence.comment,
        id="" if ended else silence.id,
    )


def matchers_of(text: str) -> list[Matcher]:
    """Raises UsageError for the first that cannot be read, or for too many."""
    lines = [line.strip().removeprefix("{").removesuffix("}") for line in text.splitlines()]
    written = [part for line in lines for part in _apart(line)]
    if len(written) > MAX_MATCHERS:
        raise UsageError(f"{len(written)} matchers; at most {MAX_MATCHERS}")
    return [parse_matcher(one) for one in written]


def silence_views(silences: Sequence[Silence], alerts: LiveAlerts, now: datetime) -> list[SilenceView]:
    return [
        SilenceView(
            silence=one,
            state=one.state(now),
            reach=alerts.reach(one.matchers),
            declared=one.id.startswith(maintenance.PREFIX),
        )
        for one in silences
    ]


def reached_views(
    reach: Reach,
    incidents: Sequence[Incident],
    episodes: Mapping[int, Sequence[Episode]],
    config: ChainConfig,
    t: Texts,
) -> list[ReachedView]:
    """The incidents of `reach` that are among `incidents`, in words."""
    known = {one.id: one for one in incidents}
    shown = []
    for one in reach.incidents:
        if (incident := known.get(one.incident)) is None:
            continue
        name = component_name(config, str(incident.component), t)
        said = headline(incident, episodes.get(incident.id, ()), name, t)
        shown.append(
            ReachedView(incident=one.incident, headline=said, matched=one.matched, live=one.live, whole=one.is_whole)
        )
    return shown


def _apart(line: str) -> list[str]:
    """Split at commas outside of quotes; a backslash keeps the next character, as in Alertmanager."""
    parts, current, quoted, escaped = [], "", False, False
    for character in line:
        if character == "," and not quoted:
            parts.append(current)
            current = ""
            continue
        if character == '"' and not escaped:
            quoted = not quoted
        escaped = character == "\\" and not escaped
        current += character
    return [part.strip() for part in (*parts, current) if part.strip()]


def _local(text: str, zone: ZoneInfo) -> datetime | None:
    """A local time of the form; None when the field is empty. Raises UsageError."""
    if not text:
        return None
    for shape in _LOCAL:
        try:
            return datetime.strptime(text, shape).replace(tzinfo=zone)
        except ValueError:
            continue
    raise UsageError(f"'{text}' is not a time; write for example 2026-11-24T22:30")


def _spelled(instant: datetime, zone: ZoneInfo) -> str:
    return instant.astimezone(zone).strftime(_LOCAL[0])
