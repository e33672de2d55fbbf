"""What a driver hands over, as values an audit may trust: no binary float, no time without a zone."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tillwatch.model.audit import Row, Value

_FIXED_WIDTH_BYTES = 8


def canonical(value: object, zone: ZoneInfo) -> Value:
    """One cell. A float becomes the shortest decimal that names it (19.99 stays 19.99); NaN and infinity become text.

    A datetime without a zone is taken to be in `zone`.
    """
    if value is None or isinstance(value, str | int | Decimal):
        return value
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else repr(value)
    if isinstance(value, datetime):
        return aware(value, zone)
    if isinstance(value, date):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    if isinstance(value, time | timedelta):
        return str(value)
    return str(value)


def moment(value: Value, zone: ZoneInfo) -> Value:
    """A change field as an aware datetime: ISO text, or seconds since 1970. What is neither stays as it is."""
    if isinstance(value, bool) or value is None:
        return value
    try:
        if isinstance(value, str):
            return aware(datetime.fromisoformat(value.strip()), zone)
        if isinstance(value, int | Decimal):
            return datetime.fromtimestamp(0, UTC) + timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        pass
    return value


def aware(value: datetime, zone: ZoneInfo) -> datetime:
    return value.replace(tzinfo=zone) if value.tzinfo is None else value


def size_bytes(value: object) -> int:
    """Roughly what the cell weighed on the wire."""
    if isinstance(value, str | bytes):
        return len(value)
    return 0 if value is None else _FIXED_WIDTH_BYTES


def matching(rows: Sequence[Row], keys: Sequence[Mapping[str, str]]) -> list[Row]:
    """The rows that really have one of `keys`, all of which name the same fields."""
    names = tuple(keys[0])
    plain = {tuple(key[name].strip() for name in names) for key in keys}
    found: list[Row] = []
    for row in rows:
        cells = [row[name] for name in names]
        if all(isinstance(cell, str) for cell in cells):
            wanted = tuple(str(cell).strip() for cell in cells) in plain
        else:
            wanted = any(all(same(row[name], key[name]) for name in names) for key in keys)
        if wanted:
            found.append(row)
    return found


def same(value: Value, wanted: str) -> bool:
    """Whether a key cell is the wanted one: databases compare more loosely (case, trailing blanks) than a key may."""
    if value is None:
        return False
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        try:
            return Decimal(wanted.strip()) == value
        except ArithmeticError:
            return False
    if isinstance(value, datetime | date):
        return value.isoformat() == wanted
    return str(value).strip() == wanted.strip()
