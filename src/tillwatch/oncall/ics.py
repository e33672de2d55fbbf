"""A rota as an iCalendar feed (RFC 5545), for the calendars people already look at."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from tillwatch.oncall.rota import Turn

#: Turns from so long ago until so far ahead are in the feed.
BACK, AHEAD = timedelta(days=14), timedelta(days=90)
#: Lines are folded at this many bytes.
MAX_LINE_BYTES = 75

_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": ""})


def feed(name: str, turns: Sequence[Turn], now: datetime, *, chain: str, called: Callable[[str], str]) -> bytes:
    """The whole calendar; the hours that are nobody's are left out. `called` names a person."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//tillwatch//{_text(chain)}//ZH",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{_text(name)}",
        "REFRESH-INTERVAL;VALUE=DURATION:PT1H",
    ]
    for turn in turns:
        if turn.person:
            lines += _event(name, turn, now, chain, called(turn.person))
    lines.append("END:VCALENDAR")
    return b"".join(part for line in lines for part in _folded(line))


def _event(name: str, turn: Turn, now: datetime, chain: str, person: str) -> list[str]:
    return [
        "BEGIN:VEVENT",
        f"UID:{turn.rota}-{_stamp(turn.begins)}@{chain}.tillwatch",
        f"DTSTAMP:{_stamp(now)}",
        f"DTSTART:{_stamp(turn.begins)}",
        f"DTEND:{_stamp(turn.ends)}",
        f"SUMMARY:{_text(f'{name}: {person}')}",
        # Being on call is no appointment: the day stays free.
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    return value.translate(_ESCAPED)


def _folded(line: str) -> Iterator[bytes]:
    """At most MAX_LINE_BYTES a line, cut between characters; what follows begins with a space."""
    part = b""
    for character in line:
        piece = character.encode()
        if len(part) + len(piece) > MAX_LINE_BYTES:
            yield part + b"\r\n"
            part = b" "
        part += piece
    yield part + b"\r\n"
