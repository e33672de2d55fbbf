"""The demo chain's goods and orders are the same in every run, and as awkward as real ones."""

from decimal import Decimal

import pytest

from tillwatch.lab import catalogue, orders


def test_skus_barcodes_and_names_are_unique() -> None:
    goods = catalogue.products()
    assert len(goods) > 250
    for field in ("sku", "barcode", "name"):
        assert len({getattr(product, field) for product in goods}) == len(goods), field


def test_most_skus_begin_with_zero_and_all_have_six_digits() -> None:
    skus = [product.sku for product in catalogue.products()]
    assert skus[0] == "001234"
    assert all(len(sku) == 6 and sku.isdigit() for sku in skus)
    assert sum(sku.startswith("0") for sku in skus) > len(skus) * 0.9


def test_two_calls_agree() -> None:
    assert catalogue.products() == catalogue.products()
    assert [orders.history(shop) for shop in catalogue.SHOPS] == [orders.history(shop) for shop in catalogue.SHOPS]


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [("0.5", "0.25", "0.12"), ("0.5", "0.27", "0.14"), ("1.172", "71.71", "84.04"), ("3", "19.99", "59.97")],
)
def test_a_line_rounds_half_to_even_like_the_erp(quantity: str, price: str, expected: str) -> None:
    assert catalogue.amount(Decimal(quantity), Decimal(price)) == Decimal(expected)


def test_order_references_are_unique_and_carry_the_local_date() -> None:
    found = [order for shop in catalogue.SHOPS for order in orders.history(shop)]
    assert len({order.reference for order in found}) == orders.HISTORIC_ORDERS * len(catalogue.SHOPS)
    for order in found:
        assert order.reference[3:11] == f"{order.paid_at.astimezone(orders.ZONE):%Y%m%d}"


def test_a_shop_has_members_and_some_buy() -> None:
    for shop in catalogue.SHOPS:
        numbers = {number for number, _, _ in orders.members(shop)}
        buyers = {order.member for order in orders.history(shop)} - {""}
        assert buyers
        assert buyers <= numbers
