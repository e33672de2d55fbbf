"""What the strategies that ask databases share: two open sessions that agree, and what becomes of what they found."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from tillwatch.audit.compare import Task, Unsuited, find_suspects, refuse_repeated
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.pushdown.pair import Both, Pair
from tillwatch.audit.pushdown.prepare import prepare
from tillwatch.audit.pushdown.statements import Asker
from tillwatch.audit.reading import SIDES, SideFault
from tillwatch.errors import Cause, SourceError
from tillwatch.sources.base import Source
from tillwatch.sources.sql import SqlSource
from tillwatch.sources.sql.session import Session

#: With more differing rows than this, reading everything is cheaper than asking for single keys.
MAX_DIFFERING_SHARE = 0.3
MAX_KEYS = 200_000

T = TypeVar("T")


@dataclass(kw_only=True)
class Found:
    """What a run knows so far."""

    rows: dict[str, int] = field(default_factory=dict)
    keys: dict[tuple[str, ...], None] = field(default_factory=dict)
    how: list[str] = field(default_factory=list)


#: Fills a Found with the numbers of rows and every key that may differ.
Look = Callable[[Pair, Task, Both[Asker], Found], None]


def inability(left: Source, right: Source) -> str:
    """Why databases cannot even be asked; empty when they can."""
    for source in (left, right):
        if not isinstance(source, SqlSource):
            return f"{source.id} ({source.kind}) cannot hash rows itself"
    return ""


def find(task: Task, look: Look) -> str:
    """A strategy's `find`: let `look` find keys that may differ, read those and keep the ones that do."""
    found = Found()

    def looked(pair: Pair, askers: Both[Asker]) -> None:
        _refuse_repeated_keys(pair, task, askers)
        look(pair, task, askers, found)

    try:
        ask(task, looked)
    except Refused as refused:
        raise Unsuited(str(refused)) from refused
    names = task.declared.key_names
    if found.keys:
        task.sides.read_found([dict(zip(names, key, strict=True)) for key in found.keys])
    for side in SIDES:
        task.sides.account(side, rows=found.rows[side], bytes_read=0, requests=0)
    refuse_repeated(task)
    find_suspects(task)
    return "; ".join(found.how)


def ask(task: Task, compare: Callable[[Pair, Both[Asker]], T], more: Mapping[str, str] | None = None) -> T:
    """What `compare` makes of both sides, with one field `more` of each beside those that are compared.

    Raises Refused when the databases cannot be asked, SideFault.
    """
    if why := inability(task.sides.sources["left"], task.sides.sources["right"]):
        raise Refused(why)
    with Pair(task.sides, task.gate) as pair:
        sessions = _opened(pair, task, more)
        try:
            return compare(pair, prepare(pair, task.declared, sessions))
        except SideFault as fault:
            if is_inability(fault):
                raise Refused(f"a server refused to compute it: {fault}") from fault
            raise
        finally:
            for side in SIDES:
                session = sessions.of(side)
                task.sides.account(side, rows=0, bytes_read=session.bytes_read, requests=session.requests)


def is_inability(fault: SideFault) -> bool:
    """A statement of ours the server would not run; the same rows can still be read."""
    cause = fault.__cause__
    return type(cause) is SourceError and cause.cause is Cause.APPLICATION


def _opened(pair: Pair, task: Task, more: Mapping[str, str] | None) -> Both[Session]:
    fields = [rule.name for rule in (*task.declared.key, *task.declared.fields)]

    def connected(side: str) -> Session:
        source = task.sides.sources[side]
        assert isinstance(source, SqlSource)
        asked = dict.fromkeys([*fields, more[side]] if more else fields)
        session = source.session(task.sides.reads[side].dataset, tuple(asked))
        session.open()
        pair.at_end(side, session.close)
        return session

    return pair.both("connecting", connected)


def _refuse_repeated_keys(pair: Pair, task: Task, askers: Both[Asker]) -> None:
    """Raises Unsuited: only reading tells rows of one key apart."""

    def repeated(side: str) -> bool:
        asker = askers.of(side)
        return not asker.session.is_unique(task.declared.key_names) and asker.repeated() > 0

    found = pair.both("looking for repeated keys", repeated)
    for side in SIDES:
        if found.of(side):
            raise Unsuited(f"{task.sides.reads[side]} holds keys more than once")


def refuse_keyless(pair: Pair, task: Task, askers: Both[Asker]) -> None:
    """Raises Unsuited when a side holds keys that cannot be used as they stand."""
    keyless = pair.both("looking for unusable keys", lambda side: askers.of(side).keyless())
    for side in SIDES:
        if count := keyless.of(side):
            raise Unsuited(f"{task.sides.reads[side]} writes {count} keys differently from how they are compared")
