"""What models and fields this ERP really has: asked once, then remembered, so that a mapping is checked before use."""

import threading
from collections.abc import Mapping
from typing import Any

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch
from tillwatch.sources.tryton.options import SALE_MODEL, STOCK_MODEL, TrytonDataset
from tillwatch.sources.tryton.session import Session

PRODUCT_MODEL = "product.product"
#: Canonical fields of an orders dataset and the ERP's type of each.
ORDER_FIELDS = {
    "order_ref": "char",
    "amount": "numeric",
    "quantity": "numeric",
    "state": "selection",
    "changed_at": "timestamp",
    #: How many sales carry the reference: more than one is a double posting.
    "documents": "integer",
}
_MANY = {"one2many", "many2many"}


class Catalogue:
    """Safe for several threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._models: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        self._locations: dict[str, int] = {}

    def fields(self, model: str) -> Mapping[str, Mapping[str, Any]]:
        """Name: description of every field of `model`. Raises SchemaMismatch when the ERP has no such model."""
        with self._lock:
            if model in self._models:
                return self._models[model]
        try:
            found: Mapping[str, Mapping[str, Any]] = self._session.read(model, "fields_get", None)
        except SchemaMismatch:
            raise SchemaMismatch(
                f"system {self._session.system!r}: the ERP has no model {model!r}; is its module activated?"
            ) from None
        with self._lock:
            return self._models.setdefault(model, found)

    def column_types(self, name: str, dataset: TrytonDataset) -> Mapping[str, str]:
        """Canonical field: the ERP's type. Raises SchemaMismatch naming the fields there are when one is not."""
        if dataset.is_orders:
            self.fields(SALE_MODEL)
            return ORDER_FIELDS
        model = PRODUCT_MODEL if dataset.model == STOCK_MODEL else dataset.model
        return {field: self._type(name, field, model, path) for field, path in dataset.columns.items()}

    def where_types(self, name: str, dataset: TrytonDataset) -> Mapping[str, str]:
        """Field of `where`: the ERP's type. Raises SchemaMismatch like `column_types`."""
        model = PRODUCT_MODEL if dataset.model == STOCK_MODEL else dataset.model
        return {path: self._type(name, f"where {path}", model, path) for path in dataset.where}

    def location(self, code: str) -> int:
        """Id of the stock location with this code. Raises SchemaMismatch naming the codes there are."""
        with self._lock:
            if code in self._locations:
                return self._locations[code]
        rows = self._session.read(
            "stock.location", "search_read", [["code", "!=", None]], 0, 1000, [["code", "ASC"]], ["code"]
        )
        codes = {row["code"]: int(row["id"]) for row in rows if row["code"]}
        if code not in codes:
            raise SchemaMismatch(
                f"system {self._session.system!r} has no stock location with code {code!r}"
                f"{did_you_mean(code, codes, what='it has')}"
            )
        with self._lock:
            self._locations.update(codes)
        return codes[code]

    def _type(self, name: str, field: str, model: str, path: str) -> str:
        where = f"system {self._session.system!r}, dataset {name!r}: field {field!r} is mapped to {path!r}"
        *links, last = path.split(".")
        for link in links:
            model = self._described(where, model, link).get("relation") or ""
            if not model:
                raise SchemaMismatch(f"{where}, but {link!r} is no link to another model")
        kind = str(self._described(where, model, last)["type"])
        if kind in _MANY:
            raise SchemaMismatch(f"{where}, which holds many records; map a field of one value")
        return kind

    def _described(self, where: str, model: str, field: str) -> Mapping[str, Any]:
        known = self.fields(model)
        if field not in known:
            raise SchemaMismatch(
                f"{where}, but model {model!r} has no field {field!r}{did_you_mean(field, known, what='it has')}"
            )
        return known[field]
