"""Orders reach the real ERP exactly once, whatever is cut off on the way; faults do exactly what they say."""

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.errors import AuthRefused, Cause, SourceRejected, SourceUnavailable
from tillwatch.lab import faults, posting, sync, till, till_db
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.erp import Erp
from tillwatch.lab.faults import OrderFault, OrderFaults
from tillwatch.lab.layout import Lab, Ports
from tillwatch.lab.orders import Line, Order
from tillwatch.lab.sync import Sync
from tillwatch.lab.till_db import TillDb
from tillwatch.lab.tryton_rpc import TrytonRpc

SHOP = SHOPS[0]
NOW = SystemClock().now()


class CutOff(TrytonRpc):
    """Loses the connection right after the server has carried out the call named in `after`."""

    after = ""

    def call(self, model: str, method: str, *arguments: object, context: Any = None) -> Any:
        answer = super().call(model, method, *arguments, context=context)
        if self.after == f"{model}.{method}":
            self.after = ""
            raise SourceUnavailable("the connection broke", cause=Cause.TCP)
        return answer


class Bench:
    """A lab without processes of its own: the test is the till and turns the sync worker by hand."""

    def __init__(self, erp: Erp, root: Path) -> None:
        self.erp = erp
        self.lab = Lab(root=root, ports=Ports(erp=erp.port, inbox=0, server=0, prometheus=0))
        for shop in SHOPS:
            till_db.create(self.lab.till(shop), shop, NOW)
        self.till = TillDb(self.lab.till(SHOP))
        self.rpc = CutOff(erp.url, erp.database)
        self.log: list[str] = []
        self.sync = Sync(self.lab, self.rpc, log=self.log.append)
        self._random = random.Random(5)

    def sell(self, count: int) -> list[Order]:
        return [till.sell_one(SHOP, self.till, self._random, NOW) for _ in range(count)]

    def sales(self) -> dict[str, Decimal]:
        """Confirmed sales of today by reference; a second sale of one reference fails the test."""
        with self.erp.rpc() as rpc:
            rows = rpc.search_read(
                "sale.sale", [["reference", "like", f"{SHOP.prefix}{NOW:%Y}%"]], ["reference", "total_amount", "state"]
            )
        rows = [row for row in rows if row["reference"] not in {order.reference for order in history_of_shop()}]
        assert {row["state"] for row in rows} <= {"confirmed"}
        assert max(Counter(row["reference"] for row in rows).values(), default=1) == 1
        return {row["reference"]: row["total_amount"] for row in rows}


def history_of_shop() -> tuple[Order, ...]:
    return till_db.history(SHOP)


@pytest.fixture
def bench(fresh_erp: Erp, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(fresh_erp, tmp_path / "lab")
    yield made
    made.sync.close()
    made.till.close()


def test_orders_arrive_once_with_their_exact_amounts(bench: Bench) -> None:
    sold = bench.sell(25)
    pushed = [bench.sync.push(SHOP, NOW) for _ in range(3)]
    assert pushed == [20, 5, 0]
    assert bench.sales() == {order.reference: order.total for order in sold}


@pytest.mark.parametrize("after", ["sale.sale.create", "sale.sale.quote", "sale.sale.confirm"])
def test_a_connection_cut_after_any_step_posts_nothing_twice(bench: Bench, after: str) -> None:
    sold = bench.sell(3)
    bench.rpc.after = after
    with pytest.raises(SourceUnavailable):
        bench.sync.push(SHOP, NOW)
    assert len(bench.till.not_synced(10)) == 3
    more = bench.sell(1)
    assert bench.sync.push(SHOP, NOW) == 4
    assert bench.sales() == {order.reference: order.total for order in sold + more}


@pytest.mark.parametrize(
    "after",
    ["stock.shipment.internal.create", "stock.shipment.internal.assign_force", "stock.shipment.internal.do"],
)
def test_sold_goods_leave_the_book_once_whatever_is_cut_off(bench: Bench, after: str) -> None:
    bench.sell(4)
    wanted = bench.till.shelf()
    bench.rpc.after = after
    with pytest.raises(SourceUnavailable):
        bench.sync.book(SHOP, NOW)
    bench.sync.book(SHOP, NOW)
    assert bench.sync.book(SHOP, NOW) == 0
    bench.sync.pull(SHOP, NOW)
    assert bench.till.stock() == wanted == bench.till.shelf()


def test_a_price_changed_in_the_erp_comes_down(bench: Bench) -> None:
    with bench.erp.rpc() as rpc:
        (row,) = rpc.search_read("product.product", [["code", "=", "001234"]], ["template"])
        rpc.call("product.template", "write", [row["template"]], {"list_price": Decimal("34.56")})
    bench.sync.pull(SHOP, NOW)
    assert bench.till.prices()["001234"] == Decimal("34.56")


def test_an_order_the_erp_refuses_does_not_hold_back_the_others(bench: Bench) -> None:
    good = bench.sell(1)
    bad = Order(reference="CY-BAD", till=1, paid_at=NOW, member="", lines=(
        Line(sku="001234", quantity=Decimal("1.23456"), unit_price=Decimal("1")),
    ))  # fmt: skip
    bench.till.sell(bad)
    good += bench.sell(1)
    assert bench.sync.push(SHOP, NOW) == 2
    assert [order.reference for order in bench.till.not_synced(10)] == ["CY-BAD"]
    assert set(bench.sales()) == {order.reference for order in good}
    assert any("refuses CY-BAD" in line for line in bench.log)


def test_faults_spoil_exactly_the_orders_asked_for(bench: Bench) -> None:
    faults.ask(bench.lab.faults, OrderFaults(id="r", shop=SHOP.id, drop=2, wrong_quantity=1))
    sold = bench.sell(5)
    assert bench.sync.push(SHOP, NOW) == 5
    assert bench.till.not_synced(10) == []
    injected = {item.reference: item.kind for item in faults.recorded(bench.lab.injected, "r")}
    assert list(injected.values()) == [OrderFault.DROP, OrderFault.DROP, OrderFault.WRONG_QUANTITY]
    found = bench.sales()
    for order in sold:
        match injected.get(order.reference):
            case OrderFault.DROP:
                assert order.reference not in found
            case OrderFault.WRONG_QUANTITY:
                assert found[order.reference] == posting.with_wrong_quantity(order).total != order.total
            case None:
                assert found[order.reference] == order.total


def test_a_worker_cut_off_during_a_fault_repeats_the_same_fault_on_the_same_order(bench: Bench) -> None:
    faults.ask(bench.lab.faults, OrderFaults(id="r", shop=SHOP.id, drop=1, wrong_quantity=1))
    bench.sell(3)
    bench.rpc.after = "sale.sale.quote"
    with pytest.raises(SourceUnavailable):
        bench.sync.push(SHOP, NOW)
    bench.sync.push(SHOP, NOW)
    assert len(faults.recorded(bench.lab.injected, "r")) == 2
    assert len(bench.sales()) == 2


def test_a_dead_erp_keeps_the_orders_for_later(bench: Bench) -> None:
    sold = bench.sell(2)
    bench.sync.push(SHOP, NOW)
    bench.erp.kill()
    sold += bench.sell(2)
    with pytest.raises(SourceUnavailable):
        bench.sync.push(SHOP, NOW)
    bench.erp.start()
    assert bench.sync.push(SHOP, NOW) == 2
    assert bench.sales() == {order.reference: order.total for order in sold}


@pytest.mark.parametrize(
    "error",
    [
        SourceUnavailable("down", cause=Cause.TCP),
        SourceRejected("no such unit"),
        sqlite3.OperationalError("database is locked"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_worker_lives_through_everything_but_refused_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    answers: list[Exception] = [error, error, AuthRefused("user or password")]

    def turn(_: sync.Rounds) -> None:
        raise answers.pop(0)

    monkeypatch.setattr(sync.Rounds, "round", turn)
    lab = Lab(root=tmp_path, ports=Ports(erp=1, inbox=0, server=0, prometheus=0))
    for shop in SHOPS:
        till_db.create(lab.till(shop), shop, NOW)
    clock, log = ManualClock(), list[str]()
    with pytest.raises(AuthRefused):
        sync.run(lab, clock, log.append)
    assert len(log) == 2
    assert clock.monotonic() == 2 * sync.RETRY_SECONDS
