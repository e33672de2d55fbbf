"""One more look at single rows of both sides: before a repair is sent, and after."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from tillwatch.audit.compare import Difference
from tillwatch.audit.declare import Declared
from tillwatch.audit.rows import Encoder, decode_cells
from tillwatch.audit.spill import Half, Pair
from tillwatch.errors import SourceRejected
from tillwatch.sources.base import Source

Cells = Mapping[str, str | None]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What both sides hold under one key now, in canonical text; None = no such row."""

    left: Cells | None
    right: Cells | None
    #: Names of the fields that differ, () when the sides agree, None when only one of them has the row.
    differing: tuple[str, ...] | None


def look(declared: Declared, left: Source, right: Source, key: Mapping[str, str], *, by_key: bool) -> Seen:
    """Read the rows under `key`. Without `by_key`, or when a system cannot be asked for single rows, read them all.

    Raises what a source raises, and SourceRejected when a side holds the key twice.
    """
    encoded = orjson.dumps([key[name] for name in declared.key_names])
    one = _half(declared, left, "left", key, encoded, by_key=by_key)
    other = _half(declared, right, "right", key, encoded, by_key=by_key)
    pair = Pair(key=encoded, left=one, right=other)
    return Seen(
        left=None if one is None else decode_cells(declared.fields, one.cells),
        right=None if other is None else decode_cells(declared.fields, other.cells),
        differing=() if one is other is None else Difference(declared.fields).fields(pair),
    )


def _half(
    declared: Declared, source: Source, side: str, key: Mapping[str, str], encoded: bytes, *, by_key: bool
) -> Half | None:
    dataset = declared.spec.left.dataset if side == "left" else declared.spec.right.dataset
    encoder = Encoder(declared, (), f"{source.id}.{dataset}")
    found: list[Half] = []
    keys = [key] if by_key and source.capabilities.keys else None
    with source.read(dataset, encoder.columns, keys=keys) as reading:
        for batch in reading:
            for row in map(encoder.encode, batch):
                if row is not None and row.key == encoded:
                    found.append(Half(cells=row.cells, context=row.context))
    if len(found) > 1:
        shown = "/".join(key.values())
        raise SourceRejected(f"{source.id}.{dataset} holds {shown} {len(found)} times; make the key unique first")
    return found[0] if found else None
