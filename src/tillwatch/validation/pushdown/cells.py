"""When one cell certainly keeps its rule, as SQL: required, range, not negative, not in the future, encoding.

Near a limit Python decides: floats within a millionth of it, moments by more than any two zones differ.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tillwatch.audit.canonical import FieldType
from tillwatch.audit.pushdown.sqlite import digits, real_day
from tillwatch.sources.sql.session import ColumnKind
from tillwatch.validation.pushdown.parts import EXACT, SPACES, TEXTS, TIMES, Cell, both, plain_text, unless_null
from tillwatch.validation.rules import Bounds

#: Two zones differ by 26 hours at most; a day in its zone ends a day later than it begins.
ZONES_APART = timedelta(hours=52)
#: Times every driver reads.
_EARLIEST, _LATEST = datetime(1000, 1, 5, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
#: Numbers and digits every reader takes.
_HUGE, _TINY, _MAX_SCALE = "1e30", "1e-30", 25
#: A binary float is this close to the decimal it stands for.
_MARGIN = Decimal("0.000001")
_SQLITE_DIGITS = 15
_SQLITE_CLOCK_ENDS = ("", ".[0-9][0-9][0-9]", ".[0-9][0-9][0-9][0-9][0-9][0-9]")
_SQLITE_ZONES = ("", "Z", "[+-][01][0-9]:[0-5][0-9]")


def required(cell: Cell) -> str:
    """A text whose first character is no space."""
    first = f"substr({cell.sql}, 1, 1) NOT IN ({cell.any_of(('', *SPACES))})"
    if cell.kind is ColumnKind.DYNAMIC:
        return f"CASE typeof({cell.sql}) WHEN 'integer' THEN 1 WHEN 'real' THEN 1 WHEN 'text' THEN {first} ELSE 0 END"
    if cell.kind in TEXTS:
        return both(f"{cell.sql} IS NOT NULL", first)
    if cell.kind in TIMES:
        return _between_times(cell, _EARLIEST, _LATEST)
    if cell.kind in {*EXACT, ColumnKind.FLOAT, ColumnKind.BOOLEAN, ColumnKind.UUID}:
        return f"{cell.sql} IS NOT NULL"
    raise cell.refuse()


def within(cell: Cell, bounds: Bounds) -> str:
    if bounds.type is FieldType.DECIMAL:
        return unless_null(cell, _number(cell, *bounds.numbers))
    earliest = _EARLIEST if bounds.low is None else _moment(bounds.low) + ZONES_APART
    latest = _LATEST if bounds.high is None else _moment(bounds.high) - ZONES_APART
    return unless_null(cell, _between_times(cell, earliest, latest))


def not_negative(cell: Cell) -> str:
    return within(cell, Bounds(type=FieldType.DECIMAL, low="0"))


def not_future(cell: Cell, now: datetime, allow: timedelta) -> str:
    return unless_null(cell, _between_times(cell, _EARLIEST, now.astimezone(UTC) + allow - ZONES_APART))


def undamaged(cell: Cell) -> str:
    """Printable ASCII is never damage."""
    if cell.kind is ColumnKind.DYNAMIC:
        text = both(plain_text(cell), f"{cell.sql} NOT GLOB '*[^ -~]*'")
        return unless_null(cell, f"typeof({cell.sql}) IN ('integer', 'real') OR ({text})")
    if cell.kind in {*EXACT, *TIMES, ColumnKind.FLOAT, ColumnKind.BOOLEAN, ColumnKind.UUID}:
        return "1 = 1"
    cell.only(TEXTS)
    if cell.dialect == "postgresql":
        return unless_null(cell, f"{cell.sql}::text COLLATE \"C\" ~ '^[ -~]*$'")
    return unless_null(cell, f"NOT {binary(cell)} REGEXP {cell.literal('[^ -~]')}")


def binary(cell: Cell) -> str:
    """MySQL: the text, compared character by character."""
    return f"CONVERT({cell.sql} USING utf8mb4) COLLATE utf8mb4_bin"


def sane_number(cell: Cell) -> str:
    """A number the reference can read."""
    if cell.kind is ColumnKind.INTEGER:
        return "1 = 1"
    size = f"{cell.sql} > -{_HUGE} AND {cell.sql} < {_HUGE}"
    # NaN is greater than every number. A column without a declared scale may hold more digits than we read.
    if cell.dialect == "postgresql" and cell.kind is ColumnKind.DECIMAL:
        return both(size, f"scale({cell.sql}) <= {_MAX_SCALE}")
    if cell.kind is ColumnKind.FLOAT:
        return both(size, f"{cell.sql} = 0 OR abs({cell.sql}) > {_TINY}")
    return size


def short_decimal(cell: Cell) -> str:
    """SQLite: text of digits with at most one point and perhaps a minus, short enough for a float to tell it apart."""
    c = cell.sql
    return both(f"typeof({c}) = 'text'", f"length({c}) <= {_SQLITE_DIGITS}", digits(c, points=1))


def _number(cell: Cell, low: Decimal | None, high: Decimal | None) -> str:
    if cell.kind is ColumnKind.DYNAMIC:
        if cell.column.marks_change:
            raise cell.refuse()
        real = f"CAST({cell.sql} AS REAL)"
        sane = f"abs({real}) < {_HUGE} AND ({real} = 0 OR abs({real}) > {_TINY})"
        readable = f"typeof({cell.sql}) IN ('integer', 'real') OR ({short_decimal(cell)})"
        return both(readable, sane, *_floating(real, low, high))
    cell.only(frozenset({*EXACT, ColumnKind.FLOAT}))
    if cell.kind is ColumnKind.FLOAT:
        return both(sane_number(cell), *_floating(cell.sql, low, high))
    ends = [f"{cell.sql} >= {low:f}" if low is not None else "", f"{cell.sql} <= {high:f}" if high is not None else ""]
    return both(sane_number(cell), *ends)


def _floating(number: str, low: Decimal | None, high: Decimal | None) -> list[str]:
    ends = []
    if low is not None:
        ends.append(f"{number} >= 0" if not low else f"{number} > {_float(low + abs(low) * _MARGIN)}")
    if high is not None:
        ends.append(f"{number} <= 0" if not high else f"{number} < {_float(high - abs(high) * _MARGIN)}")
    return ends


def _float(number: Decimal) -> str:
    return repr(float(number))


def _between_times(cell: Cell, earliest: datetime, latest: datetime) -> str:
    if cell.kind is ColumnKind.DYNAMIC:
        return _between_texts(cell, earliest, latest)
    cell.only(TIMES)
    low, high = (f"{moment:%Y-%m-%d %H:%M:%S}" for moment in (earliest, latest))
    kind = "TIMESTAMP"
    if cell.dialect == "postgresql" and cell.kind is ColumnKind.MOMENT:
        kind, low, high = "TIMESTAMPTZ", f"{low}+00", f"{high}+00"
    return f"{cell.sql} > {kind} '{low}' AND {cell.sql} < {kind} '{high}'"


def _between_texts(cell: Cell, earliest: datetime, latest: datetime) -> str:
    """SQLite holds times as text: only a real day and a real time of day in ISO form count."""
    c = cell.sql
    day, clock, rest = f"substr({c}, 1, 10)", f"substr({c}, 12, 8)", f"substr({c}, 20)"
    ends = " OR ".join(f"{rest} GLOB '{end}{zone}'" for end in _SQLITE_CLOCK_ENDS for zone in _SQLITE_ZONES)
    whole = f"{real_day(day)} AND substr({c}, 11, 1) IN ('T', ' ') AND {clock} = time({clock}) AND ({ends})"
    # `date` may answer with a day that the text does not name; years have four digits.
    limits = f"{day} > '{earliest:%Y-%m-%d}' AND {day} < '{latest:%Y-%m-%d}' AND {clock} < '24'"
    return both(plain_text(cell), whole, limits)


def _moment(end: str) -> datetime:
    found = datetime.fromisoformat(end)
    return min(max(found if found.tzinfo else found.replace(tzinfo=UTC), _EARLIEST), _LATEST)
