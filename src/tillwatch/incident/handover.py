"""The digest at a hand-over: whoever takes over hears what is open, through their own channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.config.declared import ChainConfig
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.model.notice import Notice, NoticeKind
from tillwatch.model.text import pick
from tillwatch.oncall.duty import Duty
from tillwatch.oncall.outlook import outlook
from tillwatch.oncall.rota import Turn
from tillwatch.store import incidents as store
from tillwatch.store import outbox
from tillwatch.store.db import Database

#: A hand-over that we slept through is told about so late; after that whoever has the phone knows it.
LATE = timedelta(hours=1)
#: Incidents named one by one; the page has the rest.
MAX_NAMED = 10

_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "title": "On-call hand-over, {rota}: {person} takes over from {before}",
        "begins": "On call, {rota}: {person}",
        "none": "Nothing is open.",
        "open": "Open incidents: {n}",
        "more": "… and {n} more",
        "until": "Until {until}",
        "acknowledged": "acknowledged by {who}",
        "unacknowledged": "nobody is on it",
    },
    "zh": {
        "title": "值班交接（{rota}）：{person} 接替 {before}",
        "begins": "开始值班（{rota}）：{person}",
        "none": "没有未关闭的事件。",
        "open": "未关闭事件：{n}",
        "more": "……另有 {n} 个",
        "until": "值班至 {until}",
        "acknowledged": "{who} 已确认",
        "unacknowledged": "尚无人确认",
    },
}


@dataclass(frozen=True, kw_only=True)
class Handover:
    """Somebody took over at `turn.begins`; `before` is empty when it was nobody's turn."""

    turn: Turn
    before: str
    channels: tuple[str, ...]


def handover(config: ChainConfig, duty: Duty, rota: str, now: datetime) -> Handover | None:
    """The hand-over that has just happened, if any. None without a channel: then nobody can be told."""
    turn = outlook(duty.schedules[rota], now).now
    if not turn.person or now - turn.begins > LATE:
        return None
    before = duty.who(rota, turn.begins - timedelta(microseconds=1)).person
    own = duty.people[turn.person].channels if turn.person in duty.people else ()
    shared = tuple(channel for one in config.receivers if one.oncall == rota for channel in one.channels)
    channels = own or tuple(dict.fromkeys(shared))
    return Handover(turn=turn, before=before, channels=channels) if channels else None


def digest(found: Handover, open_now: Sequence[Incident], config: ChainConfig, now: datetime) -> Notice:
    """One message in both languages. Its origin is the turn, so that it is told once whoever writes it."""
    return Notice(
        kind=NoticeKind.MESSAGE,
        incident=None,
        person=found.turn.person,
        channels=found.channels,
        not_before=now,
        text={language: _text(found, open_now, config, language) for language in _WORDS},
        origin=f"handover:{found.turn.rota}:{found.turn.person}:{found.turn.begins.isoformat()}",
    )


def _text(found: Handover, open_now: Sequence[Incident], config: ChainConfig, language: str) -> str:
    words = _WORDS[language]
    people = {one.id: pick(one.name, language, one.id) for one in config.people}
    rota = pick(config.rota(found.turn.rota).name, language, found.turn.rota)
    person = people.get(found.turn.person, found.turn.person)
    before = people.get(found.before, found.before)
    title = words["title" if before else "begins"].format(rota=rota, person=person, before=before)
    zone = config.chain.timezone
    until = words["until"].format(until=f"{found.turn.ends.astimezone(zone):%Y-%m-%d %H:%M}")
    lines = [title, until, words["open"].format(n=len(open_now)) if open_now else words["none"]]
    for one in open_now[:MAX_NAMED]:
        who = words["acknowledged"].format(who=one.acknowledged_by)
        state = who if one.state is IncidentState.ACKNOWLEDGED else words["unacknowledged"]
        what = pick(one.titles, language, one.title)
        lines.append(f"- #{one.id} {what} ({one.opened_at.astimezone(zone):%m-%d %H:%M}, {state})")
    if len(open_now) > MAX_NAMED:
        lines.append(words["more"].format(n=len(open_now) - MAX_NAMED))
    lines.append(f"{config.listen.base_url}/incidents")
    return "\n".join(lines)


class Handovers:
    """Looks for hand-overs and writes their digests. Any number of processes may look; each turn is told once."""

    def __init__(self, config: ChainConfig, *, database: Database) -> None:
        self._config = config
        self._duty = Duty.of(config)
        self._database = database
        #: Until when the answer for each rota holds: nothing has to be looked up before.
        self._until: dict[str, datetime] = {}

    def tick(self, now: datetime) -> int:
        """Write the digests that are due. Returns how many are new."""
        due = [rota for rota in self._duty.schedules if self._until.get(rota, now) <= now]
        found = [one for rota in due if (one := handover(self._config, self._duty, rota, now)) is not None]
        written = self._database.write(lambda connection: self._write(connection, found, now)) if found else 0
        for rota in due:
            self._until[rota] = outlook(self._duty.schedules[rota], now).now.ends
        return written

    def _write(self, connection: Connection, found: Sequence[Handover], now: datetime) -> int:
        open_now = [one for one in store.list_open(connection) if one.parent is None]
        worst_first = sorted(open_now, key=lambda one: (one.severity.rank, one.id))
        return sum(outbox.enqueue(connection, digest(one, worst_first, self._config, now), now) for one in found)
