"""Column types that behave the same on SQLite and PostgreSQL."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import TIMESTAMP, BigInteger, Dialect, Integer, String, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

#: An automatic row number: 64 bits everywhere. Pass `autoincrement=True` and `sqlite_autoincrement=True` on the table,
#: so that a number people have seen (an incident, a run) is never given to another row.
RowId = BigInteger().with_variant(Integer, "sqlite")

#: `2026-11-24T03:00:00.000000Z`: fixed width, so that text order is time order in SQLite.
_TEXT_FORMAT_CHARACTERS = 27


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in, the same instant in UTC out, to the microsecond. A naive datetime is refused."""

    impl = String(_TEXT_FORMAT_CHARACTERS)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        return dialect.type_descriptor(String(_TEXT_FORMAT_CHARACTERS))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no time zone; store aware datetimes only")
        instant = value.astimezone(UTC)
        if dialect.name == "postgresql":
            return instant
        return instant.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the base's signature
        if value is None:
            return None
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return instant.astimezone(UTC)


class DecimalText(TypeDecorator[Decimal]):
    """A Decimal kept digit by digit, trailing zeros too. Not for sorting or arithmetic in SQL."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        if not value.is_finite():
            raise ValueError(f"{value} is not an amount; store finite decimals only")
        return str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value)


class JsonDocument(TypeDecorator[Any]):
    """JSON as text, in the order given. Decimals become strings and datetimes ISO 8601 with offset, both exact.

    NaN, infinities and unknown objects are refused: a document that another program cannot read is no record.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else json.loads(value)


def dumps(value: Any) -> str:
    """The text JsonDocument stores for `value`. Raises TypeError or ValueError naming what cannot be stored."""
    # Most documents of a storm are empty, and one encoder serves them all.
    return "{}" if value == {} else _ENCODER.encode(value)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
