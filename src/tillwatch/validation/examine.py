"""One run from end to end, without a store: read, check every rule, and say what was found.

1. The dataset is read once; rules on one value decide at once, the others remember what they need on disk.
2. Then the datasets that `reference` and `sum` look at: a row that came meanwhile can be missed, never called wrong.
3. What those two rules found is looked at once more after `settle`: it may have been on its way.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice

from tillwatch.audit.examine import cause_of
from tillwatch.audit.reading import Gate, Leftovers, SideFault
from tillwatch.clock import Clock
from tillwatch.config.validations import Rule
from tillwatch.errors import Cause, TillwatchError
from tillwatch.model.audit import Row, Verdict
from tillwatch.model.text import Text
from tillwatch.model.validation import ValidationReport, ValidationVerdict
from tillwatch.sources.base import Source
from tillwatch.sources.sql.screening import Screens
from tillwatch.validation.declare import CROSS_KINDS, Declared, row_rules
from tillwatch.validation.found import Found, decide
from tillwatch.validation.many import Many, Suspect
from tillwatch.validation.outliers import Usual
from tillwatch.validation.pushdown.prepare import Refusals, prepare
from tillwatch.validation.reading import Place, Reader, is_inability
from tillwatch.validation.rules import text_of
from tillwatch.validation.scratch import Scratch

#: Suspects of one run that are looked at again; more than these are no rows in flight.
MAX_AGAIN = 5_000
#: Longest sleep between two looks at the deadline and a request to stop.
SLEEP_SECONDS = 0.5


_READ: Text = {"en": "every row is read and checked here", "zh": "读取每一行并在本地检查"}
_SORTED_OUT: Text = {
    "en": "the database sorts out the rows that keep every rule; only the others are read and checked here",
    "zh": "由数据库排除符合全部规则的行，只读取其余的行并在本地检查",
}


def nobody() -> None:
    """A run nobody watches."""


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
    #: By rule and group, what each thing was in earlier runs, for rules against each group's own history.
    own: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    #: Called several times a second.
    alive: Callable[[], None] = nobody
    #: Let a source sort out rows that keep every rule, where it can.
    push: bool = True
    #: What earlier runs found usual, oldest first, by rule.
    history: Mapping[str, tuple[Usual, ...]] = field(default_factory=dict)


def examine(order: Order) -> ValidationReport:
    """Run the validation and report. A source that fails, hangs or contradicts itself is a verdict, no exception."""
    spec = order.declared.spec
    started = order.clock.monotonic()
    gate = Gate(
        clock=order.clock,
        deadline=started + spec.timeout.total_seconds(),
        timeout_seconds=spec.timeout.total_seconds(),
        stop=order.stop,
        alive=order.alive,
        what="validation",
    )
    reader = Reader(gate=gate, leftovers=order.leftovers, name=spec.id)
    found = Found(keep=spec.keep, counts={rule.name: 0 for rule in spec.rules})
    with Scratch() as scratch:
        look = Look(order, reader, scratch, found)
        verdict, reason, cause = ValidationVerdict.FAILED, "", Cause.NONE
        try:
            look.run()
            verdict, reason = decide(found.counts)
        except SideFault as fault:
            if fault.verdict is Verdict.INCONCLUSIVE:
                verdict = ValidationVerdict.INCONCLUSIVE
            reason, cause = str(fault), cause_of(fault.__cause__)
        except TillwatchError as error:
            reason, cause = str(error), cause_of(error)
    evidence = dict(look.evidence)
    if cause:
        evidence["cause"] = str(cause)
    known = verdict in {ValidationVerdict.CLEAN, ValidationVerdict.INVALID}
    return ValidationReport(
        run=order.run,
        validation=spec.id,
        verdict=verdict,
        reason=reason,
        system=spec.system,
        dataset=spec.dataset,
        rows=look.rows,
        rows_read=reader.rows_read,
        # Half a reading proves nothing, not even what it has seen.
        counts=found.counts if known else {},
        findings=found.listed() if known else (),
        strategy=look.strategy,
        strategy_reason=look.why,
        bytes_read=reader.bytes_read,
        started_at=order.started_at,
        seconds=order.clock.monotonic() - started,
        evidence=evidence,
        own=look.own if known else {},
    )


class Look:
    """One run under way."""

    def __init__(self, order: Order, reader: Reader, scratch: Scratch, found: Found) -> None:
        self._order, self._reader, self._scratch, self._found = order, reader, scratch, found
        self._declared = order.declared
        self._many = Many(order.declared, scratch, found, open=order.open, history=order.history, own=order.own)
        self.rows = 0
        self.strategy = "stream"
        self.why: Text = _READ
        self.evidence: dict[str, object] = {}
        self.own = self._many.own

    def run(self) -> None:
        """Raises SideFault, or whatever opening a system raises."""
        spec = self._declared.spec
        place = Place(source=self._order.open(spec.system), system=spec.system, dataset=spec.dataset)
        checks = [
            (rule, name, self._declared.check(rule, self._order.started_at))
            for rule in row_rules(self._declared)
            for name in rule.names
        ]

        def take(batch: list[Row]) -> None:
            for row in batch:
                for rule, name, check in checks:
                    problem = check(row[name])
                    if problem is not None:
                        self._found.add(rule, self.key_of(row), text_of(row[name]), problem)
            self._many.remember(batch)

        def forget() -> None:
            self._found.forget()
            self._scratch.forget_own()

        columns = self._declared.columns
        if not self._sorted_out(place, take, forget):
            self.rows = self._reader.whole(place, columns, take, forget)
        self._many.judge(self.evidence)
        self._across(place)

    def _sorted_out(self, place: Place, take: Callable[[list[Row]], None], forget: Callable[[], None]) -> bool:
        """Let the source sort out the rows that keep every rule. False when it cannot: `why` says so."""
        source, columns = place.source, self._declared.columns
        if not self._order.push or not isinstance(source, Screens):
            return False
        try:
            prepared = self._reader.ask(
                place,
                lambda: prepare(self._declared, source, self._order.started_at),
                f"agreeing with {place} on what to look for",
            )
            if isinstance(prepared, Refusals):
                self.why = _read_because(prepared.why)
                return False
            screen, self._many.narrows = prepared.screen, prepared.narrows
            self.rows = self._reader.whole(
                place, columns, take, forget, ask=lambda: source.read_screened(place.dataset, columns, screen)
            )
        except SideFault as fault:
            if not is_inability(fault):
                raise
            self.why = _read_because({"en": f"the database refused: {fault}", "zh": f"数据库拒绝了查询：{fault}"})
            return False
        self.strategy, self.why = "source", _SORTED_OUT
        return True

    def key_of(self, row: Row) -> dict[str, str | None]:
        return {name: text_of(row[name]) for name in self._declared.spec.key}

    def _across(self, place: Place) -> None:
        """Rules that look at another dataset too; what they find is looked at twice."""
        rules = self._declared.of_kind(*CROSS_KINDS)
        if self.strategy == "source":
            rules = tuple(rule for rule in rules if rule.name in self._many.concerned)
        self._many.read_others(self._reader, rules)
        all_of_them = ((rule, suspect) for rule in rules for suspect in self._many.suspects(rule))
        first = list(islice(all_of_them, MAX_AGAIN + 1))
        settle = self._declared.spec.settle.total_seconds()
        if not first:
            return
        if not settle or len(first) > MAX_AGAIN or not place.source.capabilities.keys:
            for rule, suspect in chain(first, all_of_them):
                self._many.report(rule, suspect)
            return
        self._wait(settle, f"waiting for {len(first)} rows to settle")
        confirmed = self._again(place, first)
        self.evidence |= {"suspects": len(first), "cleared": len(first) - len(confirmed)}
        for rule, suspect in confirmed:
            self._many.report(rule, suspect)

    def _again(self, place: Place, first: Sequence[tuple[Rule, Suspect]]) -> list[tuple[Rule, Suspect]]:
        """Those of `first` that break their rule at a second look too. A row without a key cannot be asked for."""
        names = self._declared.spec.key
        keys = {suspect.key for _, suspect in first if None not in json.loads(suspect.key)}
        self._scratch.forget_own()
        wanted = [dict(zip(names, json.loads(key), strict=True)) for key in sorted(keys)]
        if wanted:
            self._reader.by_key(place, self._declared.columns, wanted, self._many.remember)
        rules = tuple({rule.name: rule for rule, _ in first}.values())
        self._many.read_others(self._reader, rules)
        seen = {(rule.name, suspect.key) for rule, suspect in first}
        kept = [(rule, suspect) for rule, suspect in first if suspect.key not in keys]
        return kept + [
            (rule, suspect)
            for rule in rules
            for suspect in self._many.suspects(rule)
            if (rule.name, suspect.key) in seen
        ]

    def _wait(self, seconds: float, doing: str) -> None:
        gate, clock = self._reader.gate, self._order.clock
        gate.deadline += seconds
        until = clock.monotonic() + seconds
        while (left := until - clock.monotonic()) > 0:
            gate.check(doing)
            clock.sleep(min(left, SLEEP_SECONDS))


def _read_because(why: Text) -> Text:
    return {words: f"{_READ[words]}{'; ' if words == 'en' else '；'}{why[words]}" for words in ("en", "zh")}
