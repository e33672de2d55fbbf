"""Which strategy compares this audit, and why. The only place that chooses; strategies do not know each other."""

from dataclasses import dataclass

from tillwatch.audit.compare import Strategy, Stream, Unsuited
from tillwatch.audit.declare import Declared
from tillwatch.audit.pushdown import digest
from tillwatch.sources.base import Source


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A strategy and a sentence that says why."""

    strategy: Strategy
    reason: str


def choose(declared: Declared, left: Source, right: Source) -> Choice:
    """The cheapest strategy that proves what the audit asks."""
    if why := digest.inability(left, right):
        return Choice(
            strategy=Stream(),
            reason=f"{declared.spec.left.system} ({left.kind}) and {declared.spec.right.system} ({right.kind}) have no "
            f"digest in common, so every row is read and compared here: {why}",
        )
    return Choice(strategy=digest.Digest(), reason="both databases sum hashes of their rows and what differs is read")


def instead(choice: Choice, why: Unsuited) -> Choice:
    """What takes the place of a strategy that turned out not to suit: streaming always does."""
    return Choice(
        strategy=Stream(), reason=f"{choice.reason}; streamed, not compared by {choice.strategy.name}, because {why}"
    )
