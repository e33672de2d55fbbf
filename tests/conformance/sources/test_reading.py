"""What any source owes a reader: complete, unique, exact, and the truth about what is not there."""

from collections.abc import Mapping
from typing import Any

import pytest
from tests.conformance.sources.conftest import ITEMS, Item, Subject

from tillwatch.errors import SchemaMismatch, UsageError
from tillwatch.model.audit import Row
from tillwatch.sources.base import CheckOutcome, Source, Tail


def rows_of(source: Source, dataset: str = "items", *arguments: Any, **more: Any) -> tuple[list[Row], Tail]:
    with source.read(dataset, *arguments, **more) as reading:
        rows = [row for batch in reading for row in batch]
        return rows, reading.tail


def expected(item: Item) -> Mapping[str, object]:
    return {"sku": item.sku, "name": item.name, "note": item.note, "price": item.price}


@pytest.mark.parametrize("batch_rows", [1, 7, 1000])
def test_pages_are_complete_unique_and_bounded(subject: Subject, batch_rows: int) -> None:
    source = subject.open(batch_rows)
    with source.read("items", ["sku"]) as reading:
        batches = [[str(row["sku"]) for row in batch] for batch in reading]
        tail = reading.tail
    source.close()
    skus = [sku for batch in batches for sku in batch]
    assert {item.sku for item in ITEMS} <= set(skus)
    assert len(skus) == len(set(skus))
    assert max(map(len, batches)) <= batch_rows
    assert (tail.rows, tail.server_count, tail.stable) == (len(skus), len(skus), True)
    assert tail.requests >= 1
    assert tail.bytes_read > 0


def test_values_arrive_exactly(opened: Source) -> None:
    found = {row["sku"]: row for row in rows_of(opened)[0]}
    assert [found[item.sku] for item in ITEMS] == [expected(item) for item in ITEMS]
    assert not any(isinstance(value, float) for row in found.values() for value in row.values())


def test_only_the_fields_asked_for_come_back(opened: Source) -> None:
    rows, _ = rows_of(opened, "items", ["price", "sku"])
    assert all(list(row) == ["price", "sku"] for row in rows)


def test_a_key_finds_its_row_and_no_lookalike(opened: Source) -> None:
    keys = [{"sku": sku} for sku in ("0007", "abc-1", "no such", "0007")]
    rows, tail = rows_of(opened, "items", ["sku", "price"], keys=keys)
    assert sorted(str(row["sku"]) for row in rows) == ["0007", "abc-1"]
    assert tail.rows == 2


def test_a_key_of_two_fields_needs_both(opened: Source) -> None:
    keys = [{"sku": "AbC-1", "name": "case"}, {"sku": "0007", "name": "case"}]
    assert [row["sku"] for row in rows_of(opened, "items", ["sku"], keys=keys)[0]] == ["AbC-1"]


def test_keys_may_be_many_more_than_one_statement_takes(opened: Source) -> None:
    keys = [{"sku": f"none-{number}"} for number in range(2500)] + [{"sku": item.sku} for item in ITEMS]
    assert {row["sku"] for row in rows_of(opened, "items", ["sku"], keys=keys)[0]} == {item.sku for item in ITEMS}


def test_no_keys_are_no_rows(opened: Source) -> None:
    assert rows_of(opened, keys=[])[0] == []
    with pytest.raises(UsageError, match="a key"):
        rows_of(opened, keys=[{}])


def test_rows_that_come_in_meanwhile_neither_hide_nor_repeat_others(subject: Subject) -> None:
    source = subject.open(7)
    skus: list[str] = []
    with source.read("items", ["sku"]) as reading:
        for number, batch in enumerate(reading):
            if number == 0:
                subject.insert(Item(sku=f"8-{subject.name}", name="late", note=None, price=ITEMS[0].price))
            skus += [str(row["sku"]) for row in batch]
        assert reading.tail.stable
    source.close()
    assert {item.sku for item in ITEMS} <= set(skus)
    assert len(skus) == len(set(skus))


def test_an_unknown_dataset_or_field_is_named_with_what_exists(opened: Source) -> None:
    with pytest.raises(SchemaMismatch, match="no dataset 'itms'; did you mean 'items'"):
        opened.read("itms")
    with pytest.raises(SchemaMismatch, match="no field 'prize'; did you mean 'price'"):
        rows_of(opened, "items", ["prize"])
    with pytest.raises(SchemaMismatch, match="no field 'skuu'; did you mean 'sku'"):
        rows_of(opened, "items", keys=[{"skuu": "1"}])


def test_a_dataset_that_is_not_there_any_more_says_so(opened: Source) -> None:
    with pytest.raises(SchemaMismatch, match="gone"):
        rows_of(opened, "gone")
    with pytest.raises(SchemaMismatch, match=r"'cod'.*'code'|'sku_cod'.*'sku_code'"):
        rows_of(opened, "moved")


def test_what_changed_cannot_be_asked_of_a_dataset_without_a_change_field(opened: Source, clock: Any) -> None:
    with pytest.raises(UsageError, match="no change field 'changed_at'"):
        rows_of(opened, since=clock.now())


def test_a_tail_is_only_there_after_the_last_row(subject: Subject) -> None:
    source = subject.open(7)
    with source.read("items") as reading:
        next(iter(reading))
        with pytest.raises(UsageError, match="not finished"):
            _ = reading.tail
    reading.close()
    assert rows_of(source)[1].rows >= len(ITEMS)
    source.close()


def test_check_names_the_broken_dataset_and_passes_the_others(opened: Source) -> None:
    outcomes = {check.name: check.outcome for check in opened.check()}
    assert outcomes["dataset:items"] is CheckOutcome.OK
    assert outcomes["dataset:gone"] is CheckOutcome.FAIL
    assert outcomes["dataset:moved"] is CheckOutcome.FAIL


def test_a_source_says_what_it_can_do_and_does_it(opened: Source) -> None:
    assert opened.capabilities.count
    assert opened.capabilities.keys
    assert rows_of(opened)[1].server_count is not None
