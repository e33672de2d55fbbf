"""Values as the service writes them, and literals as its filters want them; never by way of a float. Pure."""

import base64
import binascii
import math
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import assert_never
from zoneinfo import ZoneInfo

from tillwatch.model.audit import Value
from tillwatch.sources.odata.edm import Property, Version

INTEGERS = frozenset({"Edm.Byte", "Edm.SByte", "Edm.Int16", "Edm.Int32", "Edm.Int64"})
FLOATS = frozenset({"Edm.Double", "Edm.Single"})
#: Types whose order a filter and $orderby agree on everywhere. Not among them: guids, which many servers cannot
#: compare, and times, which are stored more finely than they are written.
COMPARABLE = frozenset({"Edm.String", "Edm.Decimal", "Edm.Date", *INTEGERS})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: /Date(milliseconds+minutes)/: the wall clock there, and how far it is ahead of UTC.
_JSON_DATE = re.compile(r"/Date\((-?\d{1,18})([+-]\d{1,4})?\)/")
_DURATION = re.compile(r"P(?:\d+D)?T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?")


class Unreadable(ValueError):
    """A value is not of the type its property has."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a service spells: its version, and the zone of its times without one."""

    version: Version
    zone: ZoneInfo

    def value(self, raw: object, kind: Property) -> Value:
        """A JSON value as ours. Raises Unreadable."""
        if raw is None:
            return None
        try:
            return self._value(raw, kind)
        except (ValueError, TypeError, ArithmeticError):
            raise Unreadable(f"{kind.name} is {str(raw)[:60]!r}, which is no {kind.type}") from None

    def _value(self, raw: object, kind: Property) -> Value:
        text = str(raw)
        match kind.type:
            case "Edm.Boolean":
                return _boolean(raw)
            case "Edm.Decimal" | "Edm.Double" | "Edm.Single":
                return Decimal(text)
            case "Edm.DateTime":
                moment = _json_date(text) or datetime.fromisoformat(text)
                if kind.day:
                    return moment.date()
                # Its ticks are a wall clock's, whatever they look like.
                return moment.replace(tzinfo=self.zone).astimezone(UTC)
            case "Edm.DateTimeOffset":
                moment = _json_date(text) or datetime.fromisoformat(text)
                return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            case "Edm.Date":
                return date.fromisoformat(text)
            case "Edm.Time":
                return _clock(text)
            case "Edm.Guid":
                return str(uuid.UUID(text))
        if kind.type in INTEGERS:
            return _integer(raw)
        if not isinstance(raw, str):
            raise Unreadable
        return raw

    def typed(self, text: str, kind: Property) -> Value:
        """A key's text as the property's type; None when it is no such value, so no entity can have it."""
        try:
            match kind.type:
                case "Edm.Boolean":
                    return {"true": True, "false": False}.get(text.lower())
                case "Edm.DateTime" if kind.day:
                    return date.fromisoformat(text)
                case "Edm.DateTime" | "Edm.DateTimeOffset":
                    moment = datetime.fromisoformat(text)
                    return moment if moment.tzinfo else moment.replace(tzinfo=self.zone)
                case "Edm.Date":
                    return date.fromisoformat(text)
                case "Edm.Time":
                    return time.fromisoformat(text).isoformat()
                case "Edm.Guid":
                    return str(uuid.UUID(text))
                case "Edm.Binary":
                    base64.b64decode(text, validate=True)
                    return text
            if kind.type in INTEGERS:
                return int(text) if re.fullmatch(r"-?\d+", text, re.ASCII) else None
            if kind.type in FLOATS or kind.type == "Edm.Decimal":
                number = Decimal(text)
                return number if number.is_finite() else None
        except (ValueError, InvalidOperation, binascii.Error):
            return None
        return text

    def literal(self, value: Value, kind: Property) -> str:
        """`value` as it stands in $filter, not yet escaped for an address."""
        v2 = self.version is Version.V2
        match value:
            case None:
                return "null"
            case bool():
                return "true" if value else "false"
            case int():
                return f"{value}L" if v2 and kind.type == "Edm.Int64" else str(value)
            case Decimal() | float():
                return self._number(Decimal(str(value)), kind)
            case datetime():
                return self._moment(value, kind)
            case date():
                return f"datetime'{value.isoformat()}T00:00:00'" if v2 else value.isoformat()
            case str():
                return self._text(value, kind)
        assert_never(value)

    def _number(self, number: Decimal, kind: Property) -> str:
        if self.version is Version.V4:
            return f"{number:f}"
        return f"{number:f}" + {"Edm.Double": "d", "Edm.Single": "f"}.get(kind.type, "M")

    def _moment(self, moment: datetime, kind: Property) -> str:
        if kind.type == "Edm.DateTime":
            return f"datetime'{moment.astimezone(self.zone).replace(tzinfo=None).isoformat()}'"
        in_utc = moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
        return f"datetimeoffset'{in_utc}'" if self.version is Version.V2 else in_utc

    def _text(self, text: str, kind: Property) -> str:
        quoted = "'" + text.replace("'", "''") + "'"
        v2 = self.version is Version.V2
        if kind.enumerated:
            return f"{kind.type}{quoted}"
        match kind.type:
            case "Edm.Guid":
                return f"guid{quoted}" if v2 else text
            case "Edm.Time":
                moment = time.fromisoformat(text)
                return f"time'PT{moment.hour}H{moment.minute}M{moment.second}S'"
            case "Edm.TimeOfDay" | "Edm.Date":
                return text
            case "Edm.Duration" | "Edm.Binary" | "Edm.Geography":
                return f"{kind.type.removeprefix('Edm.').lower()}{quoted}"
        return quoted


def _boolean(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise Unreadable
    return raw


def _integer(raw: object) -> int:
    """Int64 comes as text. A number with a fraction is refused, not cut."""
    if isinstance(raw, bool) or not isinstance(raw, int | str | Decimal):
        raise Unreadable
    number = Decimal(raw)
    whole = int(number)
    if whole != number or math.isinf(number):
        raise Unreadable
    return whole


def _json_date(text: str) -> datetime | None:
    found = _JSON_DATE.fullmatch(text)
    if found is None:
        return None
    return _EPOCH + timedelta(milliseconds=int(found[1])) - timedelta(minutes=int(found[2] or 0))


def _clock(text: str) -> str:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Unreadable
    hours, minutes, seconds = (int(part or 0) for part in found.groups()[:3])
    return time(hours, minutes, seconds, int((found[4] or "0").ljust(6, "0")[:6])).isoformat()
