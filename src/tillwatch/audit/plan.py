"""Which strategy compares this audit, and why. The only place that chooses; strategies do not know each other."""

from dataclasses import dataclass

from tillwatch.audit.compare import Strategy, Stream, Unsuited
from tillwatch.audit.declare import Declared
from tillwatch.audit.pushdown import asking
from tillwatch.audit.pushdown.digest import Digest
from tillwatch.audit.pushdown.records import Records
from tillwatch.sources.base import Source
from tillwatch.sources.sql import SqlSource


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A strategy and a sentence that says why."""

    strategy: Strategy
    reason: str


def choose(declared: Declared, left: Source, right: Source, asked: str = "") -> Choice:
    """The cheapest strategy that reads everything, or the one `asked` for where both sides can do it."""
    if why := asking.inability(left, right):
        return Choice(
            strategy=Stream(),
            reason=f"{declared.spec.left.system} ({left.kind}) and {declared.spec.right.system} ({right.kind}) cannot "
            f"both be asked to compute, so every row is read and compared here: {why}",
        )
    if asked == Records.name or (not asked and _lacks_hash(left, right)):
        return Choice(strategy=Records(), reason="both databases write their rows as text, which is matched here")
    return Choice(
        strategy=Digest(matches=not asked), reason="both databases sum hashes of their rows and what differs is read"
    )


def _lacks_hash(left: Source, right: Source) -> bool:
    """Whether one of them would have to hash its rows in our process, one by one."""
    return any(isinstance(source, SqlSource) and source.dialect == "sqlite" for source in (left, right))


def instead(choice: Choice, why: Unsuited) -> Choice:
    """What takes the place of a strategy that turned out not to suit: streaming always does."""
    return Choice(
        strategy=Stream(), reason=f"{choice.reason}; streamed, not compared by {choice.strategy.name}, because {why}"
    )
