"""Any system's webhook, read as declared under `webhooks:`. Pure.

Each item becomes an alert in Alertmanager's shape and takes the same way as one from there: the same limits, the same
quarantine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from tillwatch.alerting import wire
from tillwatch.alerting.wire import Parsed, Poison, Unusable
from tillwatch.config.schema import Webhook
from tillwatch.config.webhooks import JsonPath, Mapped, is_path, parse_path
from tillwatch.model.alert import Alert

#: Deeper than any monitoring system's message; what is deeper costs more to walk than it can say.
MAX_DEPTH = 32
#: Seconds since 1970 have ten digits until 2286; more are milliseconds.
_SECONDS_BELOW = 100_000_000_000
_NUMBER = re.compile(r"\d{9,13}(\.\d{1,9})?", re.ASCII)
#: `2026-11-24 08:00:00.123`, also with dots or slashes in the date, and with or without an offset.
_WRITTEN = re.compile(
    r"(\d{4})[-./](\d\d)[-./](\d\d)[T ](\d\d:\d\d:\d\d)(\.\d{1,9})? ?(Z|[+-]\d\d:?\d\d)?", re.ASCII | re.IGNORECASE
)
_MISSING = object()


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """A declared webhook bound to one body."""

    declared: Webhook
    zone: ZoneInfo
    body: Any

    def value(self, item: Any, path: JsonPath) -> Any:
        """What stands at `path`, or _MISSING."""
        found = self.body if path.from_body else item
        for step in path.steps:
            if isinstance(step, int):
                if not isinstance(found, list) or step >= len(found):
                    return _MISSING
                found = found[step]
            elif isinstance(found, Mapping) and step in found:
                found = found[step]
            else:
                return _MISSING
        return _MISSING if found is None else found

    def at(self, item: Any, text: str) -> str:
        """The text at a path, a plain text as it stands; empty when there is nothing. Raises Unusable."""
        if not is_path(text):
            return text.removeprefix("$") if text.startswith("$$") else text
        found = self.value(item, parse_path(text))
        return "" if found is _MISSING else _text(found, text)

    def mapped(self, item: Any, wanted: Mapped) -> str:
        found = self.at(item, wanted.from_)
        if not wanted.map:
            return found or wanted.default
        words = {word.casefold(): meant for word, meant in wanted.map.items()}
        return wanted.map.get(found) or words.get(found.casefold()) or wanted.default or found

    def pairs(self, item: Any, all_of: str | None, declared: Mapping[str, Mapped]) -> dict[str, str]:
        found: dict[str, str] = {}
        if all_of is not None and (whole := self.value(item, parse_path(all_of))) is not _MISSING:
            if not isinstance(whole, Mapping):
                raise Unusable(f"{all_of} is no object but {_kind(whole)}")
            found = {name: _text(value, f"{all_of}.{name}") for name, value in whole.items() if value is not None}
        return {**found, **{name: self.mapped(item, wanted) for name, wanted in declared.items()}}

    def ended(self, item: Any) -> bool:
        resolved = self.declared.resolved
        if resolved is None:
            return False
        return self.at(item, resolved.path).casefold() in {value.casefold() for value in resolved.values}

    def instant(self, item: Any, path: str | None) -> str | None:
        """RFC 3339, or None when no time is declared or sent. Raises Unusable."""
        if path is None or not (written := self.at(item, path)):
            return None
        return _instant(written, self.zone, path).isoformat()

    def alert(self, item: Mapping[str, Any], now: datetime, source: str) -> Alert:
        labels = self.pairs(item, self.declared.labels_from, self.declared.labels)
        for name in ("alertname", *self.declared.required):
            if not labels.get(name):
                declared = self.declared.labels.get(name)
                where = declared.from_ if declared else f"{self.declared.labels_from}.{name}"
                raise Unusable(f"the label '{name}' is empty: there is nothing at {where}")
        alert = wire.v4(
            {
                "status": "resolved" if self.ended(item) else "firing",
                "labels": labels,
                "annotations": self.pairs(item, self.declared.annotations_from, self.declared.annotations),
                "startsAt": self.instant(item, self.declared.starts_at),
                "endsAt": self.instant(item, self.declared.ends_at),
                "generatorURL": self.at(item, self.declared.url),
            },
            now,
            source,
        )
        if alert.ends_at is None and self.declared.lease is not None:
            return replace(alert, ends_at=now + self.declared.lease)
        return alert


def source_of(declared: Webhook) -> str:
    """What alerts of this webhook say about where they come from."""
    return f"webhook/{declared.id}"


def parse(body: bytes, now: datetime, declared: Webhook, zone: ZoneInfo) -> Parsed:
    """The alerts in `body`, and what could not be read. `zone` is for times that name none."""
    whole = wire.document(body)
    if isinstance(whole, Poison):
        return Parsed(poison=(whole,))
    if _is_deep(whole):
        return Parsed(poison=(Poison(reason=f"nested deeper than {MAX_DEPTH} levels", body=wire.text_of(whole)),))
    reader = _Reader(declared=declared, zone=declared.zone or zone, body=whole)
    items = reader.value(whole, parse_path(declared.items))
    if items is _MISSING:
        return Parsed(poison=(Poison(reason=f"there is nothing at {declared.items}", body=wire.text_of(whole)),))
    return wire.each(items if isinstance(items, list) else [items], now, source_of(declared), reader.alert)


def _is_deep(whole: Any) -> bool:
    level = [whole]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return False
    return True


def _text(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return str(value)
    raise Unusable(f"{where} is no text but {_kind(value)}")


def _kind(value: Any) -> str:
    return "an object" if isinstance(value, Mapping) else "a list" if isinstance(value, list) else type(value).__name__


def _instant(written: str, zone: ZoneInfo, where: str) -> datetime:
    try:
        if _NUMBER.fullmatch(written):
            number = float(written)
            return datetime.fromtimestamp(number if number < _SECONDS_BELOW else number / 1000, UTC)
        if shape := _WRITTEN.fullmatch(written):
            year, month, day, time, fraction, offset = shape.groups()
            instant = datetime.fromisoformat(f"{year}-{month}-{day}T{time}{fraction or ''}{(offset or '').upper()}")
            return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise Unusable(f"{where} is '{written[:60]}', which is no instant: {error}") from error
    raise Unusable(f"{where} is '{written[:60]}'; a time is RFC 3339, 2026-11-24 08:00:00, or seconds since 1970")
