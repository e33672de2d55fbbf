"""One side of an audit as numbers that can be kept: rows, sums, and a digest of all canonical rows in key order.

The digest depends on nothing but what the rows mean to the audit: not on their order, the engine, or how it writes a
number. Two systems with equal digests hold the same rows.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, localcontext

import orjson

from tillwatch.audit.canonical import FieldType
from tillwatch.audit.declare import Declared
from tillwatch.audit.rows import Encoded, Encoder
from tillwatch.errors import UnavailableError, UsageError
from tillwatch.model.audit import Row
from tillwatch.validation.reading import Place, Reader

_NUMBERS = frozenset({FieldType.DECIMAL, FieldType.INTEGER})
#: Digits of a sum that is exact: no ledger comes near.
MAX_DIGITS = 100
#: Page cache of the sort, in KiB; the rest is on disk.
CACHE_KIB = 32_768
_FETCH_ROWS = 1_000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one dataset held."""

    system: str
    dataset: str
    #: The system's own words for what it is.
    product: str
    version: str
    rows: int
    #: By field, of the fields that are numbers; exact.
    sums: dict[str, str]
    #: Of every canonical row in key order.
    sha256: str


#: Is given what was measured and those very rows, in key order, which cost nothing unless they are taken.
Look = Callable[[Measured, Iterator[Encoded]], None]


def no_look(measured: Measured, rows: Iterator[Encoded]) -> None:
    """Numbers are enough."""


def measure(declared: Declared, side: str, place: Place, reader: Reader, look: Look = no_look) -> Measured:
    """Read one side from end to end.

    Raises SideFault when it cannot be read, UsageError for rows without a key or with values that cannot be read: what
    is not known cannot be signed for.
    """
    if declared.shaped:
        raise UsageError(
            f"audit '{declared.spec.id}' leaves out, adds up or converts rows; an acceptance signs for rows as they are"
        )
    described = reader.ask(place, place.source.describe, f"asking {place} what it is")
    box: list[Encoder] = []
    with _sorted_rows() as store:

        def forget() -> None:
            box[:] = [Encoder(declared, (), str(place))]
            store.execute("DELETE FROM rows")

        def take(batch: list[Row]) -> None:
            encoded = [row for row in map(box[0].encode, batch) if row is not None]
            store.executemany("INSERT INTO rows VALUES (?, ?)", [(row.key, row.cells) for row in encoded])

        rows = reader.whole(place, _columns(declared), take, forget)
        faults = box[0].faults
        if faults.keyless or faults.unreadable:
            examples = "; ".join([*faults.keyless_examples, *faults.unreadable_examples][:3])
            raise UsageError(
                f"{side} side {place}: {faults.keyless} rows without a key, {faults.unreadable} values that cannot be "
                f"read ({examples}); correct them, then measure again"
            )
        digest, sums = _summed(declared, _in_order(store))
        measured = Measured(
            system=place.system,
            dataset=place.dataset,
            product=described.product,
            version=described.version,
            rows=rows,
            sums=sums,
            sha256=digest,
        )
        look(measured, _in_order(store))
    return measured


def _columns(declared: Declared) -> Sequence[str]:
    return [rule.name for rule in (*declared.key, *declared.fields)]


def _summed(declared: Declared, rows: Iterator[Encoded]) -> tuple[str, dict[str, str]]:
    numbers = [(place, rule.name) for place, rule in enumerate(declared.fields) if rule.type in _NUMBERS]
    totals = {name: Decimal(0) for _, name in numbers}
    digest = hashlib.sha256()
    with localcontext(prec=MAX_DIGITS):
        for row in rows:
            digest.update(row.key + b"\n" + row.cells + b"\n")
            cells = orjson.loads(row.cells) if numbers else []
            for place, name in numbers:
                if cells[place] is not None:
                    totals[name] += Decimal(cells[place])
    return digest.hexdigest(), {name: format(total, "f") for name, total in totals.items()}


@contextmanager
def _sorted_rows() -> Iterator[sqlite3.Connection]:
    """A private table on disk, gone when the process ends."""
    store = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", f"cache_size=-{CACHE_KIB}"):
            store.execute(f"PRAGMA {pragma}")
        store.execute("BEGIN")
        store.execute("CREATE TABLE rows (key BLOB NOT NULL, cells BLOB NOT NULL)")
        yield store
    except sqlite3.OperationalError as error:
        raise UnavailableError(f"the temporary folder cannot hold this dataset: {error}; set TMPDIR") from error
    finally:
        store.close()


def _in_order(store: sqlite3.Connection) -> Iterator[Encoded]:
    cursor = store.execute("SELECT key, cells FROM rows ORDER BY key, cells")
    while rows := cursor.fetchmany(_FETCH_ROWS):
        for key, cells in rows:
            yield Encoded(key=key, cells=cells, context=b"", exact=True)
