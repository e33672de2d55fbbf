"""Readings of an entity set: ranges of keys side by side where the key can be compared, the service's own next links
otherwise; checked against the service's own count.

A range begins after one key and ends with another. Where ranges begin is asked with $skip, which is not stable while
rows come and go; that only makes ranges of unequal size, for the rows in them are found by key. A range ends with its
last key or with an empty page, never with a short one: services cut pages without saying so.
"""

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import datetime

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import Cause, SchemaMismatch, SourceError, SourceRejected, UsageError
from tillwatch.model.audit import Row
from tillwatch.sources.base import Reading, Tail
from tillwatch.sources.budget import retrying
from tillwatch.sources.odata import query, wire
from tillwatch.sources.odata.catalogue import Relation
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.fetching import Fetched, Fetcher, Strand
from tillwatch.sources.odata.literals import Unreadable
from tillwatch.sources.odata.once import Once
from tillwatch.sources.odata.options import ODataOptions
from tillwatch.sources.odata.pace import Pace
from tillwatch.sources.odata.session import Meter, Session
from tillwatch.sources.odata.wire import Entity, Page

#: Pages in one range at most: what was read of a range waits in memory for the ranges before it.
MAX_PAGES_IN_RANGE = 8
MAX_ROWS_IN_RANGE = 20_000
#: Pages without a row in a row: some services link on and on behind the end.
MAX_EMPTY_PAGES = 3
#: A set is cut into at least so many ranges for each connection, so that the last ones are not waited for alone.
RANGES_PER_CONNECTION = 2

_ACCEPT = {
    Version.V2: "application/json",
    # Decimals as text; a service that does not know this sends numbers, which are read as decimals too.
    Version.V4: "application/json;odata.metadata=minimal;IEEE754Compatible=true",
}
_VERSION_HEADERS = {Version.V2: {"MaxDataServiceVersion": "2.0"}, Version.V4: {"OData-MaxVersion": "4.01"}}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a dataset."""

    relation: Callable[[], Relation]
    name: str
    fields: Sequence[str] | None = None
    since: datetime | None = None
    keys: Sequence[Mapping[str, str]] | None = None
    batch_rows: int


@dataclass
class Progress:
    """The numbers a reading gathers on its way."""

    rows: int = 0
    #: The service's own count of the selection before and after; empty when it is not asked.
    counts: list[int] = field(default_factory=list)
    token: str = ""
    meter: Meter = field(default_factory=Meter)
    #: What was learnt of the service by asking where ranges begin.
    pace: Pace | None = None
    #: Pages were found by the service's own links.
    linked: bool = False

    def tail(self) -> Tail:
        """Stable when the rows lie between the counts before and after: rows that came in explain no more. Not so where
        we follow links: they may be offsets, and then a row that goes away hides another one from the reading."""
        quiet = bool(self.counts) and min(self.counts) == max(self.counts)
        explained = quiet or not self.linked
        return Tail(
            rows=self.rows,
            server_count=self.counts[0] if quiet else None,
            stable=not self.counts or (explained and min(self.counts) <= self.rows <= max(self.counts)),
            bytes_read=self.meter.bytes_read,
            requests=self.meter.requests,
            token=self.token,
        )


def token_of(relation: Relation, fields: Sequence[str], link: str) -> str:
    """A delta link, with what it was given for: another dataset or other fields have other changes."""
    return json.dumps({"of": basis(relation, fields), "link": link})


def basis(relation: Relation, fields: Sequence[str]) -> str:
    told = json.dumps([relation.dataset.model_dump(mode="json"), sorted(fields)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads from one service. Safe for several threads."""

    session: Session
    options: ODataOptions
    clock: Clock
    pool: Callable[[], Executor]

    def reading(self, request: Request) -> Reading:
        """Nothing is asked before the first batch is."""
        progress = Progress()
        batches = self._batches(request, progress)
        return Reading(batches, progress.tail, batches.close)

    def ask(self, relation: Relation, url: str, prefer: Sequence[str] = ()) -> Fetched:
        """One page. Raises what a source raises."""
        version = relation.dialect.version
        headers = dict(_VERSION_HEADERS[version])
        if prefer:
            headers["Prefer"] = ",".join(prefer)
        answer = self.session.get(url, accept=_ACCEPT[version], headers=headers)
        try:
            return Fetched(page=wire.page(answer.body), size=len(answer.body), url=url)
        except wire.NotAnAnswer as error:
            raise SourceRejected(
                f"system {self.session.system!r} at {url.partition('?')[0]}: {error}; is it this OData service?"
            ) from None

    def first(self, relation: Relation) -> None:
        """Read one entity, any. Raises what reading raises."""
        asked = query.address(
            relation,
            select=query.names(list(relation.columns.values())),
            filter=query.everywhere(*relation.conditions),
            top=1,
        )
        self._retried(relation, self.session.url(asked), Meter())

    def fetcher(
        self, relation: Relation, meter: Meter, prefer: Sequence[str] = (), pace: Pace | None = None
    ) -> Fetcher:
        return Fetcher(
            ask=lambda url: self.ask(relation, url, prefer),
            pool=self.pool(),
            clock=self.clock,
            pace=pace or Pace(ceiling=self.options.connections),
            meter=meter,
        )

    def rows(self, relation: Relation, names: Sequence[str], page: Page) -> list[Row]:
        """Raises SchemaMismatch for a property that did not come although it was asked for."""
        wanted = [(name, relation.columns[name]) for name in names]
        return [self._row(relation, wanted, entity) for entity in page.entities]

    def _row(self, relation: Relation, wanted: Sequence[tuple[str, Property]], entity: Entity) -> Row:
        try:
            return {name: relation.dialect.value(entity[kind.name], kind) for name, kind in wanted}
        except KeyError as error:
            raise SchemaMismatch(
                f"system {self.session.system!r}, dataset {relation.name!r}: an entity came without property {error}; "
                "did the service change while it was read?"
            ) from None
        except Unreadable as error:
            wrong = SourceError(f"system {self.session.system!r}, dataset {relation.name!r}: {error}")
            wrong.cause = Cause.DATA
            raise wrong from None

    def _batches(self, request: Request, progress: Progress) -> Generator[list[Row], None, None]:
        relation = request.relation()
        names = self.chosen(request, relation)
        conditions = [*relation.conditions]
        if request.since is not None:
            self._refuse_undated(relation)
            conditions.append(query.changed_since(relation, request.since))
        condition = query.everywhere(*conditions)
        if request.keys is None:
            self.count(relation, condition, progress)
        for page in self._pages(request, relation, names, condition, progress):
            if page.delta_link:
                progress.token = token_of(relation, names, page.delta_link)
            found = self.rows(relation, names, page)
            progress.rows += len(found)
            for start in range(0, len(found), request.batch_rows):
                yield found[start : start + request.batch_rows]
        if request.keys is None:
            self.count(relation, condition, progress)

    def chosen(self, request: Request, relation: Relation) -> list[str]:
        """The canonical fields of this reading. Raises SchemaMismatch naming what exists."""
        names = list(relation.columns) if request.fields is None else list(request.fields)
        for name in [*names, *(name for key in request.keys or () for name in key)]:
            if name not in relation.columns:
                known = did_you_mean(name, relation.columns, what="it has")
                raise SchemaMismatch(
                    f"system {self.session.system!r}, dataset {request.name!r} has no field {name!r}{known}"
                )
        if not all(request.keys or ()):
            raise UsageError("a key must name at least one field")
        return names

    def _refuse_undated(self, relation: Relation) -> None:
        name = relation.dataset.change_field
        if name not in relation.columns:
            known = did_you_mean(name, relation.columns, what="it has")
            raise UsageError(
                f"system {self.session.system!r}, dataset {relation.name!r} has no change field {name!r}, so nobody "
                f"can ask for what changed; map it in 'columns' or name another{known}"
            )

    def _pages(
        self, request: Request, relation: Relation, names: Sequence[str], condition: str, progress: Progress
    ) -> Iterator[Page]:
        # Some services only filter by what they select.
        filtered = [name for key in request.keys or () for name in key]
        if request.since is not None:
            filtered.append(relation.dataset.change_field)
        wanted = [relation.columns[name] for name in (*names, *filtered)]
        select = query.names([*wanted, *relation.key, *relation.narrowed])
        if request.keys is not None:
            once = Once(key=[kind.name for kind in relation.key])
            strands = map(once.begin, self._by_key(relation, request.keys, select, condition))
            return map(once.page, self.fetcher(relation, progress.meter).pages(strands))
        tracked = relation.dataset.track_changes and request.since is None
        if relation.keyset and not tracked:
            return self._by_range(relation, select, condition, progress)
        progress.linked = True
        order = query.names(relation.key) if relation.dialect.version is Version.V2 else ""
        start = query.address(relation, select=select, filter=condition, orderby=order)
        prefer = [f"odata.maxpagesize={self.options.page_rows}"] if relation.dialect.version is Version.V4 else []
        if tracked:
            prefer.append("odata.track-changes")
        strand = Strand(start=self.session.url(start), follow=self.links())
        return (fetched.page for fetched in self.fetcher(relation, progress.meter, prefer).pages([strand]))

    def links(self) -> Callable[[Fetched], str | None]:
        """Follows the service's links, until it gives nothing but links: its count tells whether that was the end."""
        empty = 0

        def follow(fetched: Fetched) -> str | None:
            nonlocal empty
            empty = 0 if fetched.page.entities or fetched.page.removed else empty + 1
            return None if empty > MAX_EMPTY_PAGES else self._linked(fetched)

        return follow

    def _linked(self, fetched: Fetched) -> str | None:
        """Where the service says that it goes on. Raises SourceRejected for a link to the page it stands on."""
        if not fetched.page.next_link:
            return None
        following = self.session.with_parameters(wire.on_our_server(fetched.page.next_link, asked=fetched.url))
        if following == fetched.url:
            raise SourceRejected(
                f"system {self.session.system!r} at {following.partition('?')[0]}: a page names itself as the next one"
            )
        return following

    def _by_key(
        self, relation: Relation, keys: Sequence[Mapping[str, str]], select: str, condition: str
    ) -> Iterator[Strand]:
        distinct = list({tuple(sorted(key.items())): key for key in keys}.values())
        bare = self.session.url(query.address(relation, select=select, filter=query.everywhere(condition, "x")))
        room = max(1, self.options.max_url_characters - len(bare))
        for wanted in query.key_filters(relation, distinct, room=room):
            asked = query.address(relation, select=select, filter=query.everywhere(condition, wanted))
            yield Strand(start=self.session.url(asked), follow=self.links())

    def _by_range(self, relation: Relation, select: str, condition: str, progress: Progress) -> Iterator[Page]:
        begins: list[query.Key | None] = [None, *self._boundaries(relation, condition, progress)]
        ends: list[query.Key | None] = [*begins[1:], None]
        strands = (
            _Range(reader=self, relation=relation, select=select, condition=condition, end=end).strand(begin)
            for begin, end in zip(begins, ends, strict=True)
        )
        for fetched in self.fetcher(relation, progress.meter, pace=progress.pace).pages(strands):
            yield fetched.page

    def _boundaries(self, relation: Relation, condition: str, progress: Progress) -> list[query.Key]:
        """Keys that end ranges, in the service's order; none when reading in one go is as good, or it cannot skip."""
        step = self._rows_in_range(progress.counts[0] if progress.counts else 0)
        if not step:
            return []
        order = query.names(relation.key)
        starts = [
            Strand(
                start=self.session.url(
                    query.address(relation, select=order, filter=condition, orderby=order, skip=skip - 1, top=1)
                )
            )
            for skip in range(step, progress.counts[0], step)
        ]
        found: dict[query.Key, None] = {}
        fetcher = self.fetcher(relation, progress.meter)
        try:
            for fetched in fetcher.pages(starts):
                # A service that ignores $top gives no boundary we could trust.
                if len(fetched.page.entities) == 1:
                    found[self.key_of(relation, fetched.page.entities[0])] = None
        except SourceRejected:
            return []
        progress.pace = fetcher.pace.carried()
        return list(found)

    def _rows_in_range(self, rows: int) -> int:
        page_rows, connections = self.options.page_rows, self.options.connections
        if connections == 1 or rows <= 2 * page_rows:
            return 0
        pages = rows // page_rows // (RANGES_PER_CONNECTION * connections)
        most = max(1, min(MAX_PAGES_IN_RANGE, MAX_ROWS_IN_RANGE // page_rows))
        return page_rows * max(1, min(pages, most))

    def key_of(self, relation: Relation, entity: Entity) -> query.Key:
        wanted = [(kind.name, kind) for kind in relation.key]
        return tuple(self._row(relation, wanted, entity).values())

    def count(self, relation: Relation, condition: str, progress: Progress) -> None:
        how, meter = relation.dataset.count, progress.meter
        if how == "none":
            return
        if how == "path":
            url = self.session.url(query.address(relation, path="/$count", filter=condition))
            answer = retrying(lambda: self.session.get(url, accept="text/plain"), clock=self.clock)
            meter.requests += 1
            meter.bytes_read += len(answer.body)
            try:
                progress.counts.append(wire.count(answer.body))
            except wire.NotAnAnswer as error:
                raise SourceRejected(
                    f"system {self.session.system!r}, dataset {relation.name!r}: /$count: {error}; "
                    "perhaps it counts beside a page: 'count: inline'"
                ) from None
            return
        v2 = relation.dialect.version is Version.V2
        counted = {"inlinecount": "allpages"} if v2 else {"count": "true"}
        order = query.names(relation.key[:1])
        url = self.session.url(query.address(relation, select=order, filter=condition, top=1, **counted))
        page = self._retried(relation, url, meter)
        if page.count is None:
            raise SourceRejected(
                f"system {self.session.system!r}, dataset {relation.name!r}: no count came beside the page; "
                "try 'count: path', or 'count: none'"
            )
        progress.counts.append(page.count)

    def _retried(self, relation: Relation, url: str, meter: Meter) -> Page:
        fetched = retrying(lambda: self.ask(relation, url), clock=self.clock)
        meter.requests += 1
        meter.bytes_read += fetched.size
        return fetched.page


@dataclass(kw_only=True)
class _Range:
    """The pages of one range of keys; `end` belongs to it, None = to the end of the set."""

    reader: Reader
    relation: Relation
    select: str
    condition: str
    end: query.Key | None
    _last: query.Key | None = None

    def strand(self, begin: query.Key | None) -> Strand:
        self._last = begin
        return Strand(start=self._url(begin), follow=self._following)

    def _url(self, after: query.Key | None) -> str:
        relation, dialect = self.relation, self.relation.dialect
        asked = query.address(
            relation,
            select=self.select,
            filter=query.everywhere(
                self.condition,
                "" if after is None else query.after(dialect, relation.key, after),
                "" if self.end is None else query.up_to(dialect, relation.key, self.end),
            ),
            orderby=query.names(relation.key),
            top=self.reader.options.page_rows,
        )
        return self.reader.session.url(asked)

    def _following(self, fetched: Fetched) -> str | None:
        entities = fetched.page.entities
        if not entities:
            return None
        first, last = (self.reader.key_of(self.relation, entities[index]) for index in (0, -1))
        if self._last is not None and self._last in (first, last):
            raise SourceRejected(
                f"system {self.reader.session.system!r}, dataset {self.relation.name!r}: a page that was to begin "
                "after a key holds it again, so the service does not filter as asked; write 'paging: link'"
            )
        self._last = last
        return None if last == self.end else self._url(last)
