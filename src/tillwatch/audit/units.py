"""A large audit in units of work: some buckets of both sides, compared by whichever process is free.

A unit says which chain directory and which audit it belongs to, so a worker reads the declaration and the passwords
where it stands; none of them travel. What comes back is small: the rows that differ, and what was read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Event

from tillwatch.audit.buckets import Marks
from tillwatch.audit.compare import Task, find_suspects, refuse_repeated
from tillwatch.audit.declare import Declared, declare_all, signature
from tillwatch.audit.reading import SIDES, Ask, Gate, Leftovers, Progress, SideFault, SideRead, Sides
from tillwatch.audit.spill import Pair, Spill, Stand
from tillwatch.audit.turns import Throttle
from tillwatch.clock import SystemClock
from tillwatch.config.load import load
from tillwatch.model.proof import NOTHING
from tillwatch.sources import registry
from tillwatch.sources.base import Reading, Source
from tillwatch.sources.changes import Changes, Slices

#: Rows of one side in one unit: a few seconds of work, and what is lost when a process is killed.
UNIT_ROWS = 500_000


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One piece of one audit."""

    chain: str
    audit: str
    #: Of the audit as the one who asks has declared it.
    signature: str
    prefix: int
    buckets: frozenset[str]
    #: The worker gives up after this.
    timeout_seconds: float


@dataclass(frozen=True, kw_only=True)
class UnitResult:
    """What a unit found: every key on which the sides differ, and what was read of each side."""

    suspects: tuple[Pair, ...]
    reads: Mapping[str, SideRead]


def cut(names: Collection[str], left: Marks, right: Marks, *, rows: int = UNIT_ROWS) -> list[frozenset[str]]:
    """`names` in pieces of at most about `rows` rows on the larger side, neighbours together."""
    pieces: list[frozenset[str]] = []
    piece: list[str] = []
    held = 0
    for name in sorted(names):
        here = max(left.get(name, NOTHING).rows, right.get(name, NOTHING).rows)
        if piece and held + here > rows:
            pieces.append(frozenset(piece))
            piece, held = [], 0
        piece.append(name)
        held += here
    if piece:
        pieces.append(frozenset(piece))
    return pieces


def slices_of(declared: Declared, prefix: int, buckets: frozenset[str]) -> Ask:
    """A reading of these buckets."""
    slices = Slices(key=declared.key_names, prefix=prefix, buckets=buckets)

    def ask(source: Source, dataset: str, columns: Sequence[str]) -> Reading:
        assert isinstance(source, Changes)
        return source.read_slices(dataset, columns, slices)

    return ask


def compare_unit(unit: Unit) -> UnitResult:
    """In a worker. Raises SideFault as an audit in one process does."""
    declared, sources = _opened(unit.chain, unit.audit)
    if signature(declared) != unit.signature:
        raise SideFault(
            f"a worker has another declaration of audit '{unit.audit}' in its chain directory; bring all to the same"
        )
    clock = SystemClock()
    gate = Gate(
        clock=clock,
        deadline=clock.monotonic() + unit.timeout_seconds,
        timeout_seconds=unit.timeout_seconds,
        stop=Event(),
    )
    spec = declared.spec
    with Spill() as spill:
        sides = Sides(
            declared,
            sources.get(spec.left.system),
            sources.get(spec.right.system),
            spill=spill,
            gate=gate,
            leftovers=Leftovers(),
            progress=Progress(),
            # Whoever asks has taken the places this unit needs.
            throttle=Throttle(),
        )
        task = Task(declared=declared, sides=sides, spill=spill, gate=gate)
        sides.read_by(dict.fromkeys(SIDES, slices_of(declared, unit.prefix, unit.buckets)))
        refuse_repeated(task)
        find_suspects(task)
        return UnitResult(suspects=tuple(spill.suspects(Stand.PENDING)), reads=dict(sides.reads))


@lru_cache(maxsize=4)
def _opened(chain: str, audit: str) -> tuple[Declared, registry.Sources]:
    """Connections are kept from one unit to the next."""
    config = load(Path(chain))
    return declare_all(config)[audit], registry.build(config, clock=SystemClock())
