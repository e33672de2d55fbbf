"""Tryton's JSON-RPC on the wire: values in and out without loss, and what an answer means. Pure functions."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceRejected

#: The server's own words are evidence; a traceback of 50 kB is not.
MAX_WORDS_CHARACTERS = 400
_CLOCK_FIELDS = ("year", "month", "day", "hour", "minute", "second", "microsecond")


class Concurrent(SourceRejected):
    """Somebody changed the record since we read it; nothing was done."""


def encoded(method: str, parameters: Sequence[object]) -> bytes:
    """One request. Decimals keep every digit; an aware datetime becomes the naive UTC Tryton stores."""
    return json.dumps({"id": 1, "method": method, "params": list(parameters)}, default=_encode).encode()


def decoded(body: bytes) -> Any:
    """One answer. A number with a point is a Decimal, a datetime aware. Raises ValueError when it is no JSON."""
    return json.loads(body, object_hook=_decode, parse_float=Decimal)


def _encode(value: object) -> object:
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": str(value)}
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise TypeError("a datetime without a zone has no place here")
        moment = value.astimezone(UTC)
        return {"__class__": "datetime", **{name: getattr(moment, name) for name in _CLOCK_FIELDS}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    raise TypeError(f"{type(value).__name__} has no spelling in Tryton's JSON")


def _decode(document: dict[str, Any]) -> Any:
    match document.get("__class__"):
        case "Decimal":
            return Decimal(document["decimal"])
        case "datetime":
            year, month, day, hour, minute, second, microsecond = (document[name] for name in _CLOCK_FIELDS)
            return datetime(year, month, day, hour, minute, second, microsecond, UTC)
        case "date":
            return date(document["year"], document["month"], document["day"])
        case "timedelta":
            return timedelta(seconds=float(document["seconds"]))
        case "bytes":
            return document["base64"]
        case _:
            return document


def result_of(answer: Any, *, system: str, method: str) -> Any:
    """The result inside a 200, because success is judged by the body. Raises what the error inside means."""
    if not isinstance(answer, dict) or not {"result", "error"} & set(answer):
        raise SourceRejected(
            f"system {system!r}, {method}: the answer is neither a result nor an error; is this Tryton?"
        )
    if "error" not in answer:
        return answer["result"]
    kind, words = _kind_and_words(answer["error"])
    message = f"system {system!r}, {method}: {words}"
    if kind == "LoginException":
        raise AuthRefused(f"{message}; check user and password")
    if kind == "ConcurrencyException":
        raise Concurrent(message)
    if kind in {"UserError", "UserWarning"}:
        if "not allowed" in words:
            refusal = SourceError(f"{message}; give this user the groups it needs")
            refusal.cause = Cause.AUTHZ
            raise refusal
        raise SourceRejected(message)
    if len(words) > 2 and words[0] == words[-1] == "'":
        # An unknown model or field is an uncaught KeyError over there: its whole message is the quoted name.
        raise SchemaMismatch(f"system {system!r}, {method}: the ERP does not know {words}")
    raise SourceRejected(message)


def _kind_and_words(error: Any) -> tuple[str, str]:
    """('UserError', its text), or ('', the exception's text) for what the ERP did not mean to raise."""
    if isinstance(error, list) and len(error) == 2 and isinstance(error[1], list):
        texts = [str(part) for part in error[1] if part]
        return str(error[0]), _short(": ".join(texts))
    first = error[0] if isinstance(error, list) and error else error
    return "", _short(str(first))


def _short(text: str) -> str:
    return " ".join(text.split())[:MAX_WORDS_CHARACTERS]
