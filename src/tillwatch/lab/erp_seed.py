"""Fills a fresh Tryton database through its own RPC: company, users, products, stock, and the sales of the days before.

1. Currency and company; the administrator works in that company.
2. Kilograms to the gram, confirmed sales stay confirmed (no accounting in the lab).
3. The user the integrations log in as, and the walk-in customer.
4. Products, shop locations, opening stock through done stock moves.
5. Historic sales, quoted and confirmed.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TypeVar

from tillwatch.lab import catalogue
from tillwatch.lab.orders import ZONE, Order, history
from tillwatch.lab.tryton_rpc import TrytonRpc

#: More new records in one save make python-sql recurse too deep.
BATCH_ROWS = 50
#: Groups of the integration user: what reading stock, counting it and replaying sales needs, and nothing of accounting.
GROUPS = (
    "Product Administration",
    "Party Administration",
    "Stock",
    "Stock Administration",
    "Stock Force Assignment",
    "Sales",
    "Sales Administrator",
)
#: Confirmed sales would be processed after this; longer than any lab lives.
PROCESS_SALES_AFTER = timedelta(days=36_500)
WAREHOUSE_STOCK_FACTOR = 10

Progress = Callable[[str], None]
_T = TypeVar("_T")


def seed(rpc: TrytonRpc, *, user: str, password: str, progress: Progress) -> None:
    """Fill the database behind `rpc`, which is logged in as the administrator. Raises what the RPC raises."""
    progress("ERP template: company and users")
    company = _company(rpc)
    _settings(rpc)
    _integration_user(rpc, user, password, company)
    party, address = _walk_in_customer(rpc)
    progress("ERP template: products")
    identifiers = _products(rpc)
    progress("ERP template: opening stock")
    _stock(rpc, company, identifiers)
    progress("ERP template: historic sales")
    for shop in catalogue.SHOPS:
        _sales(rpc, party, address, identifiers, history(shop))


def batches(rows: Sequence[_T], size: int = BATCH_ROWS) -> Iterator[Sequence[_T]]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _company(rpc: TrytonRpc) -> int:
    (currency,) = rpc.create(
        "currency.currency",
        [
            {
                "name": "人民币",
                "code": catalogue.CURRENCY_CODE,
                "numeric_code": "156",
                "symbol": "¥",
                "digits": 2,
                "rounding": catalogue.CENT,
            }
        ],
    )
    (party,) = rpc.create("party.party", [{"name": "示例连锁"}])
    (company,) = rpc.create("company.company", [{"party": party, "currency": currency, "timezone": str(ZONE)}])
    (administrator,) = rpc.search("res.user", [["login", "=", "admin"]])
    rpc.call("res.user", "write", [administrator], {"companies": [["add", [company]]], "company": company})
    rpc.refresh_context()
    return company


def _settings(rpc: TrytonRpc) -> None:
    kilogram = rpc.search("product.uom", [["symbol", "=", "kg"]])
    rpc.call("product.uom", "write", kilogram, {"digits": 3, "rounding": catalogue.GRAM})
    configuration = rpc.search("sale.configuration", [])
    rpc.call("sale.configuration", "write", configuration, {"sale_process_after": PROCESS_SALES_AFTER})


def _integration_user(rpc: TrytonRpc, user: str, password: str, company: int) -> None:
    groups = rpc.search("res.group", [["name", "in", list(GROUPS)]])
    rpc.create(
        "res.user",
        [
            {
                "name": "Tillwatch",
                "login": user,
                "password": password,
                "groups": [["add", groups]],
                "companies": [["add", [company]]],
                "company": company,
            }
        ],
    )


def _walk_in_customer(rpc: TrytonRpc) -> tuple[int, int]:
    (party,) = rpc.create(
        "party.party",
        [
            {
                "name": catalogue.WALK_IN_CUSTOMER,
                "code": catalogue.WALK_IN_CODE,
                "addresses": [["create", [{"street": "门店收银台"}]]],
            }
        ],
    )
    (address,) = rpc.search("party.address", [["party", "=", party]])
    return party, address


def _products(rpc: TrytonRpc) -> dict[str, tuple[int, int]]:
    """Create all products; returns SKU → (product id, unit id)."""
    units = {row["symbol"]: row["id"] for row in rpc.search_read("product.uom", [], ["symbol"])}
    catalogue_rows = catalogue.products()
    for batch in batches(catalogue_rows):
        rpc.create(
            "product.template",
            [
                {
                    "name": product.name,
                    "type": "goods",
                    "default_uom": units[product.unit],
                    "sale_uom": units[product.unit],
                    "salable": True,
                    "list_price": product.list_price,
                    "products": [["create", [{"suffix_code": product.sku, "cost_price": product.cost_price}]]],
                }
                for product in batch
            ],
        )
    by_code = {row["code"]: row["id"] for row in rpc.search_read("product.product", [], ["code"])}
    return {product.sku: (by_code[product.sku], units[product.unit]) for product in catalogue_rows}


def _stock(rpc: TrytonRpc, company: int, identifiers: dict[str, tuple[int, int]]) -> None:
    (warehouse,) = rpc.search_read("stock.location", [["type", "=", "warehouse"]], ["storage_location"])
    (origin,) = rpc.search("stock.location", [["type", "=", "lost_found"]])
    storage = warehouse["storage_location"]
    targets = rpc.create(
        "stock.location",
        [{"name": shop.name, "code": shop.location, "type": "storage", "parent": storage} for shop in catalogue.SHOPS],
    )
    rpc.create("stock.location", [{"name": "门店销售", "code": catalogue.SOLD_LOCATION, "type": "lost_found"}])
    moves: list[dict[str, object]] = []
    for product in catalogue.products():
        identifier, unit = identifiers[product.sku]
        quantities = [catalogue.opening_stock(shop, product) for shop in catalogue.SHOPS]
        at_warehouse = sum(quantities, Decimal(0)) * WAREHOUSE_STOCK_FACTOR
        for target, quantity in zip([*targets, storage], [*quantities, at_warehouse], strict=True):
            if quantity:
                moves.append(
                    {
                        "product": identifier,
                        "unit": unit,
                        "quantity": float(quantity),
                        "from_location": origin,
                        "to_location": target,
                        "company": company,
                    }
                )
    for batch in batches(moves):
        rpc.call("stock.move", "do", rpc.create("stock.move", batch))


def _sales(
    rpc: TrytonRpc, party: int, address: int, identifiers: dict[str, tuple[int, int]], orders: Sequence[Order]
) -> None:
    for batch in batches(orders):
        created = rpc.create("sale.sale", [sale_values(order, party, address, identifiers) for order in batch])
        rpc.call("sale.sale", "quote", created)
        rpc.call("sale.sale", "confirm", created)


def sale_values(order: Order, party: int, address: int, identifiers: dict[str, tuple[int, int]]) -> dict[str, object]:
    """The values of one new sale. Tryton keeps quantities as floats, rounded to the unit's digits."""
    return {
        "party": party,
        "invoice_address": address,
        "shipment_address": address,
        "reference": order.reference,
        "sale_date": order.paid_at.astimezone(ZONE).date(),
        "lines": [
            [
                "create",
                [
                    {
                        "type": "line",
                        "product": identifiers[line.sku][0],
                        "unit": identifiers[line.sku][1],
                        "quantity": float(line.quantity),
                        "unit_price": line.unit_price,
                    }
                    for line in order.lines
                ],
            ]
        ],
    }
