"""The real ERP of the lab holds what the catalogue says, and confirmed sales stay confirmed."""

from decimal import Decimal

import pytest

from tillwatch.errors import AuthRefused, Cause, SourceRejected, SourceUnavailable
from tillwatch.lab import catalogue, orders
from tillwatch.lab import erp as lab_erp
from tillwatch.lab.erp import Erp
from tillwatch.lab.tryton_rpc import TrytonRpc


def test_skus_keep_their_leading_zeros_and_names_their_characters(erp: Erp) -> None:
    with erp.rpc() as rpc:
        rows = rpc.search_read("product.product", [], ["code", "name", "list_price_used"])
    by_code = {row["code"]: row for row in rows}
    for product in catalogue.products():
        assert by_code[product.sku]["name"] == product.name
        assert by_code[product.sku]["list_price_used"] == product.list_price
    assert "001234" in by_code


@pytest.mark.parametrize("shop", catalogue.SHOPS, ids=lambda shop: shop.id)
def test_a_shop_location_holds_its_opening_stock_to_the_gram(erp: Erp, shop: catalogue.Shop) -> None:
    with erp.rpc() as rpc:
        (location,) = rpc.search("stock.location", [["code", "=", shop.location]])
        rows = rpc.search_read("product.product", [], ["code", "quantity"], context={"locations": [location]})
    assert {row["code"]: Decimal(row["quantity"]) for row in rows} == {
        product.sku: catalogue.opening_stock(shop, product) for product in catalogue.products()
    }


@pytest.mark.parametrize("shop", catalogue.SHOPS, ids=lambda shop: shop.id)
def test_historic_sales_are_confirmed_with_exactly_the_tills_amounts(erp: Erp, shop: catalogue.Shop) -> None:
    wanted = {order.reference: order.total for order in orders.history(shop)}
    with erp.rpc() as rpc:
        rows = rpc.search_read("sale.sale", [["reference", "in", list(wanted)]], ["reference", "total_amount", "state"])
    assert {row["reference"]: row["total_amount"] for row in rows} == wanted
    assert {row["state"] for row in rows} == {"confirmed"}


def test_an_error_inside_a_200_is_an_error(erp: Erp) -> None:
    with erp.rpc() as rpc, pytest.raises(SourceRejected, match="no_such_field"):
        rpc.search_read("sale.sale", [], ["no_such_field"])


def test_a_wrong_password_is_refused(erp: Erp) -> None:
    with TrytonRpc(erp.url, erp.database) as rpc, pytest.raises(AuthRefused, match="401"):
        rpc.login("somebody-else", "wrong")


def test_a_killed_erp_is_a_network_failure_and_comes_back_with_its_data(fresh_erp: Erp) -> None:
    first = fresh_erp.start()
    assert fresh_erp.kill()
    assert not fresh_erp.running
    with pytest.raises(SourceUnavailable) as caught, TrytonRpc(fresh_erp.url, fresh_erp.database) as rpc:
        rpc.login(fresh_erp.user, fresh_erp.password)
    assert caught.value.cause is Cause.TCP
    assert fresh_erp.start() != first
    with fresh_erp.rpc() as rpc:
        assert len(rpc.search("sale.sale", [])) == orders.HISTORIC_ORDERS * len(catalogue.SHOPS)


def test_the_template_is_built_once(erp: Erp) -> None:
    assert erp.running
    said: list[str] = []
    lab_erp.template(said.append)
    assert said == []
