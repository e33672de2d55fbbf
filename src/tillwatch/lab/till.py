"""The tills of one shop: sell baskets until stopped. `python -m tillwatch.lab.till --lab DIR SHOP`."""

import argparse
import random
from datetime import datetime
from pathlib import Path

from tillwatch.clock import Clock, SystemClock
from tillwatch.lab.catalogue import SHOPS, Product, Shop, products
from tillwatch.lab.layout import Lab
from tillwatch.lab.orders import ZONE, Order, basket, pick_member, reference
from tillwatch.lab.till_db import TillDb

#: A product with less on the shelf is not offered; larger than any line of a basket.
SHELF_LEAST = 8


def sell_one(shop: Shop, database: TillDb, source: random.Random, now: datetime) -> Order:
    """Ring up one basket of what is on the shelf, at the till's own prices."""
    shelf, prices = database.shelf(), database.prices()
    offered: list[Product] = [product for product in products() if shelf.get(product.sku, 0) >= SHELF_LEAST]
    prefix = f"{shop.prefix}{now.astimezone(ZONE):%Y%m%d}-"
    order = Order(
        reference=reference(shop, now, database.last_number(prefix) + 1),
        till=source.randint(1, shop.tills),
        paid_at=now,
        member=pick_member(source, shop),
        lines=basket(source, offered, prices),
    )
    database.sell(order)
    return order


def run(lab: Lab, shop: Shop, clock: Clock) -> None:
    """Sell for ever."""
    source = random.Random()
    database = TillDb(lab.till(shop))
    while True:
        order = sell_one(shop, database, source, clock.now())
        print(f"{order.reference} till {order.till}: {len(order.lines)} lines, {order.total} CNY", flush=True)  # noqa: T201 - the process's log
        clock.sleep(source.uniform(0.5, 1.5) * lab.pace.sale_seconds)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tillwatch.lab.till", description=__doc__)
    parser.add_argument("--lab", type=Path, required=True)
    parser.add_argument("shop", choices=[shop.id for shop in SHOPS])
    arguments = parser.parse_args()
    shop = next(shop for shop in SHOPS if shop.id == arguments.shop)
    run(Lab.load(arguments.lab), shop, SystemClock())


if __name__ == "__main__":
    main()
