"""One audit run from end to end, without a store: read, compare, settle, and say what was found."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from tillwatch.audit import compare, plan, settle, totals
from tillwatch.audit.approach import Approach
from tillwatch.audit.categories import Categories
from tillwatch.audit.declare import Declared
from tillwatch.audit.ledger import Forgetful, Ledger
from tillwatch.audit.ranges import Scale
from tillwatch.audit.reading import Gate, Leftovers, Progress, SideFault, SideRead, Sides
from tillwatch.audit.rows import MAX_EXAMPLES, decode_cells, decode_key
from tillwatch.audit.sentences import chinese
from tillwatch.audit.spill import Pair, Spill, Stand
from tillwatch.audit.suspects import percentile
from tillwatch.audit.systematic import hint
from tillwatch.audit.thresholds import judged
from tillwatch.audit.tiers import Impossible
from tillwatch.audit.turns import SHARED
from tillwatch.audit.value import EXACT
from tillwatch.audit.verdict import Counts, decide, proves
from tillwatch.clock import Clock
from tillwatch.config.schema import Audit
from tillwatch.errors import Cause, TillwatchError
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, SideReport, Verdict
from tillwatch.model.proof import Proof
from tillwatch.model.text import Text
from tillwatch.sources.base import Source

#: Differences kept of one run, in key order; the counts and the value at risk are always complete. A person reads the
#: first hundred, a repair handles thousands; a million stored rows would only say "everything differs".
MAX_DIFFERENCES_KEPT = 100_000


def ignore(progress: Progress) -> None:
    """The progress of a run nobody watches."""


def forget(proof: Proof) -> None:
    """What a run leaves for a next one that will not come."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to examine and under which conditions."""

    declared: Declared
    #: Gives the source of a system; may refuse.
    open: Callable[[str], Source]
    run: int
    started_at: datetime
    clock: Clock
    stop: threading.Event = field(default_factory=threading.Event)
    leftovers: Leftovers = field(default_factory=Leftovers)
    #: Where suspects that are not decided outlive the run.
    ledger: Ledger = field(default_factory=Forgetful)
    #: The slowest normal delay of the sync in earlier runs, in seconds; 0 = never measured.
    measured_lag: float = 0.0
    #: Told how many seconds each row in flight took to become equal.
    converged: Callable[[float], None] = lambda _: None
    #: Called several times a second with the rows read so far.
    alive: Callable[[Progress], None] = ignore
    #: What the last proven run left, and who takes what this one leaves.
    memory: Proof | None = None
    keep: Callable[[Proof], None] = forget
    #: Takes what a large run has proven so far, for the one that goes on when this one is killed.
    checkpoint: Callable[[Proof], None] = forget
    #: What a large audit may be spread over; None = compared in this process.
    scale: Scale | None = None
    #: The strategy asked for this one run; empty = as the audit declares.
    strategy: str = ""


def examine(order: Order) -> AuditReport:
    """Run the audit and report. A side that fails, hangs or gives no evidence is a verdict, never an exception.

    Raises Impossible when a strategy was asked for that cannot prove this audit now.
    """
    spec = order.declared.spec
    started = order.clock.monotonic()
    progress = Progress()
    gate = Gate(
        clock=order.clock,
        deadline=started + spec.timeout.total_seconds(),
        timeout_seconds=spec.timeout.total_seconds(),
        stop=order.stop,
        alive=lambda: order.alive(progress),
    )
    found = _Found(categories=Categories(name=spec.category))
    try:
        left, right = order.open(spec.left.system), order.open(spec.right.system)
        with Spill(alive=gate.alive) as spill:
            sides = Sides(
                order.declared,
                left,
                right,
                spill=spill,
                gate=gate,
                leftovers=order.leftovers,
                progress=progress,
                throttle=order.scale.throttle if order.scale is not None else SHARED,
            )
            found.sides = sides
            task = compare.Task(declared=order.declared, sides=sides, spill=spill, gate=gate)
            approach = Approach(
                task=task,
                memory=order.memory,
                asked=order.strategy,
                now=order.started_at,
                scale=order.scale,
                checkpoint=order.checkpoint,
                run=order.run,
            )
            with sides.turn:
                choice = approach.choose()
                found.why = approach.reason
                found.early = totals.compared(task)
                read_at = order.clock.now()
                _find(task, approach, choice, found)
                found.tell_early()
            found.compared(order.clock.monotonic() - started)
            found.suspects = spill.count(Stand.PENDING)
            found.settled = settle.settle(
                task, spec.settle, ledger=order.ledger, measured_lag=order.measured_lag, read_at=read_at
            )
            for lag in found.settled.lags:
                order.converged(lag)
            _collect(task, found)
            found.verdict, found.reason = decide(found.counts())
            found.judge(spec)
            if proves(found.verdict, found.counts()):
                order.keep(approach.proof(found.strategy))
    except Impossible:
        raise
    except SideFault as fault:
        found.verdict, found.reason = fault.verdict, str(fault)
        found.cause = cause_of(fault.__cause__)
    except TillwatchError as error:
        found.verdict, found.reason = Verdict.FAILED, str(error)
        found.cause = cause_of(error)
    return _report(order, found, order.clock.monotonic() - started)


@dataclass(kw_only=True)
class _Found:
    """What a run has found so far; complete when it ends, also when it ends early."""

    categories: Categories
    sides: Sides | None = None
    strategy: str = ""
    strategy_reason: str = ""
    #: Why the strategy was chosen, as far as it was decided in both languages.
    why: Text = field(default_factory=dict)
    #: Counts and sums of both sides before rows were read; None when they were not asked for.
    early: totals.Compared | None = None
    #: Rows read of both sides until all suspects were known, and how long that took.
    rows_read: int = 0
    compare_seconds: float = 0.0
    suspects: int = 0
    settled: settle.Outcome = field(default_factory=settle.Outcome)
    by_kind: dict[DifferenceKind, int] = field(default_factory=lambda: dict.fromkeys(DifferenceKind, 0))
    #: Changed rows whose amounts stand in different currencies.
    other_currency: int = 0
    cleared: int = 0
    unsettled: int = 0
    unsettled_keys: list[Mapping[str, str]] = field(default_factory=list)
    value_at_risk: Decimal = Decimal(0)
    differences: list[Difference] = field(default_factory=list)
    verdict: Verdict = Verdict.FAILED
    reason: str = ""
    #: What the report keeps of the audit's thresholds.
    thresholds: Mapping[str, object] = field(default_factory=dict)
    cause: Cause = Cause.NONE

    def compared(self, seconds: float) -> None:
        """All suspects are known after `seconds`."""
        self.compare_seconds = seconds
        self.rows_read = sum(read.rows_read for read in self.sides.reads.values()) if self.sides else 0

    def tell_early(self) -> None:
        """What counts and sums said, beside why rows were read as they were."""
        if self.early is not None:
            self.strategy_reason += f"; {self.early.note}"

    def judge(self, spec: Audit) -> None:
        """Add to the reason what the declaration makes of the differences."""
        if self.other_currency:
            self.reason += f"; {self.other_currency} rows stand in another currency"
        # The price of a row whose sides stand in two currencies is a number without a unit.
        priced = not self.other_currency
        self.thresholds, said = judged(spec.thresholds, self.counts(), self.value_at_risk, priced=priced)
        self.reason += f"; {said}" if said else ""

    def counts(self) -> Counts:
        unreadable = sum(read.faults.unreadable for read in self.sides.reads.values()) if self.sides else 0
        return Counts(
            missing=self.by_kind[DifferenceKind.MISSING],
            extra=self.by_kind[DifferenceKind.EXTRA],
            changed=self.by_kind[DifferenceKind.CHANGED],
            unsettled=self.unsettled,
            late=self.settled.late,
            unreadable=unreadable,
        )


def _find(task: compare.Task, approach: Approach, choice: plan.Choice, found: _Found) -> None:
    found.strategy, found.strategy_reason = choice.strategy.name, choice.reason
    try:
        note = choice.strategy.find(task)
    except compare.Unsuited as why:
        _find(task, approach, approach.instead(choice, why), found)
    else:
        found.strategy_reason += f"; {note}" if note else ""


def cause_of(error: BaseException | None) -> Cause:
    """The cause a source gave, none for anything else."""
    cause = getattr(error, "cause", Cause.NONE)
    return cause if isinstance(cause, Cause) else Cause.NONE


def _collect(task: compare.Task, found: _Found) -> None:
    """Turn confirmed suspects into differences: count and price all, keep the first MAX_DIFFERENCES_KEPT."""
    differ, currencies = compare.Difference(task.declared.fields), frozenset(task.declared.currencies)
    for number, pair in enumerate(task.spill.suspects(Stand.CONFIRMED)):
        if number % compare.ROWS_PER_LOOK == 0:
            task.gate.check("collecting the differences")
        difference = describe(task.declared, pair, differ.fields(pair) or ())
        found.by_kind[difference.kind] += 1
        found.categories.add(difference)
        found.other_currency += not currencies.isdisjoint(difference.fields)
        found.value_at_risk = EXACT.add(found.value_at_risk, difference.value_at_risk)
        if len(found.differences) < MAX_DIFFERENCES_KEPT:
            found.differences.append(difference)
    found.cleared = task.spill.count(Stand.CLEARED)
    found.unsettled = task.spill.count(Stand.PENDING)
    for pair in task.spill.suspects(Stand.PENDING):
        if len(found.unsettled_keys) >= MAX_EXAMPLES:
            break
        found.unsettled_keys.append(decode_key(task.declared, pair.key))


def describe(declared: Declared, pair: Pair, fields: tuple[str, ...]) -> Difference:
    """A pair of rows as a difference, in canonical text, with what it is worth."""
    key = decode_key(declared, pair.key)
    left = right = None
    if pair.left is not None:
        context = decode_cells(declared.left_context, pair.left.context)
        left = {**decode_cells(declared.fields, pair.left.cells), **context}
    if pair.right is not None:
        context = decode_cells(declared.right_context, pair.right.context)
        right = {**decode_cells(declared.fields, pair.right.cells), **context}
    kind = DifferenceKind.CHANGED
    if left is None or right is None:
        kind = DifferenceKind.EXTRA if left is None else DifferenceKind.MISSING
    worth = declared.value.of(
        {**key, **left} if left is not None else None, {**key, **right} if right is not None else None
    )
    return Difference(kind=kind, key=key, left=left, right=right, fields=fields, value_at_risk=worth)


def _side(read: SideRead | None, system: str, dataset: str) -> SideReport:
    if read is None:
        return SideReport(system=system, dataset=dataset, rows=0)
    return SideReport(
        system=system, dataset=dataset, rows=read.rows, bytes_read=read.bytes_read, requests=read.requests
    )


def _report(order: Order, found: _Found, seconds: float) -> AuditReport:
    spec = order.declared.spec
    reads = found.sides.reads if found.sides else {}
    left = _side(reads.get("left"), spec.left.system, spec.left.dataset)
    right = _side(reads.get("right"), spec.right.system, spec.right.dataset)
    counts = found.counts()
    evidence: dict[str, object] = {
        "suspects": found.suspects,
        "settle_rounds": found.settled.rounds,
        "cleared": found.cleared,
        "differences_kept": len(found.differences),
        "rows_read": found.rows_read,
        "compare_seconds": round(found.compare_seconds, 3),
    }
    if found.why:
        evidence["strategy_reason_zh"] = _in_chinese(found.strategy_reason, found.why)
    if found.early is not None:
        evidence["totals"] = found.early.document()
    if reads:
        # Whether rows can be asked for by the key as it stands in the report; a repair needs to know.
        evidence["exact_keys"] = all(read.exact_keys for read in reads.values())
    evidence |= _settled(order.declared, found.settled)
    # Only of all differences it can be said that they are alike.
    alike = len(found.differences) == counts.differences
    if alike and (said := hint(found.differences, order.declared.fields)):
        evidence["systematic"] = dict(said)
    evidence |= _declared(order.declared, found)
    if found.cause:
        evidence["cause"] = str(found.cause)
    if found.unsettled_keys:
        evidence["unsettled_keys"] = found.unsettled_keys
    for name, read in reads.items():
        if read.faults.unreadable:
            evidence[f"unreadable_{name}"] = {
                "count": read.faults.unreadable,
                "examples": list(read.faults.unreadable_examples),
            }
    return AuditReport(
        run=order.run,
        audit=spec.id,
        verdict=found.verdict,
        reason=found.reason,
        left=left,
        right=right,
        missing=counts.missing,
        extra=counts.extra,
        changed=counts.changed,
        unsettled=counts.unsettled,
        late=counts.late,
        value_at_risk=found.value_at_risk,
        differences=tuple(found.differences),
        strategy=found.strategy,
        strategy_reason=found.strategy_reason,
        bytes_read=left.bytes_read + right.bytes_read,
        started_at=order.started_at,
        seconds=seconds,
        evidence=evidence,
    )


def _in_chinese(reason: str, why: Text) -> str:
    """The whole reason, which begins with the sentence that was decided in both languages."""
    if not reason.startswith(why["en"]):
        return chinese(reason)
    rest = reason.removeprefix(why["en"]).removeprefix("; ")
    return f"{why['zh']}；{chinese(rest)}" if rest else why["zh"]


def _declared(declared: Declared, found: _Found) -> dict[str, object]:
    """What the audit says of itself, and what that makes of the differences."""
    evidence: dict[str, object] = {}
    if found.thresholds:
        evidence["thresholds"] = dict(found.thresholds)
    if grouped := found.categories.document():
        evidence["by_category"] = grouped
    if found.other_currency:
        evidence["other_currency"] = {"rows": found.other_currency, "fields": list(declared.currencies)}
    if declared.spec.owner:
        evidence["owner"] = declared.spec.owner
    return evidence


def _settled(declared: Declared, settled: settle.Outcome) -> dict[str, object]:
    """What waiting for rows in flight has shown; nothing when nothing was waited for."""
    evidence: dict[str, object] = {}
    if settled.strength:
        evidence["settle"] = {
            "window_seconds": round(settled.window, 3),
            "strength": settled.strength,
            "carried": settled.carried,
            "lagging_under_write": settled.lagging,
            "divergent_under_write": settled.divergent,
        }
    if settled.lags:
        evidence["lag"] = {
            "rows": len(settled.lags),
            "p50": round(percentile(settled.lags, 0.5), 3),
            "p99": round(percentile(settled.lags, 0.99), 3),
            "max": round(max(settled.lags), 3),
        }
    if settled.late_keys:
        evidence["late_keys"] = [decode_key(declared, key) for key in settled.late_keys]
    return evidence
