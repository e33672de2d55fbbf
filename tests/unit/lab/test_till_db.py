"""A shop's database: exact sums, running numbers, what is not synced, batches of sold goods."""

import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tillwatch.lab import till, till_db
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.orders import HISTORIC_ORDERS, Line, Order, history
from tillwatch.lab.till_db import TillDb

SHOP = SHOPS[0]
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def order(reference: str, *lines: tuple[str, str, str], member: str = "") -> Order:
    made = tuple(Line(sku=sku, quantity=Decimal(quantity), unit_price=Decimal(price)) for sku, quantity, price in lines)
    return Order(reference=reference, till=1, paid_at=NOW, member=member, lines=made)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "shop.db"
    till_db.create(found, SHOP, NOW)
    return found


@pytest.fixture
def shop(path: Path) -> Iterator[TillDb]:
    database = TillDb(path)
    yield database
    database.close()


def totals(path: Path) -> dict[str, tuple[str, str]]:
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT order_ref, total, quantity FROM order_totals").fetchall()
    connection.close()
    return {reference: (total, quantity) for reference, total, quantity in rows}


def test_the_orders_before_the_demo_are_there_and_synced(path: Path, shop: TillDb) -> None:
    assert shop.not_synced(10) == []
    found = totals(path)
    assert len(found) == HISTORIC_ORDERS
    assert {reference: Decimal(total) for reference, (total, _) in found.items()} == {
        item.reference: item.total for item in history(SHOP)
    }


def test_a_sum_of_many_small_decimals_is_exact(path: Path, shop: TillDb) -> None:
    shop.sell(order("CY-20261124-0001", *[(sku, "0.1", "0.70") for sku in list(shop.prices())[:30]]))
    assert totals(path)["CY-20261124-0001"] == ("2.10", "3.000")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(
        st.tuples(st.integers(1, 99_999), st.integers(1, 999_999)),
        min_size=1,
        max_size=12,
    )
)
def test_the_view_says_what_python_says(path: Path, shop: TillDb, lines: list[tuple[int, int]]) -> None:
    skus = list(shop.prices())
    number = shop.last_number("CY-20261124-") + 1
    made = order(
        f"CY-20261124-{number:04d}",
        *[(skus[at], str(Decimal(grams) / 1000), str(Decimal(cents) / 100)) for at, (grams, cents) in enumerate(lines)],
    )
    shop.sell(made)
    total, quantity = totals(path)[made.reference]
    assert Decimal(total) == made.total
    assert Decimal(quantity) == sum(line.quantity for line in made.lines)


def test_an_order_comes_back_as_it_was_sold(shop: TillDb) -> None:
    sold = order("CY-20261124-0001", ("001234", "1.172", "33.09"), ("101911", "2", "76.77"), member="MCY0003")
    shop.sell(sold)
    assert shop.not_synced(10) == [sold]
    shop.mark_synced([sold.reference], NOW)
    assert shop.not_synced(10) == []


def test_selling_the_same_reference_twice_is_refused_and_leaves_nothing(shop: TillDb) -> None:
    shop.sell(order("CY-20261124-0001", ("001234", "1", "1.00")))
    with pytest.raises(sqlite3.IntegrityError):
        shop.sell(order("CY-20261124-0001", ("001241", "1", "1.00")))
    assert [len(item.lines) for item in shop.not_synced(10)] == [1]


def test_numbers_run_on_per_day(shop: TillDb) -> None:
    source = random.Random(7)
    first = till.sell_one(SHOP, shop, source, NOW)
    second = till.sell_one(SHOP, shop, source, NOW)
    tomorrow = till.sell_one(SHOP, shop, source, datetime(2026, 11, 24, 16, 30, tzinfo=UTC))
    references = [first.reference, second.reference, tomorrow.reference]
    assert references == ["CY-20261124-0001", "CY-20261124-0002", "CY-20261125-0001"]


def test_what_was_sold_leaves_the_shelf_at_once_and_the_book_only_when_the_erp_says_so(shop: TillDb) -> None:
    before = shop.stock()["001234"]
    shop.sell(order("CY-20261124-0001", ("001234", "1.5", "33.09")))
    assert shop.stock()["001234"] == before
    assert shop.shelf()["001234"] == before - Decimal("1.5")
    (booking,) = shop.open_bookings()
    assert shop.shelf()["001234"] == before - Decimal("1.5")
    assert [item.reference for item in shop.booked_orders(booking)] == ["CY-20261124-0001"]
    shop.close_booking(booking, NOW)
    shop.take_over({"001234": before - Decimal("1.5")}, {}, NOW)
    assert shop.shelf()["001234"] == before - Decimal("1.5")
    assert shop.open_bookings() == []


def test_a_batch_cut_off_keeps_its_orders_and_later_ones_get_their_own(shop: TillDb) -> None:
    shop.sell(order("CY-20261124-0001", ("001234", "1", "1.00")))
    (first,) = shop.open_bookings()
    shop.sell(order("CY-20261124-0002", ("001234", "1", "1.00")))
    assert shop.open_bookings()[0] == first
    by_batch = [[item.reference for item in shop.booked_orders(batch)] for batch in shop.open_bookings()]
    assert by_batch == [["CY-20261124-0001"], ["CY-20261124-0002"]]


def test_only_changed_rows_are_taken_over(shop: TillDb) -> None:
    stock, prices = shop.stock(), shop.prices()
    assert shop.take_over(stock, prices, NOW) == (0, 0)
    assert shop.take_over(stock | {"001234": Decimal("1.250")}, prices | {"001241": Decimal("9.99")}, NOW) == (1, 1)
    assert shop.stock()["001234"] == Decimal("1.25")
    assert shop.prices()["001241"] == Decimal("9.99")


def test_a_missing_database_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"create it with lab\.till_db\.create"):
        TillDb(tmp_path / "none.db")


def test_a_mistyped_price_spoils_no_total_and_is_corrected_once(path: Path, shop: TillDb) -> None:
    waiting = shop.open_bookings()
    shop.sell(order("CY-20261124-0001", ("001234", "1", "1.00")))
    before = {reference: totals(path)[reference] for reference in totals(path)}
    spoiled = shop.mistype(2)
    assert len(spoiled) == 2
    assert waiting == []
    assert "CY-20261124-0001" not in spoiled, "the ERP does not have it yet"
    assert set(shop.mistyped()) == set(spoiled)
    assert totals(path) == before
    assert shop.correct() == sorted(spoiled)
    assert shop.mistyped() == {}
    assert shop.correct() == []


def test_a_price_is_never_mistyped_twice(shop: TillDb) -> None:
    first, second = shop.mistype(2), shop.mistype(2)
    assert len({*first, *second}) == 4
    assert shop.correct() == sorted([*first, *second])
    assert shop.mistyped() == {}


def test_with_too_few_orders_to_spoil_none_is_spoiled(shop: TillDb) -> None:
    assert shop.mistype(HISTORIC_ORDERS + 1) == []
    assert shop.mistyped() == {}
