"""Answers of a service: pages of entities, counts, links and errors, v2 and v4. Pure.

v2  {"d": {"results": [...], "__count": "14", "__next": url}}            errors {"error": {"message": {"value": …}}}
v4  {"value": [...], "@odata.count": 14, "@odata.nextLink": url}         errors {"error": {"message": …}}
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

#: A service's own words in a message of ours.
MAX_WORDS_CHARACTERS = 300

Entity = Mapping[str, Any]


class NotAnAnswer(ValueError):
    """The body is not what the protocol says; the message says what it is."""


@dataclass(frozen=True, kw_only=True)
class Removed:
    """An entity that is gone, as a delta names it: by its key with `@removed` (4.01), or by its address (4.0)."""

    id: str
    entity: Entity


@dataclass(frozen=True, kw_only=True)
class Page:
    """One answer. Links are as the service wrote them."""

    entities: tuple[Entity, ...]
    count: int | None = None
    next_link: str = ""
    delta_link: str = ""
    removed: tuple[Removed, ...] = ()


def page(body: bytes) -> Page:
    """Raises NotAnAnswer, with the service's own words when the body is an error although its status was not."""
    document = _decoded(body)
    if words := _error_words(document):
        raise NotAnAnswer(f"the answer is an error: {words}")
    held = document.get("d", document)
    if isinstance(held, list):
        return Page(entities=_entities(held))
    if not isinstance(held, dict):
        raise NotAnAnswer("the answer holds no entities")
    return _v2(held) if "d" in document else _v4(held)


def _v2(held: Mapping[str, Any]) -> Page:
    if "results" not in held:
        raise NotAnAnswer("the answer holds no 'results'")
    count, following = held.get("__count"), held.get("__next") or ""
    if isinstance(following, dict):
        # As some write every other address.
        following = following.get("uri", "")
    return Page(
        entities=_entities(held["results"]),
        count=None if count is None else _number(count),
        next_link=str(following),
    )


def _v4(held: Mapping[str, Any]) -> Page:
    if "value" not in held:
        raise NotAnAnswer("the answer holds no 'value'")
    there: list[Entity] = []
    removed: list[Removed] = []
    for entity in _entities(held["value"]):
        context = str(entity.get("@odata.context") or entity.get("@context") or "")
        if "@removed" in entity or "@odata.removed" in entity:
            removed.append(Removed(id=str(entity.get("@odata.id") or entity.get("@id") or ""), entity=entity))
        elif context.endswith("$deletedEntity"):
            # Its "id" is an address, also where the set has a property of that name.
            removed.append(Removed(id=str(entity.get("id") or ""), entity={}))
        elif not context.endswith(("$link", "$deletedLink")):
            there.append(entity)
    count = _annotation(held, "count")
    return Page(
        entities=tuple(there),
        count=None if count is None else _number(count),
        next_link=str(_annotation(held, "nextLink") or ""),
        delta_link=str(_annotation(held, "deltaLink") or ""),
        removed=tuple(removed),
    )


def _annotation(held: Mapping[str, Any], name: str) -> Any:
    return held.get(f"@odata.{name}", held.get(f"@{name}"))


def count(body: bytes) -> int:
    """The body of /$count. Raises NotAnAnswer."""
    return _number(body.decode("utf-8-sig", "replace").strip())


def error_words(body: bytes) -> str:
    """What an error body says; empty when it is no error of the protocol."""
    try:
        return _error_words(_decoded(body))
    except NotAnAnswer:
        return ""


def token(body: bytes) -> tuple[str, float]:
    """An access token and the seconds it lives. Raises NotAnAnswer, without repeating the body: it may hold one."""
    document = _decoded(body)
    value = document.get("access_token")
    if not isinstance(value, str) or not value:
        raise NotAnAnswer("the answer holds no 'access_token'")
    try:
        return value, float(document.get("expires_in") or 0)
    except (TypeError, ValueError):
        return value, 0.0


def on_our_server(link: str, *, asked: str) -> str:
    """A link of an answer to `asked`, with the origin that was asked: a service behind a proxy names itself as it
    knows itself, and credentials must go nowhere else."""
    ours = urlsplit(asked)
    found = urlsplit(urljoin(asked, link))
    return urlunsplit((ours.scheme, ours.netloc, found.path, found.query, ""))


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_float=Decimal, parse_constant=str)
    except (ValueError, RecursionError):
        raise NotAnAnswer("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise NotAnAnswer("the answer is no JSON object")
    return document


def _error_words(document: Mapping[str, Any]) -> str:
    error = document.get("error", document.get("odata.error"))
    if not isinstance(error, dict):
        return ""
    message = error.get("message", "")
    text = message.get("value", "") if isinstance(message, dict) else message
    code = str(error.get("code") or "")
    inner = error.get("innererror")
    trace = str(inner.get("transactionid") or "") if isinstance(inner, dict) else ""
    words = " ".join(f"{code}: {text}".split() if code else str(text).split())[:MAX_WORDS_CHARACTERS]
    return f"{words} (transaction {trace})" if trace else words or "an error without a message"


def _entities(held: object) -> tuple[Entity, ...]:
    if not isinstance(held, Sequence) or not all(isinstance(entity, dict) for entity in held):
        raise NotAnAnswer("the answer holds no list of entities")
    return tuple(held)


def _number(text: object) -> int:
    """A count: a number, or text that is one."""
    written = str(text)
    if not written.isascii() or not written.isdigit():
        raise NotAnAnswer(f"the count is {written[:40]!r}")
    return int(written)
