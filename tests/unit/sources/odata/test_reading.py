"""Reading sets from a service that pages, throttles, fails, lies and changes: complete and exact, or said to be not.

The service is a stub of ours (`tests.support.odata`) behind a real socket.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.support.odata import ODataStub, StubSet

from tillwatch.clock import SystemClock
from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceRejected, SourceUnavailable
from tillwatch.model.audit import Row
from tillwatch.sources.base import MemoryBreaker, Tail
from tillwatch.sources.odata import ODataOptions, ODataSource

NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
ITEMS = StubSet(
    name="Items",
    key=("sku",),
    properties={"sku": "Edm.String", "price": "Edm.Decimal", "changed": "Edm.DateTimeOffset", "id": "Edm.Int64"},
)
STOCK = StubSet(
    name="Stock",
    key=("plant", "batch", "line"),
    properties={"plant": "Edm.String", "batch": "Edm.String", "line": "Edm.Int32", "quantity": "Edm.Decimal"},
)
BY_GUID = StubSet(name="Docs", key=("id",), properties={"id": "Edm.Guid", "no": "Edm.String"})


def item(number: int) -> dict[str, object]:
    moment = (NINE + timedelta(seconds=number)).replace(tzinfo=None).isoformat() + "Z"
    return {"sku": f"O'{number:05d}", "price": f"{Decimal(number) / 100:f}", "changed": moment, "id": number}


@pytest.fixture(params=[2, 4], ids=["v2", "v4"])
def service(request: pytest.FixtureRequest) -> Iterator[ODataStub]:
    stub = ODataStub(ITEMS, STOCK, BY_GUID, version=request.param)
    stub.put("Items", *map(item, range(500)))
    with stub.running():
        yield stub


@contextmanager
def opened(
    stub: ODataStub, paging: str = "auto", breaker: MemoryBreaker | None = None, **more: object
) -> Iterator[ODataSource]:
    columns = {"sku": "sku", "price": "price", "changed_at": "changed"}
    options = ODataOptions.model_validate(
        {
            "url": stub.url,
            "requests_per_minute": 60_000,
            "page_rows": 40,
            "datasets": {
                "items": {"set": "Items", "columns": columns, "paging": paging},
                "inline": {"set": "Items", "columns": columns, "count": "inline"},
                "cheap": {"set": "Items", "columns": columns, "where": {"sku": "O'00007"}},
                "stock": {
                    "set": "Stock",
                    "columns": {"plant": "plant", "batch": "batch", "line": "line", "quantity": "quantity"},
                },
                "docs": {"set": "Docs", "columns": {"no": "no"}},
            },
            **more,
        }
    )
    source = ODataSource("erp", options, clock=SystemClock(), breaker=breaker or MemoryBreaker())
    try:
        yield source
    finally:
        source.close()


def rows_of(source: ODataSource, dataset: str = "items", *arguments: Any, **more: Any) -> tuple[list[Row], Tail]:
    with source.read(dataset, *arguments, **more) as reading:
        return [row for batch in reading for row in batch], reading.tail


def skus(count: int) -> list[str]:
    return [f"O'{number:05d}" for number in range(count)]


@pytest.mark.parametrize("paging", ["keyset", "link"])
@pytest.mark.parametrize(("page_cap", "silent_cap"), [(0, 0), (7, 0), (0, 7)], ids=["whole", "links", "silent"])
def test_rows_are_complete_and_in_order_however_the_service_cuts_pages(
    service: ODataStub, paging: str, page_cap: int, silent_cap: int
) -> None:
    service.behaviour.page_cap, service.behaviour.silent_cap = page_cap, silent_cap
    with opened(service, paging) as source:
        rows, tail = rows_of(source)
    if paging == "link" and silent_cap:
        # Nothing says that there is more, but the count does.
        assert (tail.rows, tail.server_count, tail.stable) == (7, 500, False)
        return
    assert [row["sku"] for row in rows] == skus(500)
    assert rows[7] == {"sku": "O'00007", "price": Decimal("0.07"), "changed_at": NINE + timedelta(seconds=7)}
    assert (tail.rows, tail.server_count, tail.stable) == (500, 500, True)


def test_ranges_are_read_several_at_once_but_never_more_than_allowed(service: ODataStub) -> None:
    service.behaviour.latency_seconds = 0.01
    with opened(service, connections=3) as source:
        assert rows_of(source)[1].rows == 500
    assert service.most_at_once_seen == 3


def test_one_connection_asks_one_thing_at_a_time(service: ODataStub) -> None:
    with opened(service, connections=1) as source:
        assert rows_of(source)[1].rows == 500
    assert service.most_at_once_seen == 1
    assert not any("$skip" in path for path in service.requests)


def test_a_service_that_cannot_skip_is_read_in_one_range(service: ODataStub) -> None:
    service.behaviour.refuses_skip = True
    with opened(service) as source:
        assert [row["sku"] for row in rows_of(source)[0]] == skus(500)


def test_a_throttling_service_is_asked_less_and_loses_nothing(service: ODataStub) -> None:
    service.behaviour.most_at_once, service.behaviour.latency_seconds = 2, 0.005
    with opened(service, connections=8, page_rows=10) as source:
        rows, tail = rows_of(source)
    assert [row["sku"] for row in rows] == skus(500)
    assert tail.stable
    # Without adaption three quarters of all requests would be refused.
    assert 0 < service.throttled < len(service.requests) / 4


def test_a_pause_the_service_asks_for_that_is_too_long_is_left_to_the_next_run(service: ODataStub) -> None:
    service.behaviour.broken, service.behaviour.broken_status = 1000, 429
    with opened(service) as source, pytest.raises(SourceUnavailable) as failure:
        source._session._http._budget.hold(60)
        rows_of(source)
    assert failure.value.cause is Cause.THROTTLE
    assert failure.value.retry_after_seconds == pytest.approx(60, abs=1)


def test_a_short_failure_is_bridged_and_a_long_one_is_told_with_the_words_of_the_service(service: ODataStub) -> None:
    with opened(service) as source:
        service.behaviour.broken = 1
        assert rows_of(source)[1].rows == 500
        service.behaviour.broken = 1000
        with pytest.raises(SourceUnavailable, match=r"HTTP 500: .*dump in the back end"):
            rows_of(source)


def test_a_count_that_does_not_fit_the_rows_is_handed_on(service: ODataStub) -> None:
    service.behaviour.count_off_by = 3
    with opened(service) as source:
        for dataset in ("items", "inline"):
            tail = rows_of(source, dataset)[1]
            assert (tail.rows, tail.server_count, tail.stable) == (500, 503, False)


def test_rows_that_come_in_meanwhile_are_no_doubt_as_long_as_the_counts_explain_them(service: ODataStub) -> None:
    with opened(service, connections=1) as source, source.read("items") as reading:
        for number, _ in enumerate(reading):
            if number == 0:
                service.put("Items", item(600), item(601))
        assert (reading.tail.rows, reading.tail.server_count, reading.tail.stable) == (502, None, True)


def test_links_that_are_offsets_lose_a_row_when_another_goes_so_counts_that_differ_are_no_evidence(
    service: ODataStub,
) -> None:
    service.behaviour.page_cap = 100
    with opened(service, "link") as source:
        with source.read("items") as reading:
            found = []
            for batch in reading:
                if not found:
                    service.remove("Items", "O'00000")
                found += [row["sku"] for row in batch]
        # The one that went had been read already: another one is not there.
        assert "O'00000" in found
        assert (len(found), reading.tail.stable) == (499, False)
        rows, tail = rows_of(source)
    assert [row["sku"] for row in rows] == skus(500)[1:]
    assert (tail.server_count, tail.stable) == (499, True)


def test_a_service_that_does_not_filter_is_found_out(service: ODataStub) -> None:
    service.behaviour.ignores_filter = True
    with (
        opened(service) as source,
        pytest.raises(SourceRejected, match="does not filter as asked; write 'paging: link'"),
    ):
        rows_of(source)
    with opened(service, "link") as source:
        assert rows_of(source)[1].rows == 500


def test_a_property_that_goes_away_in_the_middle_ends_the_reading(service: ODataStub) -> None:
    with opened(service, connections=1) as source, source.read("items") as reading:
        batches = iter(reading)
        next(batches)
        service.behaviour.dropped.add("price")
        with pytest.raises(SourceRejected, match="price"):
            list(batches)


@pytest.mark.parametrize("links", ["relative_links", "foreign_links"])
def test_links_that_are_relative_or_name_the_service_as_it_knows_itself_stay_on_the_server_asked(
    service: ODataStub, links: str
) -> None:
    service.behaviour.page_cap = 100
    setattr(service.behaviour, links, True)
    with opened(service, "link") as source:
        assert [row["sku"] for row in rows_of(source)[0]] == skus(500)


def test_keys_of_several_parts_page_part_by_part_and_may_be_empty(service: ODataStub) -> None:
    there = [
        (plant, batch, line) for plant in ("", "1000", "20'0") for batch in ("", "A", "门") for line in range(-2, 5)
    ]
    service.put("Stock", *({"plant": p, "batch": b, "line": n, "quantity": "1.0"} for p, b, n in there))
    with opened(service, page_rows=4) as source:
        rows, tail = rows_of(source, "stock")
        found = [(row["plant"], row["batch"], row["line"]) for row in rows]
        assert (found, tail.stable) == (sorted(there), True)
        wanted = [{"plant": "", "batch": "", "line": "-2"}, {"plant": "20'0", "batch": "门", "line": "4"}]
        never = [{"plant": "", "batch": "", "line": "x"}]
        assert len(rows_of(source, "stock", ["quantity"], keys=wanted + never)[0]) == 2


def test_guids_are_not_compared_but_followed(service: ODataStub) -> None:
    service.put("Docs", *({"id": f"00000000-0000-0000-0000-{n:012x}", "no": str(n)} for n in range(20)))
    service.behaviour.page_cap = 6
    with opened(service) as source:
        assert [row["no"] for row in rows_of(source, "docs")[0]] == [str(n) for n in range(20)]
    assert not any("gt" in path for path in service.requests if "Docs" in path)


def test_a_service_blind_to_case_gives_a_row_asked_for_in_two_spellings_once(service: ODataStub) -> None:
    service.behaviour.case_blind = True
    service.put("Items", {**item(600), "sku": "AB"})
    # Enough between them that the two are asked for at different addresses.
    asked = ["AB", *skus(30), "ab"]
    with opened(service) as source:
        rows, tail = rows_of(source, "items", ["sku"], keys=[{"sku": sku} for sku in asked])
    assert sorted(str(row["sku"]) for row in rows) == ["AB", *skus(30)]
    assert tail.rows == 31


def test_no_address_is_longer_than_the_server_takes(service: ODataStub) -> None:
    with opened(service, max_url_characters=500) as source:
        rows, tail = rows_of(source, "items", ["sku"], keys=[{"sku": sku} for sku in skus(300)])
    assert len(rows) == tail.rows == 300
    assert max(map(len, service.requests)) <= 500


def test_what_changed_since_is_asked_of_the_service(service: ODataStub) -> None:
    with opened(service) as source:
        rows, tail = rows_of(source, "items", ["sku"], since=NINE + timedelta(seconds=490))
        assert [row["sku"] for row in rows] == skus(500)[490:]
        assert tail.server_count == 10
        assert rows_of(source, "cheap")[0][0]["sku"] == "O'00007"


def test_a_value_of_another_type_than_declared_ends_the_reading_with_its_name(service: ODataStub) -> None:
    service.put("Items", {**item(3), "price": "n/a"})
    with (
        opened(service) as source,
        pytest.raises(SourceError, match=r"price is 'n/a', which is no Edm\.Decimal") as failure,
    ):
        rows_of(source)
    assert failure.value.cause is Cause.DATA


def test_no_answer_of_a_service_is_taken_for_rows(service: ODataStub) -> None:
    with opened(service, url=service.url + "/nowhere") as source, pytest.raises(SchemaMismatch, match="check 'url'"):
        rows_of(source)


def test_a_token_is_fetched_once_replaced_when_refused_and_a_wrong_secret_is_sent_once(service: ODataStub) -> None:
    service.behaviour.token, service.behaviour.password = "t1", "right"
    way = {"token_url": service.url + "/oauth/token", "client_id": "tillwatch"}
    with opened(service, **way, client_secret="right") as source:
        assert rows_of(source)[1].rows == 500
        service.behaviour.token = "t2"
        assert rows_of(source)[1].rows == 500
    assert sum("oauth" in path for path in service.requests) == 2
    refused = service.refused
    with opened(service, **way, client_secret="wr0ng") as source:
        for _ in range(3):
            with pytest.raises(AuthRefused) as failure:
                rows_of(source)
            assert "wr0ng" not in str(failure.value)
    assert service.refused == refused + 1


def test_a_bearer_token_goes_along(service: ODataStub) -> None:
    service.behaviour.token = "right"
    with opened(service, token="right") as source:
        assert rows_of(source)[1].rows == 500
    with opened(service) as source, pytest.raises(AuthRefused, match="asks for credentials"):
        rows_of(source)


def test_parameters_go_with_every_request_also_with_links(service: ODataStub) -> None:
    service.behaviour.page_cap = 100
    with opened(service, "link", parameters={"sap-client": "100"}) as source:
        assert rows_of(source)[1].rows == 500
    assert all("sap-client=100" in path for path in service.requests)
