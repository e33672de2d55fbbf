"""Rows as bytes: equal bytes are equal rows, so that they can be spilled, sorted and compared without being kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from tillwatch.audit.canonical import Canonical, Rule, Unreadable, canonical, printable
from tillwatch.audit.declare import Declared
from tillwatch.audit.shape import Shape
from tillwatch.errors import SchemaMismatch
from tillwatch.model.audit import Row, Value

#: Examples of unreadable values, keyless rows or repeated keys kept for the report; the counts are complete.
MAX_EXAMPLES = 20

_NO_CELLS = b"[]"

#: One cell of a stored row: canonical text, NULL, or a list holding the raw text of a value that cannot be read.
Cell = str | None | list[str]


@dataclass(kw_only=True)
class Faults:
    """What is wrong with the rows of one side, counted in full, with the first examples."""

    unreadable: int = 0
    unreadable_examples: list[str] = field(default_factory=list)
    keyless: int = 0
    keyless_examples: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether something is wrong."""
        return bool(self.unreadable or self.keyless)

    def include(self, other: "Faults") -> None:
        """Add those of other rows of this side."""
        self.unreadable += other.unreadable
        self.unreadable_examples.extend(other.unreadable_examples)
        del self.unreadable_examples[MAX_EXAMPLES:]
        self.keyless += other.keyless
        self.keyless_examples.extend(other.keyless_examples)
        del self.keyless_examples[MAX_EXAMPLES:]


class Encoded(NamedTuple):
    """One row. `key` sorts and compares as bytes; `context` holds what is shown and priced but not compared.

    A tuple, because millions are made.
    """

    key: bytes
    cells: bytes
    context: bytes
    #: False when the key as the system writes it is not its canonical text: it then cannot be asked for by key.
    exact: bool


class Encoder:
    """Turns the rows of one side into bytes and counts their faults."""

    def __init__(self, declared: Declared, context: Sequence[Rule], where: str, shape: Shape | None = None) -> None:
        """`where` names the side in messages, for example `till-chaoyang.orders`. With a `shape` rows out of scope are
        dropped, and rows that are put together later are encoded with all their digits."""
        self._where = where
        self.key = declared.key
        self.fields = shape.raw(declared.fields) if shape else declared.fields
        self.context = tuple(shape.raw(context) if shape else context)
        #: Rows may be left out, so each must be looked at by itself.
        self.chooses = bool(shape and shape.conditions)
        self._key = [(rule.name, canonical(rule)) for rule in self.key]
        self._fields = [(rule.name, canonical(rule)) for rule in self.fields]
        self._context = [(rule.name, canonical(rule)) for rule in self.context]
        self._shape = shape if shape and shape.conditions else None
        #: Fields that are the same in every row of this side, and not read.
        self.constants = shape.constants if shape else {}
        names = [name for name, _ in (*self._key, *self._fields, *self._context) if name not in self.constants]
        self.columns = tuple(dict.fromkeys([*names, *(shape.columns if shape else ())]))
        self.faults = Faults()

    def encode(self, row: Row) -> Encoded | None:
        """The row as bytes; None when it has no usable key (counted) or is out of scope. Raises SchemaMismatch for an
        absent column."""
        if self.constants:
            row = {**row, **self.constants}
        try:
            if self._shape is not None and not self._in_scope(self._shape, row):
                return None
            raw_key = [row[name] for name, _ in self._key]
            key = self._encode_key(raw_key)
            if key is None:
                return None
            return Encoded(
                key=orjson.dumps(key),
                cells=orjson.dumps(self._cells(row, self._fields)),
                context=orjson.dumps(self._cells(row, self._context)) if self._context else _NO_CELLS,
                # A whole number and its digits are the same key to any system.
                exact=key == [str(part) if type(part) is int else part for part in raw_key],
            )
        except KeyError as error:
            raise self.absent(str(error.args[0])) from error

    def absent(self, field: str) -> SchemaMismatch:
        """What to raise when a row has no `field`."""
        return SchemaMismatch(
            f"{self._where}: a row has no field '{field}'; the dataset must give {', '.join(self.columns)}"
        )

    def _in_scope(self, shape: Shape, row: Row) -> bool:
        """A row of which that cannot be told is left out and counted as unreadable: then the audit is not clean."""
        try:
            return shape.counts(row)
        except Unreadable as error:
            self.faults.unreadable += 1
            if len(self.faults.unreadable_examples) < MAX_EXAMPLES:
                key = ", ".join(printable(row[part]) for part, _ in self._key)
                self.faults.unreadable_examples.append(f"{key}: where: {error}")
            return False

    def _encode_key(self, raw: Sequence[Value]) -> list[str] | None:
        key: list[str] = []
        for (name, read), value in zip(self._key, raw, strict=True):
            try:
                part = read(value)
            except Unreadable as error:
                self._keyless(f"{name}: {error}")
                return None
            if part is None:
                self._keyless(f"{name} is NULL")
                return None
            key.append(part)
        return key

    def _keyless(self, example: str) -> None:
        self.faults.keyless += 1
        if len(self.faults.keyless_examples) < MAX_EXAMPLES:
            self.faults.keyless_examples.append(example)

    def _cells(self, row: Row, columns: Sequence[tuple[str, Canonical]]) -> Sequence[Cell]:
        try:
            return [read(row[name]) for name, read in columns]
        except Unreadable:
            # Rare, so only then cell by cell.
            return [self._cell(row, name, read) for name, read in columns]

    def _cell(self, row: Row, name: str, read: Canonical) -> Cell:
        try:
            return read(row[name])
        except Unreadable as error:
            self.faults.unreadable += 1
            if len(self.faults.unreadable_examples) < MAX_EXAMPLES:
                key = ", ".join(printable(row[part]) for part, _ in self._key)
                self.faults.unreadable_examples.append(f"{key}: {name}: {error}")
            return [error.raw]


def decode_key(declared: Declared, key: bytes) -> dict[str, str]:
    """The key by name."""
    return dict(zip(declared.key_names, orjson.loads(key), strict=True))


def decode_cells(rules: Sequence[Rule], cells: bytes) -> Mapping[str, str | None]:
    """Cells by name; an unreadable one as its raw text."""
    return {rule.name: plain(cell) for rule, cell in zip(rules, orjson.loads(cells), strict=True)}


def faults_of(declared: Declared, key: bytes, cells: bytes) -> Faults:
    """The compared values of one row that cannot be read."""
    faults = Faults()
    if b"[" in cells[1:]:
        for rule, cell in zip(declared.fields, orjson.loads(cells), strict=True):
            if isinstance(cell, list):
                faults.unreadable += 1
                where = ", ".join(decode_key(declared, key).values())
                faults.unreadable_examples.append(f"{where}: {rule.name}: {cell[0]!r}")
    return faults


def plain(cell: Cell) -> str | None:
    return cell[0] if isinstance(cell, list) else cell
