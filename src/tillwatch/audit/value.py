"""The `value` expression of an audit: what one difference is worth. Parsed by us, never evaluated as Python.

    expression = term {("+" | "-") term}
    term       = factor {"*" factor}
    factor     = number | ("left" | "right") "." field | function "(" expression {"," expression} ")"
               | "(" expression ")" | "-" factor
    function   = abs (1 argument) | min, max, coalesce (1 or more)

All arithmetic is Decimal. NULL, and a value that is no number, makes the whole term NULL, except inside `coalesce`,
which takes its first argument that is not. A NULL result is worth nothing (0) and a negative one counts by its size:
money at risk must not cancel out between rows.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation, Overflow

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import UsageError

#: Longer expressions are programs; they belong into a column of the dataset.
MAX_CHARACTERS = 500
MAX_DEPTH = 20

#: Enough for quantity × price of 31 digits each, exactly. Python's own context would round to 28 digits.
EXACT = Context(prec=80)

Cells = Mapping[str, str | None]
_Node = Callable[[Cells, Cells], Decimal | None]

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?)|(?P<name>[^\W\d]\w*(?:\.\w+)?)|(?P<sign>[-+*(),])|(?P<wrong>\S))")


def _absolute(values: list[Decimal | None]) -> Decimal | None:
    return None if values[0] is None else values[0].copy_abs()


def _smallest(values: list[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _largest(values: list[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) == len(values) else None


def _first(values: list[Decimal | None]) -> Decimal | None:
    return next((value for value in values if value is not None), None)


_FUNCTIONS: dict[str, Callable[[list[Decimal | None]], Decimal | None]] = {
    "abs": _absolute,
    "coalesce": _first,
    "max": _largest,
    "min": _smallest,
}


@dataclass(frozen=True, kw_only=True)
class Value:
    """A parsed expression and the fields it needs from each side."""

    text: str
    left: frozenset[str]
    right: frozenset[str]
    _root: _Node

    def of(self, left: Cells | None, right: Cells | None) -> Decimal:
        """What this difference is worth, never negative. A side that has no such row is NULL in every field."""
        try:
            result = self._root(left or {}, right or {})
        except (InvalidOperation, Overflow):
            return Decimal(0)
        return Decimal(0) if result is None else result.copy_abs()


def _constant(number: Decimal | None) -> _Node:
    def node(left: Cells, right: Cells) -> Decimal | None:  # noqa: ARG001 - every node takes both sides
        return number

    return node


#: No `value` in the audit: differences are counted, not priced.
NOTHING = Value(text="", left=frozenset(), right=frozenset(), _root=_constant(None))


@dataclass(frozen=True, kw_only=True)
class _Token:
    kind: str
    text: str
    #: Column, from 1.
    at: int


def parse(text: str) -> Value:
    """The expression in `text`; an empty text is worth nothing. Raises UsageError that points at the place."""
    if not text.strip():
        return NOTHING
    if len(text) > MAX_CHARACTERS:
        raise UsageError(f"value: {len(text)} characters; at most {MAX_CHARACTERS}: compute it in the dataset's query")
    parser = _Parser(text)
    root = parser.expression(1)
    parser.end()
    return Value(text=text, left=frozenset(parser.fields["left"]), right=frozenset(parser.fields["right"]), _root=root)


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        assert match is not None and match.lastgroup is not None
        yield _Token(kind=match.lastgroup, text=match[match.lastgroup], at=match.start(match.lastgroup) + 1)
        position = match.end()
    yield _Token(kind="end", text="the end", at=len(text) + 1)


class _Parser:
    """Recursive descent; every node is a closure over its parts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._token = next(self._tokens)
        self.fields: dict[str, set[str]] = {"left": set(), "right": set()}

    def _wrong(self, message: str, token: _Token | None = None) -> UsageError:
        token = token or self._token
        return UsageError(f"value: '{self._text}': column {token.at}: {message}")

    def _take(self, sign: str) -> bool:
        if self._token.kind == "sign" and self._token.text == sign:
            self._token = next(self._tokens)
            return True
        return False

    def _next(self) -> _Token:
        token = self._token
        if token.kind != "end":
            self._token = next(self._tokens)
        return token

    def end(self) -> None:
        if self._token.kind != "end":
            raise self._wrong(f"'{self._token.text}' is not expected here; write +, - or * between two values")

    def expression(self, depth: int) -> _Node:
        node = self._term(depth)
        while self._token.kind == "sign" and self._token.text in "+-":
            add = self._next().text == "+"
            node = _sum(node, self._term(depth)) if add else _difference(node, self._term(depth))
        return node

    def _term(self, depth: int) -> _Node:
        node = self._factor(depth)
        while self._take("*"):
            node = _product(node, self._factor(depth))
        return node

    def _factor(self, depth: int) -> _Node:
        if depth > MAX_DEPTH:
            raise self._wrong(f"nested deeper than {MAX_DEPTH}; compute it in the dataset's query")
        token = self._next()
        if token.kind == "number":
            return _constant(Decimal(token.text))
        if token.kind == "name":
            return self._name(token, depth)
        if token.kind == "sign" and token.text == "-":
            return _negative(self._factor(depth + 1))
        if token.kind == "sign" and token.text == "(":
            node = self.expression(depth + 1)
            self._close(token)
            return node
        raise self._wrong(f"{_quoted(token)} stands where a value is expected, such as left.price or 1.5", token)

    def _close(self, opened: _Token) -> None:
        if not self._take(")"):
            raise self._wrong(f"{_quoted(self._token)} stands where ')' is expected, opened at column {opened.at}")

    def _name(self, token: _Token, depth: int) -> _Node:
        side, _, field = token.text.partition(".")
        if field and side in self.fields:
            self.fields[side].add(field)
            return _cell(side, field)
        if field:
            raise self._wrong(f"'{token.text}' is not known; write left.{field} or right.{field}", token)
        if side not in _FUNCTIONS:
            known = did_you_mean(side, _FUNCTIONS, what="functions") if side not in self.fields else ""
            raise self._wrong(f"'{side}' is not known{known or f'; write {side}.FIELD'}", token)
        return self._call(token, depth)

    def _call(self, token: _Token, depth: int) -> _Node:
        if not self._take("("):
            raise self._wrong(f"'{token.text}' is a function; write {token.text}(…)", token)
        arguments = [self.expression(depth + 1)]
        while self._take(","):
            arguments.append(self.expression(depth + 1))
        self._close(token)
        if token.text == "abs" and len(arguments) != 1:
            raise self._wrong(f"abs takes one value, {len(arguments)} are given", token)
        function = _FUNCTIONS[token.text]
        return lambda left, right: function([argument(left, right) for argument in arguments])


def _quoted(token: _Token) -> str:
    return token.text if token.kind == "end" else f"'{token.text}'"


def _cell(side: str, field: str) -> _Node:
    from_left = side == "left"

    def read(left: Cells, right: Cells) -> Decimal | None:
        text = (left if from_left else right).get(field)
        if text is None:
            return None
        try:
            number = Decimal(text)
        except InvalidOperation:
            return None
        return number if number.is_finite() else None

    return read


def _both(first: _Node, second: _Node, combine: Callable[[Decimal, Decimal], Decimal]) -> _Node:
    def node(left: Cells, right: Cells) -> Decimal | None:
        one, other = first(left, right), second(left, right)
        return None if one is None or other is None else combine(one, other)

    return node


def _sum(first: _Node, second: _Node) -> _Node:
    return _both(first, second, EXACT.add)


def _difference(first: _Node, second: _Node) -> _Node:
    return _both(first, second, EXACT.subtract)


def _product(first: _Node, second: _Node) -> _Node:
    return _both(first, second, EXACT.multiply)


def _negative(inner: _Node) -> _Node:
    def node(left: Cells, right: Cells) -> Decimal | None:
        value = inner(left, right)
        return None if value is None else value.copy_negate()

    return node
