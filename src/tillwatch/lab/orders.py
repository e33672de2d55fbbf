"""Till orders as the lab makes them: pure functions of a random source, so that a seed gives the same shop day."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tillwatch.lab.catalogue import GRAM, Product, Shop, amount, products

#: The shops' wall clock: order numbers carry the local date.
ZONE = ZoneInfo("Asia/Shanghai")
LINES_MAX = 6
#: Orders each shop took before the demo starts, already in the ERP.
HISTORIC_ORDERS = 60
_HISTORY_FIRST_DAY = datetime(2026, 11, 2, 1, 5, tzinfo=UTC)
_MEMBER_SHARE = 0.35


@dataclass(frozen=True, kw_only=True)
class Line:
    sku: str
    quantity: Decimal
    unit_price: Decimal

    @property
    def amount(self) -> Decimal:
        return amount(self.quantity, self.unit_price)


@dataclass(frozen=True, kw_only=True)
class Order:
    reference: str
    till: int
    paid_at: datetime
    #: Member number, empty for a walk-in.
    member: str
    lines: tuple[Line, ...]

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines), Decimal(0))


def reference(shop: Shop, paid_at: datetime, number: int) -> str:
    """For example `CY-20261124-0007`: unique for the chain, and the ERP's external reference of the sale."""
    return f"{shop.prefix}{paid_at.astimezone(ZONE):%Y%m%d}-{number:04d}"


def members(shop: Shop) -> tuple[tuple[str, str, str], ...]:
    """(number, name, phone) of a shop's members; invented, the phone numbers lie outside every real range."""
    surnames, given = "王李张刘陈杨赵黄周吴", ("伟", "芳", "娜", "秀英", "敏", "静", "丽", "强", "磊", "洋")
    return tuple(
        (f"M{shop.prefix[:2]}{index:04d}", surnames[index % 10] + given[index * 7 % 10], f"10000{index:06d}")
        for index in range(40)
    )


def basket(source: random.Random, stock: Sequence[Product], prices: dict[str, Decimal]) -> tuple[Line, ...]:
    """One to LINES_MAX different products; weighed goods by the gram."""
    chosen = source.sample(stock, source.randint(1, LINES_MAX))
    return tuple(
        Line(
            sku=product.sku,
            quantity=Decimal(source.randint(80, 2600)) * GRAM if product.weighed else Decimal(source.randint(1, 4)),
            unit_price=prices[product.sku],
        )
        for product in chosen
    )


def pick_member(source: random.Random, shop: Shop) -> str:
    return source.choice(members(shop))[0] if source.random() < _MEMBER_SHARE else ""


def history(shop: Shop) -> tuple[Order, ...]:
    """The orders of the days before: the same in the ERP template and in every till database."""
    source = random.Random(f"history {shop.id}")
    catalogue = products()
    prices = {product.sku: product.list_price for product in catalogue}
    orders: list[Order] = []
    numbers: dict[str, int] = {}
    paid_at = _HISTORY_FIRST_DAY
    for _ in range(HISTORIC_ORDERS):
        paid_at += timedelta(minutes=source.randint(20, 95), seconds=source.randint(0, 59))
        if paid_at.astimezone(ZONE).hour >= 22:
            paid_at += timedelta(hours=11)
        day = f"{paid_at.astimezone(ZONE):%Y%m%d}"
        numbers[day] = numbers.get(day, 0) + 1
        orders.append(
            Order(
                reference=reference(shop, paid_at, numbers[day]),
                till=source.randint(1, shop.tills),
                paid_at=paid_at,
                member=pick_member(source, shop),
                lines=basket(source, catalogue, prices),
            )
        )
    return tuple(orders)
