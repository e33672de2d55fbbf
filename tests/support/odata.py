"""A stub of ours that speaks OData, v2 as SAP Gateway does and v4: what real services do to us, on demand.

It is no evidence that a product of anybody works; it shows how we behave when a service pages, throttles, lies, changes
or forgets. Rows lie in SQLite in memory, so it can be asked for many.
"""

import base64
import json
import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.support.endpoints import http_server, send, serving
from tests.support.odata_filter import BadFilter, Filter

_APPLY = re.compile(
    r"(?:filter\((?P<filter>.*)\)/)?groupby\(\((?P<by>\w+)\),aggregate\(\$count as (?P<rows>\w+),?(?P<sums>.*)\)\)"
)
_SQL_TYPES = {"Edm.Int32": "INTEGER", "Edm.Int64": "INTEGER", "Edm.Boolean": "INTEGER"}


@dataclass(frozen=True, kw_only=True)
class StubSet:
    name: str
    key: tuple[str, ...]
    #: Property: Edm type.
    properties: Mapping[str, str]
    #: Attributes of properties in $metadata, as SAP Gateway writes them.
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Behaviour:
    """What the service does beside answering; tests change it while it runs."""

    #: Rows it gives at once with a link to the next, and rows at which it cuts a page without saying so.
    page_cap: int = 0
    silent_cap: int = 0
    latency_seconds: float = 0.0
    #: Requests under way at once before it throttles, and what it then asks for.
    most_at_once: int = 0
    retry_after: str = ""
    #: So many requests are answered 500 (or what `broken_status` says), then it is well again.
    broken: int = 0
    broken_status: int = 500
    count_off_by: int = 0
    ignores_filter: bool = False
    #: Filters take upper and lower case for the same, as many databases do.
    case_blind: bool = False
    refuses_skip: bool = False
    #: Properties it no longer has, from this request on.
    dropped: set[str] = field(default_factory=set)
    #: Links in answers are relative, or name another host, as services behind proxies do.
    relative_links: bool = False
    foreign_links: bool = False
    aggregates: bool = True
    tracks: bool = True
    #: Tombstones name what is gone by address (4.0) or by key (4.01).
    tombstones_by_key: bool = False
    #: Delta tokens below are forgotten.
    forgets_before: int = 0
    user: str = ""
    password: str = ""
    token: str = ""


class ODataStub:
    """One service with its sets, under `url`."""

    def __init__(self, *sets: StubSet, version: int = 4) -> None:
        self.version = version
        self.sets = {one.name: one for one in sets}
        self.behaviour = Behaviour()
        self.url = ""
        #: Paths and queries as they came, and logins refused.
        self.requests: list[str] = []
        self.refused = 0
        self.throttled = 0
        self.most_at_once_seen = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._log: list[tuple[str, tuple[object, ...]]] = []
        for one in sets:
            columns = ", ".join(f'"{name}" {_SQL_TYPES.get(kind, "TEXT")}' for name, kind in one.properties.items())
            key = ", ".join(f'"{name}"' for name in one.key)
            self._database.execute(f'CREATE TABLE "{one.name}" ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID')

    # What tests do to it.

    def put(self, name: str, *rows: Mapping[str, object]) -> None:
        one = self.sets[name]
        columns = ", ".join(f'"{column}"' for column in one.properties)
        marks = ", ".join("?" for _ in one.properties)
        values = [tuple(_stored(row.get(column)) for column in one.properties) for row in rows]
        with self._lock:
            self._database.executemany(f'INSERT OR REPLACE INTO "{name}" ({columns}) VALUES ({marks})', values)
            self._log.extend((name, tuple(_stored(row[part]) for part in one.key)) for row in rows)

    def remove(self, name: str, *key: object) -> None:
        where = " AND ".join(f'"{part}" = ?' for part in self.sets[name].key)
        with self._lock:
            self._database.execute(f'DELETE FROM "{name}" WHERE {where}', key)
            self._log.append((name, key))

    @property
    def position(self) -> int:
        """The newest change, as delta tokens count them."""
        return len(self._log)

    @contextmanager
    def running(self) -> Iterator["ODataStub"]:
        with serving(http_server(self._reply, buffered=True)) as port:
            self.url = f"http://127.0.0.1:{port}/service"
            yield self

    # What it does to those who ask.

    def _reply(self, handler: BaseHTTPRequestHandler) -> None:
        with self._lock:
            self._under_way += 1
            self.most_at_once_seen = max(self.most_at_once_seen, self._under_way)
            too_many = bool(self.behaviour.most_at_once) and self._under_way > self.behaviour.most_at_once
            self.requests.append(unquote(handler.path))
        try:
            if too_many:
                self.throttled += 1
                wait = {"Retry_After": self.behaviour.retry_after} if self.behaviour.retry_after else {}
                send(handler, 429, self._error("TooManyRequests", "slow down"), **wait)
                return
            if self.behaviour.latency_seconds:
                time.sleep(self.behaviour.latency_seconds)  # noqa: TID251
            self._answered(handler)
        finally:
            with self._lock:
                self._under_way -= 1

    def _answered(self, handler: BaseHTTPRequestHandler) -> None:
        address = urlsplit(handler.path)
        path = unquote(address.path).removeprefix("/service").strip("/")
        options = {name: values[0] for name, values in parse_qs(address.query).items()}
        if handler.command == "POST" and path == "oauth/token":
            self._give_token(handler)
            return
        authorization = handler.headers.get("Authorization", "")
        if not self._lets_in(authorization):
            self.refused += bool(authorization)
            send(handler, 401, "<html>Logon failed</html>")
            return
        with self._lock:
            broken = self.behaviour.broken > 0 and path != "$metadata"
            self.behaviour.broken -= broken
        if broken:
            send(handler, self.behaviour.broken_status, self._error("Internal", "dump in the back end"))
            return
        if path in {"", "$metadata"}:
            send(handler, 200, self.metadata() if path else "{}", Content_Type="application/xml")
            return
        name, _, rest = path.partition("/")
        if name not in self.sets:
            send(handler, 404, self._error("NotFound", f"Resource not found for the segment '{name}'."))
            return
        try:
            status, body = self._entities(self.sets[name], rest, options, handler.headers.get("Prefer", ""))
        except (BadFilter, KeyError, ValueError) as error:
            status, body = 400, self._error("BadRequest", str(error))
        send(handler, status, body, Content_Type="application/json")

    def _lets_in(self, authorization: str) -> bool:
        behaviour = self.behaviour
        if behaviour.token:
            return authorization == f"Bearer {behaviour.token}"
        if not behaviour.user:
            return True
        pair = base64.b64encode(f"{behaviour.user}:{behaviour.password}".encode()).decode()
        return authorization == f"Basic {pair}"

    def _give_token(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        if form.get("client_secret") != [self.behaviour.password]:
            self.refused += 1
            send(handler, 401, json.dumps({"error": "invalid_client"}))
            return
        send(handler, 200, json.dumps({"access_token": self.behaviour.token, "expires_in": 3600}))

    def _entities(self, one: StubSet, rest: str, options: dict[str, str], prefer: str) -> tuple[int, str]:
        properties = {name: kind for name, kind in one.properties.items() if name not in self.behaviour.dropped}
        if "$deltatoken" in options:
            return self._delta(one, properties, options)
        if self.behaviour.refuses_skip and "$skip" in options:
            return 501, self._error("NotImplemented", "$skip is not supported")
        if "$apply" in options:
            return self._aggregated(one, properties, options["$apply"])
        where, parameters = "", []
        if "$filter" in options and not self.behaviour.ignores_filter:
            found = Filter(options["$filter"], properties, case_blind=self.behaviour.case_blind)
            where, parameters = f" WHERE {found.sql}", found.parameters
        with self._lock:
            (count,) = self._database.execute(f'SELECT count(*) FROM "{one.name}"{where}', parameters).fetchone()
        count += self.behaviour.count_off_by
        if rest == "$count":
            return 200, str(count)
        if rest:
            return 404, self._error("NotFound", f"no {rest}")
        chosen = [name for name in options.get("$select", "").split(",") if name] or list(properties)
        if absent := [name for name in chosen if name not in properties]:
            return 400, self._error("BadRequest", f"Could not find a property named '{absent[0]}'")
        order = options.get("$orderby", ",".join(one.key)).replace(",", '", "')
        skip = int(options.get("$skip", 0)) + int(options.get("$skiptoken", 0))
        top = int(options.get("$top", 2**31))
        cap = self.behaviour.page_cap or self.behaviour.silent_cap or 2**31
        rows = self._select(
            one.name, chosen, f'{where} ORDER BY "{order}" LIMIT {min(top, cap)} OFFSET {skip}', parameters
        )
        more = bool(self.behaviour.page_cap) and len(rows) == cap < top
        tracking = self.version == 4 and "odata.track-changes" in prefer and self.behaviour.tracks
        position = options.get("position") or (str(self.position) if tracking else "")
        links = {}
        if more:
            kept = {name: value for name, value in options.items() if name not in {"$skip", "$skiptoken"}}
            kept |= {"$skiptoken": str(skip + len(rows))} | ({"position": position} if position else {})
            links["nextLink"] = self._link(one.name, kept)
        elif position:
            links["deltaLink"] = self._link(one.name, {"$select": ",".join(chosen), "$deltatoken": position})
        counted = options.get("$inlinecount") == "allpages" or options.get("$count") == "true"
        return 200, self._page([self._entity(one, chosen, row) for row in rows], count if counted else None, links)

    def _aggregated(self, one: StubSet, properties: Mapping[str, str], apply: str) -> tuple[int, str]:
        if not self.behaviour.aggregates:
            return 501, self._error("NotImplemented", "$apply is not supported")
        found = _APPLY.fullmatch(apply)
        if found is None:
            raise ValueError(f"cannot read {apply!r}")
        wanted = Filter(found["filter"], properties) if found["filter"] else None
        where = f" WHERE {wanted.sql}" if wanted else ""
        sums = dict(part.split(" with sum as ")[::-1] for part in found["sums"].split(",") if part)
        chosen = [found["by"], *sums.values()]
        groups: dict[object, list[list[Decimal]]] = {}
        for value, *numbers in self._select(one.name, chosen, where, wanted.parameters if wanted else []):
            groups.setdefault(value, []).append([Decimal(number or 0) for number in numbers])
        totals = [
            {found["by"]: value, found["rows"]: len(rows)}
            | {name: str(sum(numbers)) for name, numbers in zip(sums, zip(*rows, strict=True), strict=True)}
            for value, rows in groups.items()
        ]
        return 200, self._page(totals, None, {})

    def _delta(self, one: StubSet, properties: Mapping[str, str], options: dict[str, str]) -> tuple[int, str]:
        since = int(options["$deltatoken"])
        if since < self.behaviour.forgets_before:
            return 410, self._error("Gone", "the delta token has expired")
        chosen = [name for name in options.get("$select", "").split(",") if name] or list(properties)
        now = self.position
        changed = dict.fromkeys(key for name, key in self._log[since:now] if name == one.name)
        cap = self.behaviour.page_cap or 2**31
        skip = int(options.get("$skiptoken", 0))
        where = " AND ".join(f'"{part}" = ?' for part in one.key)
        found: list[dict[str, object]] = []
        for key in list(changed)[skip : skip + cap]:
            rows = self._select(one.name, chosen, f" WHERE {where}", list(key))
            found.append(self._entity(one, chosen, rows[0]) if rows else self._tombstone(one, key))
        if skip + cap < len(changed):
            links = {"nextLink": self._link(one.name, {**options, "$skiptoken": str(skip + cap)})}
        else:
            links = {"deltaLink": self._link(one.name, {"$select": ",".join(chosen), "$deltatoken": str(now)})}
        return 200, self._page(found, None, links)

    def _tombstone(self, one: StubSet, key: Sequence[object]) -> dict[str, object]:
        if self.behaviour.tombstones_by_key:
            return {"@removed": {"reason": "deleted"}, **dict(zip(one.key, key, strict=True))}
        parts = [
            "'" + str(part).replace("'", "''") + "'" if one.properties[name] == "Edm.String" else str(part)
            for name, part in zip(one.key, key, strict=True)
        ]
        named = parts if len(parts) == 1 else [f"{n}={p}" for n, p in zip(one.key, parts, strict=True)]
        address = f"{one.name}({','.join(quote(part, safe='=') for part in named)})"
        return {"@odata.context": f"$metadata#{one.name}/$deletedEntity", "id": address, "reason": "deleted"}

    def _select(self, name: str, chosen: Sequence[str], rest: str, parameters: Sequence[object]) -> list[Any]:
        columns = ", ".join(f'"{column}"' for column in chosen)
        with self._lock:
            return self._database.execute(f'SELECT {columns} FROM "{name}"{rest}', parameters).fetchall()

    def _entity(self, one: StubSet, chosen: Sequence[str], row: Sequence[object]) -> dict[str, object]:
        found = {
            name: _json(value, one.properties[name], self.version) for name, value in zip(chosen, row, strict=True)
        }
        return {"__metadata": {"type": f"Shop.{one.name}"}, **found} if self.version == 2 else found

    def _page(self, entities: list[dict[str, object]], count: int | None, links: Mapping[str, str]) -> str:
        if self.version == 2:
            held: dict[str, object] = {"results": entities}
            if count is not None:
                held["__count"] = str(count)
            if "nextLink" in links:
                held["__next"] = links["nextLink"]
            return json.dumps({"d": held})
        document: dict[str, object] = {"@odata.context": "$metadata"}
        if count is not None:
            document["@odata.count"] = count
        return json.dumps(document | {"value": entities} | {f"@odata.{name}": link for name, link in links.items()})

    def _link(self, name: str, options: Mapping[str, str]) -> str:
        query = "&".join(f"{quote(key, safe='$')}={quote(value)}" for key, value in options.items())
        if self.behaviour.relative_links:
            return f"{name}?{query}"
        root = "http://inside.example.invalid:8000/service" if self.behaviour.foreign_links else self.url
        return f"{root}/{name}?{query}"

    def _error(self, code: str, message: str) -> str:
        said: object = {"lang": "en", "value": message} if self.version == 2 else message
        return json.dumps({"error": {"code": code, "message": said}})

    def metadata(self) -> str:
        """In the shape of real ones, in words of our own."""
        types = "".join(self._entity_type(one) for one in self.sets.values())
        sets = "".join(f'<EntitySet Name="{name}" EntityType="Shop.{name}Type"/>' for name in self.sets)
        container = f'<EntityContainer Name="Container">{sets}</EntityContainer>'
        if self.version == 2:
            edmx = "http://schemas.microsoft.com/ado/2007/06/edmx"
            edm, version = "http://schemas.microsoft.com/ado/2008/09/edm", "1.0"
        else:
            edmx, edm, version = (
                "http://docs.oasis-open.org/odata/ns/edmx",
                "http://docs.oasis-open.org/odata/ns/edm",
                "4.0",
            )
        return (
            f'<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="{version}" xmlns:edmx="{edmx}" '
            'xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices>'
            f'<Schema Namespace="Shop" xmlns="{edm}">{types}{container}</Schema></edmx:DataServices></edmx:Edmx>'
        )

    def _entity_type(self, one: StubSet) -> str:
        key = "".join(f'<PropertyRef Name="{name}"/>' for name in one.key)
        properties = "".join(
            f'<Property Name="{name}" Type="{kind}" {one.annotations.get(name, "")}/>'
            for name, kind in one.properties.items()
            if name not in self.behaviour.dropped
        )
        return f'<EntityType Name="{one.name}Type"><Key>{key}</Key>{properties}</EntityType>'


def _stored(value: object) -> object:
    return value if value is None or isinstance(value, int) else str(value)


def _json(value: Any, kind: str, version: int) -> object:
    if value is None or kind in {"Edm.Int32", "Edm.String", "Edm.Guid", "Edm.Time", "Edm.Date", "Edm.TimeOfDay"}:
        return value
    if kind == "Edm.Boolean":
        return bool(value)
    if version == 2 and kind in {"Edm.DateTime", "Edm.DateTimeOffset"}:
        return f"/Date({_milliseconds(value)}{'+0000' if kind == 'Edm.DateTimeOffset' else ''})/"
    return value if kind == "Edm.DateTimeOffset" else str(value)


def _milliseconds(text: str) -> int:
    moment = datetime.fromisoformat(text.rstrip("Z")).replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
