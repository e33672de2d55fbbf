"""From a validation to one statement that gives only the rows which may break a rule; or why there is none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from tillwatch.audit.pushdown.handshake import unfit
from tillwatch.config.validations import Rule
from tillwatch.model.text import Text
from tillwatch.sources.sql.screening import Screen, Screens
from tillwatch.sources.sql.session import Session
from tillwatch.validation.declare import Declared
from tillwatch.validation.flags import flag_of
from tillwatch.validation.pushdown import cells, expressions, joins
from tillwatch.validation.pushdown.joins import Added, Joined
from tillwatch.validation.pushdown.narrow import Narrow
from tillwatch.validation.pushdown.parts import Cell, Unpushable
from tillwatch.validation.rules import pattern

#: Rules that need every value.
_NEEDS_ALL = "outlier"
_OUTER = "t"


@dataclass(frozen=True, kw_only=True)
class Refusals:
    """Why rows are read and checked here: the rules the database cannot decide."""

    why: Text


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What to ask the database."""

    screen: Screen
    #: By rule: how to ask for the rows of its other dataset.
    narrows: Mapping[str, Narrow]


def prepare(declared: Declared, source: Screens, now: datetime) -> Prepared | Refusals:
    """Look at the columns, ask the server what must be proven, and write the statement. Blocks.

    Never holds two connections: a system has few, and runs that hold one and wait for another wait for each other.
    """
    return _Statement(declared, now, source).made()


@contextmanager
def _opened(source: Screens, dataset: str, fields: Sequence[str]) -> Iterator[Session]:
    session = source.session(dataset, fields)
    session.open()
    try:
        yield session
    finally:
        session.close()


@dataclass
class _Statement:
    declared: Declared
    now: datetime
    source: Screens
    #: By rule: what its other dataset is like. Closed again; only asked for what it knows.
    others: dict[str, Session] = field(default_factory=dict)
    joined: list[str] = field(default_factory=list)
    keeps: list[str] = field(default_factory=list)
    flags: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Callable[[object], bool]] = field(default_factory=dict)
    narrows: dict[str, Narrow] = field(default_factory=dict)

    def made(self) -> Prepared | Refusals:
        spec = self.declared.spec
        refused: list[tuple[str, Text]] = [(rule.name, why) for rule in spec.rules if (why := self._beyond(rule))]
        if not refused:
            for rule in spec.rules:
                if other := self.declared.other(rule):
                    with _opened(self.source, other.dataset, other.columns) as self.others[rule.name]:
                        pass
            with _opened(self.source, spec.dataset, self.declared.columns) as self.session:
                if server := unfit(self.session):
                    return Refusals(why=_lacks(server))
                refused = self._refused()
        if refused:
            return Refusals(
                why={words: "; ".join(f"{name}: {why[words]}" for name, why in refused) for words in ("en", "zh")}
            )
        screen = Screen(statement=self._written(), flags=tuple(self.flags), functions=self.functions)
        return Prepared(screen=screen, narrows=self.narrows)

    def _refused(self) -> list[tuple[str, Text]]:
        """Add every rule; those that the database does not decide as we do, and why."""
        refused = []
        for rule in self.declared.spec.rules:
            try:
                self._add(rule)
            except Unpushable as refusal:
                refused.append((rule.name, refusal.why))
        return refused

    def _beyond(self, rule: Rule) -> Text | None:
        """Rules that no database can decide alone."""
        if rule.rule == _NEEDS_ALL:
            return {"en": "needs every value", "zh": "需要全部数值"}
        other = self.declared.other(rule)
        if other is not None and other.system != self.declared.spec.system:
            return {"en": f"looks into {other.system} too", "zh": f"还要查看 {other.system}"}
        return None

    def _add(self, rule: Rule) -> None:
        match rule.rule:
            case "unique":
                self._join(rule, self._unique(rule))
            case "reference":
                self._join(rule, self._reference(rule))
            case "sum":
                self._join(rule, self._sum(rule))
            case _:
                self.keeps += [_known(self._condition(rule, self._cell(name))) for name in rule.names]

    def _condition(self, rule: Rule, cell: Cell) -> str:
        match rule.rule:
            case "required":
                return cells.required(cell)
            case "pattern":
                number = len(self.functions)
                check = pattern(rule.pattern)
                found = expressions.matches(cell, rule.pattern, self.session, number)
                if cell.dialect == "sqlite":
                    name = f"{expressions.SQLITE_FUNCTION}{number}"
                    self.functions[name] = lambda value: isinstance(value, str) and check(value) is None
                return found
            case "range":
                return cells.within(cell, self.declared.bounds[rule.name])
            case "not_negative":
                return cells.not_negative(cell)
            case "not_future":
                return cells.not_future(cell, self.now, rule.allow)
            case "encoding":
                return cells.undamaged(cell)
        raise AssertionError(rule.rule)

    def _unique(self, rule: Rule) -> Joined:
        outer, inner = self._cells(rule.names), _inner(self.session, rule.names)
        indexed = self.session.is_unique(rule.names)
        return joins.unique(outer, inner, self.session.source, alias=self._alias, indexed=indexed)

    def _reference(self, rule: Rule) -> Joined:
        session, key = self._looked_up(rule)
        return joins.reference(self._cells(rule.names), key, session.source, alias=self._alias)

    def _sum(self, rule: Rule) -> Joined:
        lines = rule.lines
        assert lines is not None
        session, key = self._looked_up(rule)
        (value,) = _inner(session, [lines.field])
        times = _inner(session, [lines.times])[0] if lines.times else None
        added = Added(key=tuple(key), value=value, times=times, source=session.source)
        header = self._cells(self.declared.spec.key)
        return joins.total(header, self._cell(rule.field), added, rule.tolerance, alias=self._alias)

    def _looked_up(self, rule: Rule) -> tuple[Session, list[Cell]]:
        """What the rule's other dataset is like, and what its rows are looked up by; few of them can be asked for."""
        session, other = self.others[rule.name], self.declared.other(rule)
        assert other is not None
        read, key = _inner(session, other.columns), _inner(session, other.key)
        self.narrows[rule.name] = Narrow(columns=tuple(cell.sql for cell in read), first=key[0], source=session.source)
        return session, key

    @property
    def _alias(self) -> str:
        return f"j{len(self.flags)}"

    def _join(self, rule: Rule, joined: Joined) -> None:
        self.joined.append(joined.join)
        self.keeps.append(_known(joined.keeps))
        self.flags[flag_of(rule)] = self.keeps[-1]

    def _cell(self, name: str) -> Cell:
        column = self.session.columns[name]
        return Cell(sql=f"{_OUTER}.{column.sql}", column=column, dialect=self.session.dialect)

    def _cells(self, names: Sequence[str]) -> list[Cell]:
        return [self._cell(name) for name in names]

    def _written(self) -> str:
        columns = [cell.sql for cell in self._cells(self.declared.columns)]
        columns += [f"CASE WHEN {keeps} THEN 0 ELSE 1 END AS flag{at}" for at, keeps in enumerate(self.flags.values())]
        rows = self.session.source if self.session.is_table else f"(SELECT * FROM {self.session.source})"
        kept = " AND ".join(self.keeps)
        return f"SELECT {', '.join(columns)} FROM {rows} AS {_OUTER} {' '.join(self.joined)} WHERE NOT ({kept})"


def _inner(session: Session, names: Sequence[str]) -> list[Cell]:
    """Columns inside a statement of their own."""
    columns = (session.columns[name] for name in names)
    return [Cell(sql=column.sql, column=column, dialect=session.dialect) for column in columns]


def _known(condition: str) -> str:
    """What is neither true nor false is not certain."""
    return f"(CASE WHEN {condition} THEN 1 ELSE 0 END = 1)"


def _lacks(found: tuple[int, str]) -> Text:
    server = "PostgreSQL {}, {}".format(*found)
    return {"en": f"{server} lacks what checking needs", "zh": f"{server} 缺少校验所需的功能"}
