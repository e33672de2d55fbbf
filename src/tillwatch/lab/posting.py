"""How the sync worker writes to the ERP: every document searched by its reference before it is made."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tillwatch.lab import catalogue
from tillwatch.lab.catalogue import GRAM, Shop
from tillwatch.lab.erp_seed import sale_values
from tillwatch.lab.orders import Line, Order
from tillwatch.lab.tryton_rpc import TrytonRpc

_OPEN_STATES = ("draft", "quotation")
#: State of an internal shipment → the step that leaves it, in order.
_SHIPMENT_STEPS = {"draft": "wait", "waiting": "assign_force", "assigned": "do"}
_SHIPMENT_AFTER = {"wait": "waiting", "assign_force": "assigned", "do": "done"}


@dataclass(frozen=True, kw_only=True)
class Directory:
    """The ERP's ids for what a till order names; read once, they never change in the lab."""

    #: SKU → (product id, unit id).
    products: Mapping[str, tuple[int, int]]
    party: int
    address: int
    company: int
    sold_location: int
    #: Shop id → its stock location.
    locations: Mapping[str, int]


def read_directory(rpc: TrytonRpc) -> Directory:
    (party,) = rpc.search("party.party", [["code", "=", catalogue.WALK_IN_CODE]])
    (address,) = rpc.search("party.address", [["party", "=", party]])
    (company,) = rpc.search("company.company", [])
    (sold,) = rpc.search("stock.location", [["code", "=", catalogue.SOLD_LOCATION]])
    codes = {shop.location: shop.id for shop in catalogue.SHOPS}
    locations = rpc.search_read("stock.location", [["code", "in", list(codes)]], ["code"])
    products = rpc.search_read("product.product", [], ["code", "default_uom"])
    return Directory(
        products={row["code"]: (row["id"], row["default_uom"]) for row in products},
        party=party,
        address=address,
        company=company,
        sold_location=sold,
        locations={codes[row["code"]]: row["id"] for row in locations},
    )


def post_sales(rpc: TrytonRpc, directory: Directory, orders: Sequence[Order]) -> int:
    """Make every order a confirmed sale, once, however often this is called; returns how many were new.

    1. Search the references, because an earlier try may have been cut off after any step.
    2. Create what is not there, then quote and confirm what is not yet confirmed.
    """
    references = [order.reference for order in orders]
    domain = [["reference", "in", references], ["state", "!=", "cancelled"]]
    found = {row["reference"]: row for row in rpc.search_read("sale.sale", domain, ["reference", "state"])}
    new = [
        sale_values(order, directory.party, directory.address, dict(directory.products))
        for order in orders
        if order.reference not in found
    ]
    created = rpc.create("sale.sale", new) if new else []
    drafts = created + [row["id"] for row in found.values() if row["state"] == "draft"]
    if drafts:
        rpc.call("sale.sale", "quote", drafts)
    quoted = created + [row["id"] for row in found.values() if row["state"] in _OPEN_STATES]
    if quoted:
        rpc.call("sale.sale", "confirm", quoted)
    return len(created)


def book_sold(rpc: TrytonRpc, directory: Directory, shop: Shop, reference: str, orders: Sequence[Order]) -> None:
    """Take what `orders` sold out of the shop's stock, once, however often this is called.

    One internal shipment named `reference`, from the shop to where sold goods go: searched first, then carried through
    its states from wherever an earlier try stopped. Forced, because the shelf is right even when the book is not.
    """
    found = rpc.search_read("stock.shipment.internal", [["reference", "=", reference]], ["state"])
    if found:
        shipment, state = found[0]["id"], found[0]["state"]
    else:
        values = _sold_shipment(directory, shop, reference, orders)
        (shipment,), state = rpc.create("stock.shipment.internal", [values]), "draft"
    for before, step in _SHIPMENT_STEPS.items():
        if state == before:
            rpc.call("stock.shipment.internal", step, [shipment])
            state = _SHIPMENT_AFTER[step]


def _sold_shipment(directory: Directory, shop: Shop, reference: str, orders: Sequence[Order]) -> dict[str, object]:
    sold: dict[str, Decimal] = defaultdict(Decimal)
    for order in orders:
        for line in order.lines:
            sold[line.sku] += line.quantity
    ends = {
        "from_location": directory.locations[shop.id],
        "to_location": directory.sold_location,
        "company": directory.company,
    }
    moves = [
        {"product": directory.products[sku][0], "unit": directory.products[sku][1], "quantity": float(quantity)} | ends
        for sku, quantity in sorted(sold.items())
    ]
    return ends | {"reference": reference, "moves": [["create", moves]]}


def read_stock_and_prices(
    rpc: TrytonRpc, directory: Directory, shop: Shop
) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """What the ERP has booked at the shop, and what it sells for."""
    context = {"locations": [directory.locations[shop.id]]}
    rows = rpc.search_read("product.product", [], ["code", "quantity", "list_price_used"], context=context)
    return (
        {row["code"]: Decimal(row["quantity"]).quantize(GRAM) for row in rows},
        {row["code"]: row["list_price_used"].quantize(catalogue.CENT) for row in rows},
    )


def with_wrong_quantity(order: Order) -> Order:
    """The order as a faulty worker posts it: one more of the first line (half a kilogram more of weighed goods)."""
    first, *rest = order.lines
    more = Decimal(1) if first.quantity == first.quantity.to_integral_value() else Decimal("0.5")
    spoiled = Line(sku=first.sku, quantity=first.quantity + more, unit_price=first.unit_price)
    return Order(
        reference=order.reference,
        till=order.till,
        paid_at=order.paid_at,
        member=order.member,
        lines=(spoiled, *rest),
    )
