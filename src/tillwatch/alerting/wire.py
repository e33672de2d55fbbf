"""What Prometheus and Alertmanager send: API v2's `POST /alerts` and webhook v4. Pure.

One alert that makes no sense is set aside with its reason; it never costs the others of the same body.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from tillwatch.model.alert import Alert

#: Prometheus sends at most 256 alerts a body, Alertmanager a whole group; far more is an attack or a mistake.
MAX_ALERTS = 20_000
MAX_LABELS = 64
MAX_LABEL_BYTES = 16_384
MAX_ANNOTATIONS = 64
MAX_ANNOTATION_BYTES = 262_144
MAX_URL_BYTES = 8_192

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
#: Go's zero time stands for "not set".
_ZERO_YEAR = 1


@dataclass(frozen=True, kw_only=True)
class Poison:
    """One item that was set aside: why, and what it was."""

    reason: str
    body: str


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """The alerts of one body and what could not be understood in it."""

    alerts: tuple[Alert, ...] = ()
    poison: tuple[Poison, ...] = ()


Parse = Callable[[Mapping[str, Any], datetime, str], Alert]


class Unusable(Exception):
    """One alert makes no sense; the text says why."""


def parse_v2(body: bytes, now: datetime, *, source: str = "prometheus") -> Parsed:
    """`POST /api/v2/alerts`: a list of alerts.

    `startsAt` missing is the receipt (or `endsAt`, when that is earlier); `endsAt` at or before the receipt is an end,
    in the future a lease, missing means open-ended. Labels with an empty value are dropped.
    """
    return each(document(body), now, source, _v2)


def parse_webhook_v4(body: bytes, now: datetime, *, source: str = "alertmanager") -> Parsed:
    """Alertmanager's webhook: an object whose `alerts` each carry their own `status`.

    A resolved alert is resolved even when the sender's clock is ahead of ours.
    """
    whole = document(body)
    if isinstance(whole, Poison):
        return Parsed(poison=(whole,))
    if not isinstance(whole, Mapping) or not isinstance(whole.get("alerts"), list):
        return Parsed(poison=(Poison(reason="not a webhook body: no list 'alerts' in it", body=text_of(whole)),))
    parsed = each(whole["alerts"], now, source, v4)
    if not (left_out := _left_out(whole)):
        return parsed
    reason = (
        f"the sender left out {left_out} alerts of group {whole.get('groupKey')!r} (max_alerts of its receiver): "
        "nothing is known of them here, and none of them counts as over"
    )
    group = {name: value for name, value in whole.items() if name != "alerts"}
    return Parsed(alerts=parsed.alerts, poison=(*parsed.poison, Poison(reason=reason, body=text_of(group))))


def _left_out(whole: Mapping[str, Any]) -> int:
    """`truncatedAlerts`; senders older than 0.22 do not know it."""
    number = whole.get("truncatedAlerts", 0)
    return number if isinstance(number, int) and number > 0 else 0


def document(body: bytes) -> Any:
    """What the body says, or the Poison it is."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        try:
            # Slower and more lenient: a lone surrogate or NaN in one alert must not cost the others.
            return json.loads(body.decode("utf-8"))
        except (ValueError, RecursionError):
            return Poison(reason=f"the body is not JSON: {error}", body=body.decode("utf-8", "backslashreplace"))


def each(items: Any, now: datetime, source: str, parse: Parse) -> Parsed:
    """The alerts among `items`; what `parse` finds Unusable is set aside, one by one."""
    if isinstance(items, Poison):
        return Parsed(poison=(items,))
    if not isinstance(items, list):
        return Parsed(poison=(Poison(reason="not a list of alerts", body=text_of(items)),))
    if len(items) > MAX_ALERTS:
        reason = f"{len(items)} alerts in one body; at most {MAX_ALERTS}: send them in parts"
        return Parsed(poison=(Poison(reason=reason, body=text_of(items[:10])),))
    alerts: list[Alert] = []
    poison: list[Poison] = []
    for item in items:
        try:
            if not isinstance(item, Mapping):
                raise Unusable("an alert is an object with 'labels'")
            alerts.append(parse(item, now, source))
        except Unusable as error:
            poison.append(Poison(reason=str(error), body=text_of(item)))
    return Parsed(alerts=tuple(alerts), poison=tuple(poison))


def _v2(item: Mapping[str, Any], now: datetime, source: str) -> Alert:
    starts_at = _instant(item, "startsAt")
    ends_at = _instant(item, "endsAt")
    if starts_at is not None and ends_at is not None and ends_at < starts_at:
        raise Unusable("'endsAt' lies before 'startsAt'")
    return _alert(
        item,
        source,
        starts_at=starts_at or min(now, ends_at or now),
        ends_at=ends_at,
        starts_at_stated=starts_at is not None,
    )


def v4(item: Mapping[str, Any], now: datetime, source: str) -> Alert:
    """One alert of Alertmanager's webhook. Raises Unusable."""
    status = item.get("status")
    if status not in {"firing", "resolved"}:
        raise Unusable(f"'status' is {status!r}; it is 'firing' or 'resolved'")
    starts_at = _instant(item, "startsAt")
    ends_at = _instant(item, "endsAt")
    return _alert(
        item,
        source,
        starts_at=starts_at or now,
        ends_at=min(ends_at or now, now) if status == "resolved" else None,
        starts_at_stated=starts_at is not None,
    )


def _alert(
    item: Mapping[str, Any], source: str, *, starts_at: datetime, ends_at: datetime | None, starts_at_stated: bool
) -> Alert:
    labels = _pairs(item, "labels", count=MAX_LABELS, size=MAX_LABEL_BYTES)
    if not labels:
        raise Unusable("at least one label with a value is needed")
    return Alert(
        labels=labels,
        annotations=_pairs(item, "annotations", count=MAX_ANNOTATIONS, size=MAX_ANNOTATION_BYTES),
        starts_at=starts_at,
        ends_at=ends_at,
        starts_at_stated=starts_at_stated,
        generator_url=_plain(item.get("generatorURL") or "", "'generatorURL'", MAX_URL_BYTES),
        source=source,
    )


def _pairs(item: Mapping[str, Any], key: str, *, count: int, size: int) -> dict[str, str]:
    """Names and texts without the empty ones. Raises Unusable when they are no texts, or too many or too long."""
    found = item.get(key)
    if found is None:
        found = {}
    if not isinstance(found, Mapping):
        raise Unusable(f"'{key}' is not an object")
    if len(found) > count:
        raise Unusable(f"{len(found)} {key}; at most {count}")
    pairs = {}
    for name, value in found.items():
        if not name:
            raise Unusable(f"a name in '{key}' is empty")
        shown = f"{key} '{name[:64]}'".encode("utf-8", "backslashreplace").decode()
        pairs[_plain(name, shown, size)] = _plain(value, shown, size)
    if (total := sum(len(name) + len(value.encode()) for name, value in pairs.items())) > size:
        raise Unusable(f"'{key}' holds {total} bytes; at most {size}")
    return {name: value for name, value in pairs.items() if value}


def _plain(value: Any, shown: str, size: int) -> str:
    """A text every database stores. Raises Unusable."""
    if not isinstance(value, str):
        raise Unusable(f"{shown} is not a text but {type(value).__name__}")
    try:
        length = len(value.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise Unusable(f"{shown} holds half a character (a lone surrogate)") from error
    if length > size:
        raise Unusable(f"{shown} has {length} bytes; at most {size}")
    if "\x00" in value:
        raise Unusable(f"{shown} holds a NUL character")
    return value


def _instant(item: Mapping[str, Any], key: str) -> datetime | None:
    """RFC 3339, to the microsecond; what is finer is cut off, the same way every time. None when not set."""
    text = item.get(key)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or not _TIMESTAMP.fullmatch(text):
        raise Unusable(f"'{key}' is {text!r}; write for example 2026-11-24T08:00:00+08:00"[:200])
    try:
        instant = datetime.fromisoformat(text.upper())
        return None if instant.year == _ZERO_YEAR else instant.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Unusable(f"'{key}' is '{text}', which is no instant: {error}") from error


def text_of(item: Any) -> str:
    try:
        return json.dumps(item, ensure_ascii=True)
    except (ValueError, TypeError, RecursionError):
        return repr(type(item))
