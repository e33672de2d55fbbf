"""An orders dataset: one row an order reference, summed over the sales that carry it and are not cancelled.

Pages are by reference, not by id, so that all sales of one reference meet in one row within bounded memory.
"""

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from tillwatch.errors import UsageError
from tillwatch.model.audit import Row, Value
from tillwatch.sources.base import Reading
from tillwatch.sources.tryton.catalogue import ORDER_FIELDS
from tillwatch.sources.tryton.options import SALE_MODEL, TrytonDataset
from tillwatch.sources.tryton.reading import KEYS_PER_CALL, Domain, Progress, Request, chosen, distinct
from tillwatch.sources.tryton.session import Session

_ORDER = [["reference", "ASC"], ["id", "ASC"]]


def orders(session: Session, request: Request) -> Reading:
    """Nothing is asked before the first batch is."""
    progress = Progress()
    batches = _Orders(session, request, progress).batches()
    return Reading(batches, progress.tail, batches.close)


def first_order(session: Session, dataset: TrytonDataset) -> None:
    """Read one sale, any. Raises what reading raises."""
    fields = ["reference", "state", dataset.amount, "lines.quantity", "lines.type"]
    session.read(SALE_MODEL, "search_read", domain_of(dataset), 0, 1, [["id", "DESC"]], fields)


def domain_of(dataset: TrytonDataset) -> Domain:
    """Sales of the dataset that count. The ERP's LIKE may ignore case, so what comes back is filtered once more."""
    state = ["state", "in", list(dataset.states)] if dataset.states else ["state", "!=", "cancelled"]
    if not dataset.reference_prefix:
        return [state, ["reference", "!=", None]]
    escaped = dataset.reference_prefix.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return [state, ["reference", "like", f"{escaped}%"]]


class _Orders:
    def __init__(self, session: Session, request: Request, progress: Progress) -> None:
        self._session = session
        self._request = request
        self._progress = progress
        self._domain = domain_of(request.dataset)
        self._names = chosen(session, request, ORDER_FIELDS)
        fields = {"reference", "state", "write_date", "create_date", request.dataset.amount}
        if {"quantity", "changed_at"} & set(self._names):
            fields |= {"lines.quantity", "lines.type", "lines.write_date", "lines.create_date"}
        self._fields = sorted(fields)

    def batches(self) -> Generator[list[Row], None, None]:
        if self._request.keys is not None:
            yield from self._by_key(self._request.keys)
        elif self._request.since is not None:
            yield from self._changed(self._request.since)
        else:
            self._count()
            yield from self._all()
            self._count()

    def _all(self) -> Generator[list[Row], None, None]:
        size = self._request.batch_rows
        last: str | None = None
        while True:
            after = [] if last is None else [["reference", ">", last]]
            page = self._sales([*self._domain, *after], limit=size)
            complete = len(page) < size
            if not complete:
                # The last reference of a full page may go on behind it: leave it to the next page, whole.
                cut = page[-1]["reference"]
                whole = [sale for sale in page if sale["reference"] != cut]
                page = whole or self._sales([*self._domain, ["reference", "=", cut]])
            if page:
                last = page[-1]["reference"]
                yield self._rows(page)
            if complete:
                return

    def _changed(self, since: datetime) -> Generator[list[Row], None, None]:
        """Which references changed, page by page; then all sales of those, changed or not, because they are summed."""
        later = [
            "OR",
            ["write_date", ">=", since],
            [["write_date", "=", None], ["create_date", ">=", since]],
            ["lines.write_date", ">=", since],
            ["lines.create_date", ">=", since],
        ]
        size = self._request.batch_rows
        last: str | None = None
        while True:
            after = [] if last is None else [["reference", ">", last]]
            changed = self._sales([*self._domain, later, *after], limit=size, fields=["reference"])
            if changed:
                last = changed[-1]["reference"]
                references = list(dict.fromkeys(sale["reference"] for sale in changed))
                yield self._rows(self._sales([*self._domain, ["reference", "in", references]]))
            if len(changed) < size:
                return

    def _by_key(self, keys: Sequence[Mapping[str, str]]) -> Generator[list[Row], None, None]:
        wanted = distinct(keys)
        if any(set(key) != {"order_ref"} for key in wanted):
            raise UsageError(
                f"system {self._session.system!r}, dataset {self._request.name!r}: orders are found by 'order_ref' only"
            )
        references = [key["order_ref"] for key in wanted]
        for start in range(0, len(references), KEYS_PER_CALL):
            some = references[start : start + KEYS_PER_CALL]
            rows = self._rows(self._sales([*self._domain, ["reference", "in", some]]))
            for first in range(0, len(rows), self._request.batch_rows):
                yield rows[first : first + self._request.batch_rows]

    def _sales(
        self, domain: Domain, *, limit: int | None = None, fields: Sequence[str] | None = None
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.read(
            SALE_MODEL,
            "search_read",
            domain,
            0,
            limit,
            _ORDER,
            list(fields or self._fields),
            meter=self._progress.meter,
        )
        return found

    def _count(self) -> None:
        count = self._session.read(SALE_MODEL, "search_count", self._domain, meter=self._progress.meter)
        self._progress.counts.append(count)

    def _rows(self, sales: Sequence[Mapping[str, Any]]) -> list[Row]:
        self._progress.records += len(sales)
        prefix = self._request.dataset.reference_prefix
        rows: list[Row] = []
        for reference, group in groupby(sales, key=lambda sale: str(sale["reference"])):
            if reference.startswith(prefix):
                whole = summed(reference, list(group), self._request.dataset.amount)
                rows.append({name: whole[name] for name in self._names})
        self._progress.rows += len(rows)
        return rows


def summed(reference: str, sales: Sequence[Mapping[str, Any]], amount: str) -> dict[str, Value]:
    """One row of all sales with one reference."""
    lines = [line for sale in sales for line in sale.get("lines.") or () if line["type"] == "line"]
    marks = [record["write_date"] or record["create_date"] for record in (*sales, *lines)]
    return {
        "order_ref": reference,
        "amount": sum((sale[amount] or Decimal(0) for sale in sales), Decimal(0)),
        "quantity": sum((Decimal(line["quantity"] or 0) for line in lines), Decimal(0)),
        "state": "+".join(sorted({sale["state"] for sale in sales})),
        "changed_at": max(marks),
        "documents": len(sales),
    }
