"""An early word on where two sides differ: counts and sums by group, made where the rows lie, before any is read.

An alarm and never a proof: differences that make up for each other do not show, and rows in flight do. It changes
neither the verdict nor what is read.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from tillwatch.audit.canonical import FieldType, Rule, Unreadable, canonical, printable
from tillwatch.audit.compare import Task
from tillwatch.audit.reading import SIDES, SideFault
from tillwatch.audit.rows import MAX_EXAMPLES
from tillwatch.audit.value import EXACT
from tillwatch.model.audit import Value
from tillwatch.sources.totals import Total, Totals

_NOTHING = "0 rows"


@dataclass(frozen=True, kw_only=True)
class Compared:
    """`reason` says why nothing was compared, empty when it was."""

    by: str
    groups: int = 0
    #: The groups that differ: what each side has, in words.
    differing: Mapping[str, tuple[str, str]]
    reason: str = ""

    @property
    def note(self) -> str:
        """Half a sentence for the report."""
        if self.reason:
            return f"counts and sums by {self.by} were not compared: {self.reason}"
        return f"counts and sums of {len(self.differing)} of {self.groups} groups by {self.by} differed beforehand"

    def document(self) -> dict[str, object]:
        """For the report's evidence."""
        if self.reason:
            return {"by": self.by, "not_compared": self.reason}
        examples = sorted(self.differing)[:MAX_EXAMPLES]
        return {
            "by": self.by,
            "groups": self.groups,
            "differing": len(self.differing),
            "examples": [
                {"group": group, "left": self.differing[group][0], "right": self.differing[group][1]}
                for group in examples
            ],
        }


def compared(task: Task) -> Compared | None:
    """None when the audit does not ask for it. A side that cannot is said, not raised."""
    spec = task.declared.spec
    if not spec.totals_by:
        return None
    if task.declared.shaped:
        return _not(spec.totals_by, "a side is filtered or put together before it is compared")
    rules = {rule.name: rule for rule in (*task.declared.key, *task.declared.fields)}
    summed = [rule for rule in task.declared.fields if rule.type is FieldType.DECIMAL and rule.name != spec.totals_by]
    questions = {}
    for side in SIDES:
        source, read = task.sides.sources[side], task.sides.reads[side]
        if not isinstance(source, Totals):
            return _not(spec.totals_by, f"{read} cannot count and sum by group")
        names = [rule.name for rule in summed]
        questions[side] = partial(source.totals, read.dataset, spec.totals_by, names)
    try:
        told = task.sides.ask(questions, "counting and summing by group")
    except SideFault as fault:
        # When it is more than that, reading will say so.
        return _not(spec.totals_by, str(fault))
    left, right = (_spoken(told[side], rules[spec.totals_by], summed) for side in SIDES)
    differing = {
        group: (left.get(group, _NOTHING), right.get(group, _NOTHING))
        for group in left.keys() | right.keys()
        if left.get(group, _NOTHING) != right.get(group, _NOTHING)
    }
    return Compared(by=spec.totals_by, groups=len(left.keys() | right.keys()), differing=differing)


def _not(by: str, reason: str) -> Compared:
    return Compared(by=by, differing={}, reason=reason)


def _spoken(totals: Mapping[Value, Total], by: Rule, summed: list[Rule]) -> dict[str, str]:
    """By group as it is compared: rows and sums in words."""
    rows: Counter[str] = Counter()
    sums: dict[str, list[Decimal]] = {}
    for value, total in totals.items():
        group = _text(by, value)
        rows[group] += total.rows
        held = sums.setdefault(group, [Decimal(0)] * len(summed))
        sums[group] = [EXACT.add(one, Decimal(str(more or 0))) for one, more in zip(held, total.sums, strict=True)]
    return {
        group: ", ".join(
            [
                f"{count} rows",
                *(f"{rule.name} {_text(rule, number)}" for rule, number in zip(summed, sums[group], strict=True)),
            ]
        )
        for group, count in rows.items()
    }


def _text(rule: Rule, value: Value) -> str:
    try:
        return canonical(rule)(value) or ""
    except Unreadable:
        return printable(value)
