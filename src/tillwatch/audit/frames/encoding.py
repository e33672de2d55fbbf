"""Many rows as bytes at once: the very bytes that `rows.Encoder` makes of each of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tillwatch.audit.canonical import FieldType, Rule, Unreadable, canonical
from tillwatch.audit.frames import rules
from tillwatch.audit.frames.columns import kind_of, series
from tillwatch.audit.pushdown.elements import Refused
from tillwatch.audit.rows import Encoded, Encoder
from tillwatch.model.audit import Row, Value
from tillwatch.sources.sql.session import ColumnKind

#: Characters that JSON writes differently.
_ESCAPED = r'["\\\x00-\x1f]'
_TEXTS = (FieldType.TEXT, FieldType.CODE)
#: A key of these kinds is asked for by the text it is compared by.
_AS_WRITTEN = (ColumnKind.TEXT, ColumnKind.INTEGER)


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """A column of a batch with its expressions."""

    column: pl.Series
    element: rules.Element
    #: The value as the system writes it, as a key is asked for; NULL when it is written differently.
    written: pl.Expr


class Batches:
    """Encodes batches of one side; rows of which Polars cannot tell are left to the encoder, which counts their
    faults. Not for sides whose rows may be out of scope."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._rules = (*encoder.key, *encoder.fields, *encoder.context)
        self._keys = len(encoder.key)
        self._compared = self._keys + len(encoder.fields)

    def encode(self, rows: Sequence[Row]) -> list[Encoded]:
        """As `Encoder.encode` of each row that has a key. Raises SchemaMismatch for an absent column."""
        try:
            ready = [
                _ready(f"c{position}", rule, self._values(rule.name, rows)) for position, rule in enumerate(self._rules)
            ]
        except KeyError as error:
            raise self._encoder.absent(str(error.args[0])) from error
        found = self._computed(ready)
        columns = (found[name].to_list() for name in ("key", "cells", "context", "exact"))
        lines: list[Encoded | None] = list(map(Encoded._make, zip(*columns, strict=True)))
        for position in found["odd"].arg_true():
            lines[position] = self._encoder.encode(rows[position])
        return [line for line in lines if line is not None]

    def _values(self, name: str, rows: Sequence[Row]) -> list[Value]:
        constants = self._encoder.constants
        return [constants[name]] * len(rows) if name in constants else [row[name] for row in rows]

    def _computed(self, ready: Sequence[_Ready]) -> pl.DataFrame:
        keys, count = range(self._keys), len(ready)
        texts = pl.DataFrame([one.column for one in ready]).select(
            *(one.element.text.alias(f"t{position}") for position, one in enumerate(ready)),
            *(one.element.odd.alias(f"o{position}") for position, one in enumerate(ready)),
            *(ready[position].written.alias(f"w{position}") for position in keys),
        )
        odd = [pl.col(f"o{position}") for position in range(count)]
        odd += [pl.col(f"t{position}").is_null() for position in keys]
        odd += [
            pl.col(f"t{position}").str.contains(_ESCAPED).fill_null(False)
            for position, rule in enumerate(self._rules)
            if rule.type in _TEXTS
        ]
        return texts.select(
            key=_listed(keys),
            cells=_listed(range(self._keys, self._compared)),
            context=_listed(range(self._compared, count)),
            exact=pl.all_horizontal((pl.col(f"t{one}") == pl.col(f"w{one}")).fill_null(False) for one in keys),
            odd=pl.any_horizontal(odd),
        )


def _ready(name: str, rule: Rule, values: list[Value]) -> _Ready:
    column = pl.col(name)
    try:
        kind = kind_of(values)
        element = rules.element(kind, column, rule)
        written = column.cast(pl.String) if kind in _AS_WRITTEN else pl.lit(None, dtype=pl.String)
        return _Ready(column=series(kind, values).alias(name), element=element, written=written)
    except Refused:
        # Another type, half a character, a zone whose clock changes: every value by itself.
        pass
    fields = column.struct
    return _Ready(
        column=_by_reference(rule, values).alias(name),
        element=rules.Element(text=fields.field("text"), odd=fields.field("odd")),
        written=fields.field("written"),
    )


def _by_reference(rule: Rule, values: Sequence[Value]) -> pl.Series:
    """Canonical texts of a column that the table does not know."""
    read = canonical(rule)
    texts: list[str | None] = []
    odd: list[bool] = []
    for value in values:
        try:
            texts.append(read(value))
            odd.append(False)
        except Unreadable:
            texts.append(None)
            odd.append(True)
    written = [
        str(value) if type(value) is int else text if value == text else None
        for value, text in zip(values, texts, strict=True)
    ]
    schema = {"text": pl.String, "odd": pl.Boolean, "written": pl.String}
    return pl.DataFrame({"text": texts, "odd": odd, "written": written}, schema=schema).to_struct()


def _listed(positions: Sequence[int]) -> pl.Expr:
    """A JSON list of texts and nulls."""
    parts: list[pl.Expr] = [pl.lit("[")]
    for position in positions:
        text = pl.col(f"t{position}")
        quoted = pl.concat_str(pl.lit('"'), text, pl.lit('"')).fill_null("null")
        parts += [pl.lit(","), quoted] if len(parts) > 1 else [quoted]
    return pl.concat_str([*parts, pl.lit("]")]).cast(pl.Binary)
