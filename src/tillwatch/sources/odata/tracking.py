"""Delta links: what changed since one was given, what is gone included; and readings of a part of the keys."""

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from urllib.parse import unquote

from tillwatch.errors import SchemaMismatch, SourceRejected
from tillwatch.model.audit import Row, Value
from tillwatch.sources.base import Reading, Tail
from tillwatch.sources.changes import KEY_SEPARATOR, Slices, Tracked, TrackLost, key_text
from tillwatch.sources.odata import query, wire
from tillwatch.sources.odata.catalogue import Relation
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.fetching import Fetched, Strand
from tillwatch.sources.odata.literals import Dialect, Unreadable
from tillwatch.sources.odata.reading import Progress, Reader, Request, basis, token_of
from tillwatch.sources.odata.session import Gone, Meter
from tillwatch.sources.odata.wire import Entity, Removed

#: One part of an entity's address: Items('a') or Stock(plant='1',line=5).
_PART = re.compile(r"\s*(?:(?P<name>[A-Za-z_]\w*)\s*=\s*)?(?P<literal>'(?:[^']|'')*'|[^,']+)\s*(?:,|$)")


def changes_since(
    reader: Reader, relation: Relation, fields: Sequence[str], key: Sequence[str], token: str, *, limit: int
) -> Tracked:
    """Raises TrackLost."""
    own = {kind.name for kind in relation.key}
    if not {relation.columns[name].name for name in key} <= own:
        # A row that got another value there would be named by the new one alone, and the old one would stay unnoticed.
        raise TrackLost(f"changed rows are named by {', '.join(sorted(own))}, which is not what they are matched by")
    link = _link(reader, relation, fields, token)
    keys: list[Mapping[str, Value]] = []
    removed = unnamed = 0
    meter = Meter()
    prefer = [f"odata.maxpagesize={reader.options.page_rows}"]
    following = ""
    pages = reader.fetcher(relation, meter, prefer).pages([Strand(start=link, follow=reader.links())])
    try:
        for fetched in pages:
            following = fetched.page.delta_link or following
            removed += len(fetched.page.removed)
            every: list[Entity | Removed] = [*fetched.page.entities, *fetched.page.removed]
            for changed in every:
                named = _named(relation, key, changed)
                if named is None:
                    unnamed += 1
                else:
                    keys.append(named)
            if len(keys) > limit:
                return Tracked(keys=tuple(keys), removed=removed, unnamed=unnamed, more=True, token="")
    except Gone as error:
        raise TrackLost(f"the delta link is not known any more ({error})") from None
    except (SourceRejected, SchemaMismatch) as error:
        # Not every service says 410 for a link that is too old.
        raise TrackLost(f"the delta link is refused ({error})") from None
    finally:
        pages.close()
    if not following:
        raise TrackLost("the service ended a delta without a link to the next one")
    progress = Progress(meter=meter)
    reader.count(relation, query.everywhere(*relation.conditions), progress)
    return Tracked(
        keys=tuple(keys),
        removed=removed,
        unnamed=unnamed,
        token=token_of(relation, fields, following),
        rows=progress.counts[0] if progress.counts else None,
    )


def _link(reader: Reader, relation: Relation, fields: Sequence[str], token: str) -> str:
    try:
        held = json.loads(token)
        given_for, link = held["of"], str(held["link"])
    except (ValueError, KeyError, TypeError):
        raise TrackLost("what was kept is no delta link") from None
    if given_for != basis(relation, fields):
        raise TrackLost("the dataset is declared differently than when the delta link was given")
    asked = reader.session.url(query.address(relation))
    return reader.session.with_parameters(wire.on_our_server(link, asked=asked))


def _named(relation: Relation, key: Sequence[str], changed: Entity | Removed) -> Mapping[str, Value] | None:
    """The audit's key of what changed; None when the service does not tell it: what is gone is named by its own key."""
    entity = changed.entity if isinstance(changed, Removed) else changed
    address = changed.id if isinstance(changed, Removed) else str(entity.get("@odata.id") or entity.get("@id") or "")
    from_address = address_key(relation.dialect, relation.key, address)
    named: dict[str, Value] = {}
    for name in key:
        kind = relation.columns[name]
        if kind.name in entity:
            try:
                named[name] = relation.dialect.value(entity[kind.name], kind)
            except Unreadable:
                return None
        elif kind.name in from_address:
            named[name] = from_address[kind.name]
        else:
            return None
    return named


def address_key(dialect: Dialect, key: Sequence[Property], address: str) -> Mapping[str, Value]:
    """The key in the address of an entity, by property; empty when it cannot be told."""
    text = unquote(address.rpartition("/")[2] if "('" not in address else address[_opening(address) :])
    found = re.fullmatch(r"[^(]*\((.*)\)", text, re.DOTALL)
    # Some services give the bare key.
    inside = found[1] if found else text
    kinds = {kind.name: kind for kind in key}
    values: dict[str, Value] = {}
    position = 0
    while position < len(inside):
        part = _PART.match(inside, position)
        if part is None or part.end() == position:
            return {}
        name = part["name"] or (key[0].name if len(key) == 1 else "")
        if name not in kinds:
            return {}
        values[name] = dialect.typed(_bare(part["literal"].strip()), kinds[name])
        position = part.end()
    return values if set(values) == set(kinds) and None not in values.values() else {}


def _opening(address: str) -> int:
    """Where the last part of the path of an address begins, when a slash may stand in its key."""
    return address.rfind("/", 0, address.index("('")) + 1


def _bare(literal: str) -> str:
    return literal[1:-1].replace("''", "'") if literal.startswith("'") else literal


def cuts(relation: Relation, key: Sequence[str]) -> bool:
    """Only text can be asked for by its beginning."""
    return all(
        name in relation.columns and relation.columns[name].type == "Edm.String" and relation.columns[name].filterable
        for name in key
    )


@dataclass
class _Counted:
    """Rows of a part of the keys, against the service's own count of them."""

    rows: int = 0
    came: int = 0
    #: None when the service did not count.
    counted: int | None = 0
    meter: Meter = field(default_factory=Meter)

    def note(self, fetched: Fetched, *, first: bool) -> None:
        """The pages that follow the first one of an address repeat its count."""
        self.came += len(fetched.page.entities)
        if first:
            known = self.counted is not None and fetched.page.count is not None
            self.counted = (self.counted or 0) + (fetched.page.count or 0) if known else None

    def tail(self) -> Tail:
        return Tail(
            rows=self.rows,
            stable=self.counted is None or self.came == self.counted,
            bytes_read=self.meter.bytes_read,
            requests=self.meter.requests,
        )


def read_slices(
    reader: Reader, find: Callable[[], Relation], fields: Sequence[str], slices: Slices, batch_rows: int
) -> Reading:
    """The rows of some buckets, each once. A service may find more than was asked for, upper and lower case alike;
    those are left out."""
    counted = _Counted()
    batches = _slices(reader, find, fields, slices, batch_rows, counted)
    return Reading(batches, counted.tail, batches.close)


def _slices(
    reader: Reader,
    find: Callable[[], Relation],
    fields: Sequence[str],
    slices: Slices,
    batch_rows: int,
    counted: _Counted,
) -> Generator[list[Row], None, None]:
    relation = find()
    names = reader.chosen(Request(relation=find, name=relation.name, fields=fields, batch_rows=batch_rows), relation)
    wanted = list(dict.fromkeys([*names, *slices.key]))
    asked = dict(_addresses(reader, relation, wanted, slices))
    strands = [Strand(start=address, follow=reader.links()) for address in asked]
    # What one address finds beside its own buckets may be another's, which finds it too.
    own: frozenset[str] = frozenset()
    for fetched in reader.fetcher(relation, counted.meter).pages(strands):
        # All pages of an address come before the first one of the next.
        own = asked.get(fetched.url, own)
        counted.note(fetched, first=fetched.url in asked)
        rows = [row for row in reader.rows(relation, wanted, fetched.page) if _bucket(row, slices) in own]
        counted.rows += len(rows)
        for start in range(0, len(rows), batch_rows):
            yield [{name: row[name] for name in names} for row in rows[start : start + batch_rows]]


def _bucket(row: Row, slices: Slices) -> str:
    # Databases name the bucket of an absent key as that of an empty one.
    parts = ("" if (part := row[name]) is None else str(part) for name in slices.key)
    return key_text(list(parts))[: slices.prefix]


def _addresses(
    reader: Reader, relation: Relation, names: Sequence[str], slices: Slices
) -> Iterator[tuple[str, frozenset[str]]]:
    """What to ask, each with the buckets it is asked for: every bucket stands at one address."""
    v2 = relation.dialect.version is Version.V2
    counting = {"inlinecount": "allpages"} if v2 else {"count": "true"}
    select = query.names([relation.columns[name] for name in names])
    condition = query.everywhere(*relation.conditions)

    def address(*conditions: str) -> str:
        asked = query.address(relation, select=select, filter=query.everywhere(*conditions), **counting)
        return reader.session.url(asked)

    room = max(1, reader.options.max_url_characters - len(address(condition, "x")))
    buckets = sorted(slices.buckets)
    terms = (_rows_of(relation, slices, name) for name in buckets)
    remaining = iter(buckets)
    for wanted in query.packed(relation.name, terms, room=room):
        yield address(condition, query.any_of(wanted)), frozenset(islice(remaining, len(wanted)))


def _rows_of(relation: Relation, slices: Slices, bucket: str) -> tuple[str, int]:
    """The condition for the keys of a bucket, and how many comparisons it is."""
    key = slices.key
    whole, begun = bucket.split(KEY_SEPARATOR, len(key) - 1), ""
    # A shorter name is a whole key, which may be empty: others begin with it too, and have buckets of their own.
    # Nothing is asked for as null: no part of an entity's key is.
    if len(bucket) >= slices.prefix:
        *whole, begun = whole
    kinds = [relation.columns[name] for name in key]
    found = [f"{kind.name} eq {relation.dialect.literal(part, kind)}" for kind, part in zip(kinds, whole, strict=False)]
    if begun:
        kind = kinds[len(whole)]
        found.append(f"startswith({kind.name},{relation.dialect.literal(begun, kind)})")
    return (found[0] if len(found) == 1 else "(" + " and ".join(found) + ")"), len(found)
