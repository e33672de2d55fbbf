"""One row an order reference, whole at every page size, however many sales carry it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tillwatch.clock import ManualClock
from tillwatch.errors import UsageError
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.tryton import TrytonOptions, TrytonSource, wire
from tillwatch.sources.tryton.options import TrytonDataset
from tillwatch.sources.tryton.orders import domain_of, summed

WRITTEN = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def record(number: int, reference: str, quantity: str = "1", *, state: str = "confirmed") -> dict[str, Any]:
    line = {
        "id": number * 10,
        "type": "line",
        "quantity": Decimal(quantity),
        "write_date": None,
        "create_date": WRITTEN + timedelta(minutes=number),
    }
    return {
        "id": number,
        "reference": reference,
        "state": state,
        "total_amount": Decimal(quantity) * 2,
        "write_date": None,
        "create_date": WRITTEN,
        "lines.": [line],
    }


class Ledger:
    """Answers searches over sales as the ERP does, for the domains a reading uses."""

    def __init__(self, sales: Sequence[dict[str, Any]]) -> None:
        self.sales = sorted(sales, key=lambda sale: (sale["reference"], sale["id"]))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        document = wire.decoded(request.content)
        method, parameters = document["method"].rsplit(".", 1)[-1], document["params"]
        result: object = {"language": "en"}
        if method == "login":
            result = [1, "token", None]
        elif method == "search_count":
            result = len(self._matching(parameters[0]))
        elif method == "search_read":
            result = self._matching(parameters[0])[: parameters[2]]
        return httpx.Response(200, content=json.dumps({"id": 1, "result": result}, default=wire._encode))

    def _matching(self, domain: list[Any]) -> list[dict[str, Any]]:
        clauses = [clause for clause in domain if clause[0] == "reference"]
        tests = {
            ">": lambda value, limit: value > limit,
            "=": lambda value, wanted: value == wanted,
            "in": lambda value, wanted: value in wanted,
            "!=": lambda value, other: value != other,
            "like": lambda value, pattern: value.lower().startswith(pattern.rstrip("%").lower()),
        }
        return [
            sale
            for sale in self.sales
            if all(tests[operator](sale["reference"], value) for _, operator, value in clauses)
        ]


def source_over(sales: Sequence[dict[str, Any]], batch_rows: int) -> TrytonSource:
    options = TrytonOptions.model_validate(
        {
            "url": "http://erp",
            "database": "shop",
            "user": "u",
            "password": "p",
            "requests_per_minute": "60000",
            "datasets": {"orders": {"model": "sale.sale", "reference_prefix": "CY-"}},
        }
    )
    return TrytonSource(
        "erp",
        options,
        clock=ManualClock(),
        breaker=MemoryBreaker(),
        zone=ZoneInfo("UTC"),
        batch_rows=batch_rows,
        transport=httpx.MockTransport(Ledger(sales)),
    )


@settings(max_examples=15, deadline=None)
@given(
    references=st.lists(st.sampled_from([f"CY-{number}" for number in range(6)]), max_size=25),
    batch_rows=st.integers(1, 8),
)
def test_every_reference_is_one_whole_row_at_every_page_size(references: list[str], batch_rows: int) -> None:
    sales = [record(number, reference) for number, reference in enumerate(references, start=1)]
    source = source_over(sales, batch_rows)
    with source.read("orders", ["order_ref", "quantity", "documents"]) as reading:
        rows = [row for batch in reading for row in batch]
        tail = reading.tail
    assert [(row["order_ref"], row["documents"]) for row in rows] == sorted(
        (reference, references.count(reference)) for reference in set(references)
    )
    assert all(row["quantity"] == row["documents"] for row in rows)
    assert (tail.rows, tail.server_count, tail.stable) == (len(rows), len(rows), True)


def test_a_reference_that_only_looks_like_the_prefix_is_left_out() -> None:
    source = source_over([record(1, "CY-1"), record(2, "cy-2")], 10)
    with source.read("orders", ["order_ref"]) as reading:
        assert [row for batch in reading for row in batch] == [{"order_ref": "CY-1"}]


def test_orders_are_found_by_their_reference_only() -> None:
    source = source_over([record(1, "CY-1")], 10)
    with (
        pytest.raises(UsageError, match="'order_ref' only"),
        source.read("orders", keys=[{"state": "draft"}]) as reading,
    ):
        list(reading)


def test_several_sales_of_one_order_are_summed_and_the_latest_change_counts() -> None:
    row = summed("CY-1", [record(1, "CY-1", "1.172"), record(2, "CY-1", "0.5", state="draft")], "total_amount")
    assert row == {
        "order_ref": "CY-1",
        "amount": Decimal("3.344"),
        "quantity": Decimal("1.672"),
        "state": "confirmed+draft",
        "changed_at": WRITTEN + timedelta(minutes=2),
        "documents": 2,
    }


def test_a_prefix_is_taken_literally() -> None:
    dataset = TrytonDataset(model="sale.sale", reference_prefix=r"C_%\-")
    assert domain_of(dataset)[-1] == ["reference", "like", r"C\_\%\\-%"]


def test_the_states_that_count_can_be_named() -> None:
    dataset = TrytonDataset(model="sale.sale", states=("confirmed", "done"))
    assert domain_of(dataset)[0] == ["state", "in", ["confirmed", "done"]]
    assert domain_of(TrytonDataset(model="sale.sale"))[0] == ["state", "!=", "cancelled"]
