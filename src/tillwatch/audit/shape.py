"""What is made of a side's rows before they are compared: which of them count, and many put together into one.

Conditions are typed and compared in canonical text, as everything is; nothing of them is ever text of a query. Rows are
put together exactly: sums are decimal, rounded once at the end by the field's own scale.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import orjson

from tillwatch.audit.canonical import Canonical, FieldType, Rule, Trim, Unreadable, canonical
from tillwatch.audit.value import EXACT
from tillwatch.config.checks import Condition, Side
from tillwatch.errors import UsageError
from tillwatch.model.audit import Row

_NUMBERS = {FieldType.DECIMAL, FieldType.INTEGER}
#: Cells of a stored row, as `rows` writes them.
Cell = str | None | list[str]


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What one side's rows become. Without conditions and functions they stay as they are."""

    conditions: tuple["_Compiled", ...] = ()
    #: Field: sum, count, min or max; empty when rows are not put together.
    functions: Mapping[str, str]
    #: Field: what its numbers are multiplied by, because this side counts in another unit.
    factors: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    #: Fields this side's rows do not have, with the value that holds for all of them.
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def columns(self) -> tuple[str, ...]:
        """Fields that are read for their conditions."""
        return tuple(dict.fromkeys(condition.field for condition in self.conditions))

    def counts(self, row: Row) -> bool:
        """Whether `row` is in scope. Raises Unreadable when a value cannot be read as its condition's type."""
        return all(condition.holds(row) for condition in self.conditions)

    def raw(self, rules: Sequence[Rule]) -> tuple[Rule, ...]:
        """The rules by which single rows are read: numbers with all their places, and what is counted not at all."""
        if self.factors:
            rules = [replace(rule, factor=self.factors.get(rule.name, rule.factor)) for rule in rules]
        if not self.functions:
            return tuple(rules)
        kept = [rule for rule in rules if self.functions[rule.name] != "count"]
        return tuple(replace(rule, scale=None) if rule.type in _NUMBERS else rule for rule in kept)

    def folded(self, rules: Sequence[Rule], rows: Iterable[bytes]) -> bytes:
        """Cells of the one row that `rows`, cells read by `raw(rules)`, are put together to."""
        states = [_State(self.functions[rule.name], rule) for rule in rules]
        for cells in rows:
            values = iter(orjson.loads(cells))
            for state in states:
                state.add(None if state.function == "count" else next(values))
        return orjson.dumps([state.result() for state in states])


@dataclass(frozen=True, kw_only=True)
class _Compiled:
    """One condition with its values in canonical text."""

    field: str
    read: Canonical
    numbers: bool
    any_of: frozenset[str]
    none_of: frozenset[str]
    at_least: str | None
    below: str | None
    null: bool | None

    def holds(self, row: Row) -> bool:
        text = self.read(row[self.field])
        if text is None:
            return self.null is not False and not self.any_of and self.at_least is None and self.below is None
        if self.null or text in self.none_of or (self.any_of and text not in self.any_of):
            return False
        value = self._ranked(text)
        if self.at_least is not None and value < self._ranked(self.at_least):
            return False
        return self.below is None or value < self._ranked(self.below)

    def _ranked(self, text: str) -> tuple[Decimal, str]:
        return (Decimal(text), "") if self.numbers else (Decimal(0), text)


class _State:
    """One field of one group while its rows come by."""

    def __init__(self, function: str, rule: Rule) -> None:
        self.function = function
        self._read = canonical(replace(rule, tolerance=None))
        self._count = 0
        self._value: Decimal | str | None = None
        self._unreadable: list[str] | None = None
        self._numbers = rule.type in _NUMBERS

    def add(self, cell: Cell) -> None:
        self._count += 1
        if isinstance(cell, list):
            self._unreadable = cell
        elif cell is not None:
            value: Decimal | str = Decimal(cell) if self._numbers else cell
            self._value = value if self._value is None else self._together(self._value, value)

    def _together(self, one: Decimal | str, other: Decimal | str) -> Decimal | str:
        if self.function == "sum":
            assert isinstance(one, Decimal)
            assert isinstance(other, Decimal)
            return EXACT.add(one, other)
        smaller, larger = (one, other) if one <= other else (other, one)  # type: ignore[operator]
        return smaller if self.function == "min" else larger

    def result(self) -> Cell:
        """Without a single value the result is NULL, as in SQL; one that cannot be read spoils the whole group."""
        if self.function == "count":
            return self._read(self._count)
        if self._unreadable is not None:
            return self._unreadable
        try:
            return self._read(self._value)
        except (Unreadable, InvalidOperation):
            return [str(self._value)]


def compile_shape(side: Side, *, name: str, key: Sequence[str], rules: Sequence[Rule], zone: ZoneInfo) -> Shape:
    """The shape of `side`, called `name`, whose rows give `rules` besides `key`. Raises UsageError."""
    if not side.aggregate:
        return Shape(conditions=tuple(_compiled(one, name, zone) for one in side.where), functions={})
    known = {rule.name: rule for rule in rules}
    if of_key := [field for field in side.aggregate if field in key]:
        raise UsageError(f"{name}.aggregate: {', '.join(of_key)} is the key that rows are put together by; remove it")
    if strange := [field for field in side.aggregate if field not in known]:
        raise UsageError(f"{name}.aggregate: {', '.join(strange)} is neither compared nor priced; remove it")
    if silent := [field for field in known if field not in side.aggregate]:
        raise UsageError(
            f"{name}.aggregate: say how {', '.join(silent)} of several rows becomes one value: sum, count, min or max"
        )
    for field, function in side.aggregate.items():
        kind = known[field].type
        if (function == "sum" and kind not in _NUMBERS) or kind is FieldType.BOOLEAN:
            raise UsageError(f"{name}.aggregate: {field} is a {kind}, which has no {function}")
    conditions = tuple(_compiled(one, name, zone) for one in side.where)
    return Shape(conditions=conditions, functions=dict(side.aggregate))


def _compiled(condition: Condition, name: str, zone: ZoneInfo) -> _Compiled:
    kind = FieldType(condition.type)
    trim = Trim.BOTH if kind is FieldType.CODE else Trim.NONE
    read = canonical(Rule(name=condition.field, type=kind, trim=trim, zone=zone))

    def text(value: str) -> str:
        try:
            found = read(value)
        except Unreadable as error:
            raise UsageError(f"{name}.where: {condition.field}: {error}") from error
        assert found is not None
        return found

    return _Compiled(
        field=condition.field,
        read=read,
        numbers=kind in _NUMBERS,
        any_of=frozenset(map(text, condition.any_of)),
        none_of=frozenset(map(text, condition.none_of)),
        at_least=None if condition.at_least is None else text(condition.at_least),
        below=None if condition.below is None else text(condition.below),
        null=condition.null,
    )
