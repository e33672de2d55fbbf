"""Addresses of what is asked: typed literals, escaped, and never longer than servers take. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

from tillwatch.errors import UsageError
from tillwatch.model.audit import Value
from tillwatch.sources.odata.catalogue import Relation
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.literals import Dialect

#: Comparisons in one filter: many servers refuse a filter of more than 100 nodes, and one comparison is four of them.
MAX_COMPARISONS = 20
#: What may stand unescaped in the query of an address.
_SAFE = "()',:$"
_OR = " or "

Key = tuple[Value, ...]


def address(relation: Relation, *, path: str = "", **options: str | int) -> str:
    """Path and query under the service's root. Empty options are left out."""
    query = "&".join(f"${name}={quote(str(value), safe=_SAFE)}" for name, value in options.items() if value != "")
    if relation.dialect.version is Version.V2 and not path:
        query = f"{query}&$format=json" if query else "$format=json"
    found = quote(relation.dataset.set, safe="/()',=-.") + path
    return f"{found}?{query}" if query else found


def everywhere(*conditions: str) -> str:
    """All of them hold; the empty ones say nothing."""
    wanted = [condition for condition in conditions if condition]
    return wanted[0] if len(wanted) == 1 else " and ".join(f"({condition})" for condition in wanted)


def names(properties: Sequence[Property]) -> str:
    """Distinct, in their order."""
    return ",".join(dict.fromkeys(kind.name for kind in properties))


def after(dialect: Dialect, key: Sequence[Property], values: Key) -> str:
    """Keys behind this one, part by part."""
    return _beyond(dialect, key, values, "gt", last="gt")


def up_to(dialect: Dialect, key: Sequence[Property], values: Key) -> str:
    """Keys before this one, and itself."""
    return _beyond(dialect, key, values, "lt", last="le")


def _beyond(dialect: Dialect, key: Sequence[Property], values: Key, operator: str, *, last: str) -> str:
    kind, value = key[0], dialect.literal(values[0], key[0])
    if len(key) == 1:
        return f"{kind.name} {last} {value}"
    rest = _beyond(dialect, key[1:], values[1:], operator, last=last)
    return f"{kind.name} {operator} {value} or ({kind.name} eq {value} and ({rest}))"


def changed_since(relation: Relation, since: datetime) -> str:
    kind = relation.columns[relation.dataset.change_field]
    value: Value = since
    if kind.type == "Edm.Date" or kind.day:
        # A day may have begun long before the moment on it.
        value = since.astimezone(relation.dialect.zone).date()
    return f"{kind.name} ge {relation.dialect.literal(value, kind)}"


def key_filters(relation: Relation, keys: Sequence[Mapping[str, str]], *, room: int) -> Iterator[str]:
    """Filters that together find every one of `keys`, each at most `room` escaped characters. A key that no entity can
    have is left out. Raises UsageError when a single one is longer."""
    return map(any_of, packed(relation.name, _equalities(relation, keys), room=room))


def _equalities(relation: Relation, keys: Sequence[Mapping[str, str]]) -> Iterator[tuple[str, int]]:
    for key in keys:
        values = {name: relation.dialect.typed(text, relation.columns[name]) for name, text in key.items()}
        if None in values.values():
            continue
        equal = [
            f"{relation.columns[name].name} eq {relation.dialect.literal(value, relation.columns[name])}"
            for name, value in values.items()
        ]
        yield (equal[0] if len(equal) == 1 else "(" + " and ".join(equal) + ")"), len(equal)


def any_of(terms: Sequence[str]) -> str:
    return _OR.join(terms)


def packed(dataset: str, terms: Iterable[tuple[str, int]], *, room: int) -> Iterator[Sequence[str]]:
    """Terms, each with its number of comparisons, in their order, as many together as `any_of` makes a filter of that
    fits. Raises UsageError."""
    held: list[str] = []
    size = comparisons = 0
    for term, compared in terms:
        length = len(quote(term, safe=_SAFE)) + len(quote(_OR))
        if length > room:
            raise UsageError(
                f"a key of dataset {dataset!r} makes a filter of {length} characters; raise max_url_characters"
            )
        if held and (size + length > room or comparisons + compared > MAX_COMPARISONS):
            yield held
            held, size, comparisons = [], 0, 0
        held.append(term)
        size += length
        comparisons += compared
    if held:
        yield held
