"""OData filters as SQL for the stub service: comparisons, and, or, brackets, startswith; literals of v2 and v4."""

import re
from collections.abc import Callable, Mapping

_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)"
    r"|(?P<typed>[A-Za-z.]+'(?:[^']|'')*')|(?P<string>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+Z)?)|(?P<guid>[0-9a-f]{8}-[0-9a-f-]{27})"
    r"|(?P<number>-?\d+(?:\.\d+)?[LMmdfl]?)|(?P<word>[A-Za-z_]\w*))"
)
_OPERATORS = {"eq": "=", "ne": "<>", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


class BadFilter(ValueError):
    """Not a filter the stub understands."""


class Filter:
    """`sql` with its `parameters`."""

    def __init__(self, text: str, properties: Mapping[str, str], *, case_blind: bool = False) -> None:
        # Stands on the left: on the right SQLite forgets it when it makes one IN of several ORs.
        self._collation = " COLLATE NOCASE" if case_blind else ""
        self._tokens: list[tuple[str, str]] = []
        self._at = 0
        self._properties = properties
        self.parameters: list[object] = []
        position = 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None or found.lastgroup is None:
                raise BadFilter(f"cannot read {text[position:][:30]!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()
        self.sql = self._joined("or", self._and)
        if self._at != len(self._tokens):
            raise BadFilter(f"does not end after {self._tokens[self._at]}")

    def _and(self) -> str:
        return self._joined("and", self._term)

    def _joined(self, word: str, part: Callable[[], str]) -> str:
        sql = part()
        while self._peek() == ("word", word):
            self._at += 1
            sql = f"{sql} {word.upper()} {part()}"
        return f"({sql})"

    def _term(self) -> str:
        if self._peek() == ("open", "("):
            self._at += 1
            sql = self._joined("or", self._and)
            self._take("close")
            return sql
        name = self._take("word")
        if name == "startswith":
            self._take("open")
            column = self._column(self._take("word"))
            self._take("comma")
            self.parameters.append(self._literal(*self._next()))
            self._take("close")
            return f"substr({column}, 1, length(?{len(self.parameters)})){self._collation} = ?{len(self.parameters)}"
        operator = self._take("word")
        if operator not in _OPERATORS:
            raise BadFilter(f"no operator {operator!r}")
        self.parameters.append(self._literal(*self._next()))
        return f"{self._column(name)}{self._collation} {_OPERATORS[operator]} ?{len(self.parameters)}"

    def _column(self, name: str) -> str:
        if name not in self._properties:
            raise BadFilter(f"Could not find a property named '{name}'")
        number = self._properties[name] in {"Edm.Decimal", "Edm.Double"}
        return f'CAST("{name}" AS REAL)' if number else f'"{name}"'

    def _literal(self, kind: str, text: str) -> object:
        if kind == "number":
            number = text.rstrip("LMmdfl")
            return float(number) if "." in number or text[-1] in "Mmdf" else int(number)
        if kind in {"string", "typed"}:
            return text.partition("'")[2][:-1].replace("''", "'")
        if kind == "word":
            return {"true": 1, "false": 0, "null": None}[text]
        return text

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, kind: str) -> str:
        found, text = self._next()
        if found != kind:
            raise BadFilter(f"expected {kind}, found {text!r}")
        return text
