"""Who and what a new sale names: customer, products, units, warehouse. Looked up when planning: a plan can say no."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tillwatch.sources.documents import OrderDocument, Precondition
from tillwatch.sources.tryton.catalogue import PRODUCT_MODEL
from tillwatch.sources.tryton.options import TrytonOptions
from tillwatch.sources.tryton.session import Session


@dataclass(frozen=True, kw_only=True)
class Product:
    id: int
    unit: int


@dataclass(frozen=True, kw_only=True)
class Partners:
    """Everything `create` needs beside the document itself. Only complete when `preconditions` all hold."""

    party: int = 0
    address: int = 0
    #: None = the ERP's default warehouse.
    warehouse: int | None = None
    products: Mapping[str, Product]
    sale_date: date | None = None
    preconditions: tuple[Precondition, ...]


class PartnerLookup:
    def __init__(self, session: Session, options: TrytonOptions, *, zone: ZoneInfo) -> None:
        self._session = session
        self._options = options
        self._zone = zone

    def products(self, skus: Iterable[str]) -> tuple[dict[str, Product], Precondition]:
        """The active, salable products with these codes, and whether every code names exactly one."""
        wanted = sorted(set(skus))
        rows = self._search(PRODUCT_MODEL, [["code", "in", wanted], ["salable", "=", True]], ["code", "default_uom"])
        found: dict[str, list[Product]] = {}
        for row in rows:
            found.setdefault(row["code"], []).append(Product(id=row["id"], unit=row["default_uom"]))
        wrong = [sku for sku in wanted if len(found.get(sku, ())) != 1]
        names = ", ".join(wrong)
        condition = Precondition(
            name="products",
            ok=not wrong,
            message={
                "en": f"every product must be salable in the ERP exactly once; not so: {names}"
                if wrong
                else "products found",
                "zh": f"每个商品在 ERP 中必须有且只有一个可销售记录；不满足：{names}" if wrong else "商品均已找到",
            },
        )
        return {sku: products[0] for sku, products in found.items()}, condition

    def for_new(self, document: OrderDocument) -> Partners:
        products, products_there = self.products(line.sku for line in document.lines)
        party, address, customer_there = self._customer()
        warehouse, warehouse_there = self._warehouse(document.location)
        return Partners(
            party=party,
            address=address,
            warehouse=warehouse,
            products=products,
            sale_date=self._sale_date(document.ordered_at),
            preconditions=(products_there, customer_there, warehouse_there),
        )

    def _customer(self) -> tuple[int, int, Precondition]:
        code = self._options.customer
        rows = self._search("party.party", [["code", "=", code]], ["addresses"]) if code else []
        address = next((row["addresses"][0] for row in rows if row["addresses"]), 0)
        ok = len(rows) == 1 and bool(address)
        condition = Precondition(
            name="customer",
            ok=ok,
            message={
                "en": f"customer {code!r}"
                if ok
                else f"no party with code {code!r} and an address; set 'customer' of system {self._session.system!r}",
                "zh": f"客户 {code!r}"
                if ok
                else f"没有编码为 {code!r} 且带地址的客户；请设置系统 {self._session.system!r} 的 customer",
            },
        )
        return (rows[0]["id"], address, condition) if ok else (0, 0, condition)

    def _warehouse(self, location: str) -> tuple[int | None, Precondition]:
        """The warehouse a location belongs to, or the ERP's default when the document names none."""
        if not location:
            return None, Precondition(name="warehouse", ok=True, message={"en": "default warehouse", "zh": "默认仓库"})
        for row in self._search("stock.location", [["type", "=", "warehouse"]], ["code"]):
            inside = [["code", "=", location], ["parent", "child_of", [row["id"]], "parent"]]
            if row["code"] == location or self._search("stock.location", inside, ["code"]):
                message = {"en": f"location {location!r}", "zh": f"库位 {location!r}"}
                return row["id"], Precondition(name="warehouse", ok=True, message=message)
        return None, Precondition(
            name="warehouse",
            ok=False,
            message={
                "en": f"no warehouse of the ERP holds a location with code {location!r}",
                "zh": f"ERP 的任何仓库都没有编码为 {location!r} 的库位",
            },
        )

    def _sale_date(self, ordered_at: datetime | None) -> date | None:
        """The calendar day in the ERP company's own zone; the chain's when the company has none."""
        if ordered_at is None:
            return None
        zone = self._options.timezone or self._company_zone() or self._zone
        return ordered_at.astimezone(zone).date()

    def _company_zone(self) -> ZoneInfo | None:
        company = self._session.company()
        if company is None:
            return None
        name = self._session.read("company.company", "read", [company], ["timezone"])[0]["timezone"]
        try:
            return ZoneInfo(name) if name else None
        except ZoneInfoNotFoundError:
            return None

    def _search(self, model: str, domain: list[Any], fields: list[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._session.read(model, "search_read", domain, 0, None, [["id", "ASC"]], fields)
        return found
