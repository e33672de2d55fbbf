"""Readings of records and of stock: pages by id, so that rows inserted meanwhile neither shift nor repeat a page."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch, UsageError
from tillwatch.model.audit import Row, Value
from tillwatch.sources.base import Reading, Tail
from tillwatch.sources.tryton.catalogue import PRODUCT_MODEL, Catalogue
from tillwatch.sources.tryton.options import STOCK_MODEL, TrytonDataset
from tillwatch.sources.tryton.session import Meter, Session

#: Keys asked for in one call: the ERP builds one SQL IN of them.
KEYS_PER_CALL = 500

Domain = list[Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of a dataset."""

    name: str
    dataset: TrytonDataset
    fields: Sequence[str] | None
    since: datetime | None
    keys: Sequence[Mapping[str, str]] | None
    batch_rows: int


@dataclass
class Progress:
    """The numbers a reading gathers on its way."""

    rows: int = 0
    #: Records of the ERP behind the rows; more than rows when several make one row.
    records: int = 0
    #: The ERP's own count of those records before and after the reading; None when it was not asked.
    counts: list[int] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)

    def tail(self) -> Tail:
        """Stable when the records we saw lie between the ERP's counts before and after: inserts explain no more."""
        stable = not self.counts or min(self.counts) <= self.records <= max(self.counts)
        quiet = bool(self.counts) and min(self.counts) == max(self.counts)
        return Tail(
            rows=self.rows,
            # While the count itself moves there is no number to compare with.
            server_count=self.rows + self.counts[0] - self.records if quiet else None,
            stable=stable,
            bytes_read=self.meter.bytes_read,
            requests=self.meter.requests,
        )


def chosen(session: Session, request: Request, known: Mapping[str, object]) -> list[str]:
    """The canonical fields of this reading. Raises SchemaMismatch naming what exists."""
    names = list(known) if request.fields is None else list(request.fields)
    for name in [*names, *(name for key in request.keys or () for name in key)]:
        if name not in known:
            raise SchemaMismatch(
                f"system {session.system!r}, dataset {request.name!r} has no field {name!r}"
                f"{did_you_mean(name, known, what='it has')}"
            )
    return names


def distinct(keys: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """Without repeats, in their order. Raises UsageError for a key that names no field."""
    if not all(keys):
        raise UsageError("a key must name at least one field")
    return list({tuple(sorted(key.items())): key for key in keys}.values())


def records(session: Session, catalogue: Catalogue, request: Request) -> Reading:
    """Records of a model, or quantities in a location. Nothing is asked before the first batch is."""
    progress = Progress()
    batches = _batches(session, catalogue, request, progress)
    return Reading(batches, progress.tail, batches.close)


def _batches(
    session: Session, catalogue: Catalogue, request: Request, progress: Progress
) -> Generator[list[Row], None, None]:
    dataset = request.dataset
    types = catalogue.column_types(request.name, dataset)
    names = chosen(session, request, types)
    model, domain, context = _selection(catalogue, request.name, dataset)
    if request.since is not None:
        domain.append(_changed_since(session, request, types))
    paths = {name: dataset.columns[name] for name in names}
    if request.keys is None:
        progress.counts.append(session.read(model, "search_count", domain, meter=progress.meter))
        yield from _pages(session, request, progress, model, domain, context, paths)
        progress.counts.append(session.read(model, "search_count", domain, meter=progress.meter))
        return
    keys = distinct(request.keys)
    for start in range(0, len(keys), KEYS_PER_CALL):
        wanted = key_domain(keys[start : start + KEYS_PER_CALL], dataset.columns, types)
        if wanted is not None:
            yield from _pages(session, request, progress, model, [*domain, wanted], context, paths)


def first_record(session: Session, catalogue: Catalogue, name: str, dataset: TrytonDataset) -> None:
    """Read one record, any. Raises what reading raises."""
    model, domain, context = _selection(catalogue, name, dataset)
    fields = sorted(set(dataset.columns.values()))
    session.read(model, "search_read", domain, 0, 1, [["id", "DESC"]], fields, context=context)


def _selection(catalogue: Catalogue, name: str, dataset: TrytonDataset) -> tuple[str, Domain, Mapping[str, object]]:
    """Model, domain and context of a dataset."""
    domain: Domain = [
        [path, "=", typed(dataset.where[path], kind)] for path, kind in catalogue.where_types(name, dataset).items()
    ]
    if dataset.model != STOCK_MODEL:
        return dataset.model, domain, {}
    return PRODUCT_MODEL, [["type", "=", "goods"], *domain], {"locations": [catalogue.location(dataset.location)]}


def _pages(
    session: Session,
    request: Request,
    progress: Progress,
    model: str,
    domain: Domain,
    context: Mapping[str, object],
    paths: Mapping[str, str],
) -> Generator[list[Row], None, None]:
    last = 0
    while True:
        page = session.read(
            model,
            "search_read",
            [*domain, ["id", ">", last]],
            0,
            request.batch_rows,
            [["id", "ASC"]],
            sorted({"id", *paths.values()}),
            context=context,
            meter=progress.meter,
        )
        rows: list[Row] = [{name: followed(record, path) for name, path in paths.items()} for record in page]
        progress.rows += len(rows)
        progress.records += len(rows)
        yield rows
        if len(page) < request.batch_rows:
            return
        last = page[-1]["id"]


def _changed_since(session: Session, request: Request, types: Mapping[str, str]) -> Domain:
    name = request.dataset.change_field
    path = request.dataset.columns.get(name, "")
    if not path:
        raise UsageError(
            f"system {session.system!r}, dataset {request.name!r} has no change field {name!r}, so nobody can ask for "
            f"what changed; map it in 'columns' or name another{did_you_mean(name, types, what='it has')}"
        )
    if path == "write_date":
        # A record that was never changed has no write date, only a creation date.
        created = [["write_date", "=", None], ["create_date", ">=", request.since]]
        return ["OR", ["write_date", ">=", request.since], created]
    return [path, ">=", request.since]


def key_domain(
    keys: Sequence[Mapping[str, str]], columns: Mapping[str, str], types: Mapping[str, str]
) -> Domain | None:
    """Records that equal one of `keys`; None when no key can be a value of its column's type."""
    by_shape: dict[tuple[str, ...], list[list[object]]] = {}
    for key in keys:
        names = tuple(sorted(key))
        values = [typed(key[name], types[name]) for name in names]
        if None not in values:
            by_shape.setdefault(names, []).append(values)
    clauses: list[Domain] = []
    for names, rows in by_shape.items():
        if len(names) == 1:
            clauses.append([columns[names[0]], "in", [values[0] for values in rows]])
        else:
            clauses.extend(
                [[columns[name], "=", value] for name, value in zip(names, row, strict=True)] for row in rows
            )
    return ["OR", *clauses] if clauses else None


def typed(text: str, kind: str) -> object | None:
    """A key's text as the ERP's type; None when it is no such value, so no record can have it."""
    try:
        match kind:
            case "integer" | "many2one":
                return int(text)
            case "numeric":
                return Decimal(text)
            case "float":
                return float(text)
            case "date":
                return date.fromisoformat(text)
            case "boolean":
                return {"true": True, "false": False}.get(text.lower())
            case _:
                return text
    except (ValueError, InvalidOperation):
        return None


def followed(record: Mapping[str, Any], path: str) -> Value:
    """The value at a dotted path; None behind a link that is empty."""
    *links, last = path.split(".")
    for link in links:
        target = record.get(f"{link}.")
        if target is None:
            return None
        record = target
    value: Value = record[last]
    return value
