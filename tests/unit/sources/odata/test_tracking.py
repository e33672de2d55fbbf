"""What changed since a delta link was given, told by the audit's key; and the rows of a part of the keys."""

from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

import pytest
from tests.support.odata import ODataStub, StubSet

from tillwatch.clock import SystemClock
from tillwatch.model.audit import Value
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.changes import KEY_SEPARATOR, Slices, Tracked, TrackLost
from tillwatch.sources.odata import ODataOptions, ODataSource
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.literals import Dialect
from tillwatch.sources.odata.tracking import address_key

DIALECT = Dialect(version=Version.V4, zone=ZoneInfo("UTC"))
SKU = (Property(name="sku", type="Edm.String"),)
LINE = (Property(name="no", type="Edm.String"), Property(name="line", type="Edm.Int32"))
GUID = (Property(name="id", type="Edm.Guid"),)
ITEMS = StubSet(name="Items", key=("id",), properties={"id": "Edm.Int32", "sku": "Edm.String", "shop": "Edm.String"})
FIELDS = ["id", "sku", "shop"]


@pytest.mark.parametrize(
    ("key", "address", "values"),
    [
        (SKU, "Items('0007')", {"sku": "0007"}),
        (SKU, "https://erp/x/Items('a%2Fb''c')", {"sku": "a/b'c"}),
        (SKU, "https://erp/x/Items('a/b(c),d=e')", {"sku": "a/b(c),d=e"}),
        (SKU, "Items(sku='1')", {"sku": "1"}),
        (LINE, "Lines(no='S,1',line=5)", {"no": "S,1", "line": 5}),
        (LINE, "Lines(line=5,no='1')", {"no": "1", "line": 5}),
        (LINE, "Lines(no='1')", {}),
        (LINE, "Lines(no='1',line=x)", {}),
        (LINE, "Lines(other='1',line=5)", {}),
        (GUID, "0f8fad5b-d9cb-469f-a165-70867728950e", {"id": "0f8fad5b-d9cb-469f-a165-70867728950e"}),
        (
            GUID,
            "https://erp/x/items(0f8fad5b-d9cb-469f-a165-70867728950e)",
            {"id": "0f8fad5b-d9cb-469f-a165-70867728950e"},
        ),
        (GUID, "", {}),
    ],
)
def test_the_key_in_an_address_is_found_or_nothing_is(
    key: tuple[Property, ...], address: str, values: dict[str, Value]
) -> None:
    assert address_key(DIALECT, key, address) == values


@pytest.fixture
def service() -> Iterator[ODataStub]:
    stub = ODataStub(ITEMS, version=4)
    stub.put(
        "Items", *({"id": number, "sku": f"s{number:02d}", "shop": "a" if number % 2 else "b"} for number in range(20))
    )
    stub.behaviour.page_cap = 7
    with stub.running():
        yield stub


@pytest.fixture
def source(service: ODataStub) -> Iterator[ODataSource]:
    columns = {name: name for name in FIELDS}
    options = ODataOptions.model_validate(
        {
            "url": service.url,
            "requests_per_minute": 60_000,
            "datasets": {
                "items": {"set": "Items", "columns": columns, "track_changes": True},
                "others": {"set": "Items", "columns": columns, "where": {"shop": "a"}, "track_changes": True},
            },
        }
    )
    opened = ODataSource("erp", options, clock=SystemClock(), breaker=MemoryBreaker())
    yield opened
    opened.close()


def token_of(source: ODataSource) -> str:
    with source.read("items", FIELDS) as reading:
        assert sum(len(batch) for batch in reading) == 20
        return reading.tail.token


def test_a_tracked_reading_during_which_the_set_shrank_is_no_evidence(service: ODataStub, source: ODataSource) -> None:
    with source.read("items", FIELDS) as reading:
        for number, _ in enumerate(reading):
            if number == 0:
                service.remove("Items", 0)
        assert (reading.tail.rows, reading.tail.stable) == (19, False)


def changes(source: ODataSource, token: str, key: str = "id", limit: int = 100) -> Tracked:
    return source.changes_since("items", FIELDS, [key], token, limit=limit)


def test_added_changed_and_removed_are_named_over_several_pages(service: ODataStub, source: ODataSource) -> None:
    token = token_of(source)
    service.put("Items", *({"id": number, "sku": "new", "shop": "a"} for number in range(15, 25)))
    service.remove("Items", 3)
    told = changes(source, token)
    assert {key["id"] for key in told.keys} == {*range(15, 25), 3}
    assert (told.removed, told.unnamed, told.more, told.rows) == (1, 0, False, 24)
    assert changes(source, told.token).keys == ()


def test_a_key_that_is_not_the_sets_own_may_change_without_a_word_so_it_is_not_tracked(source: ODataSource) -> None:
    token = token_of(source)
    with pytest.raises(TrackLost, match="changed rows are named by id, which is not what they are matched by"):
        changes(source, token, "sku")


def test_more_changes_than_wanted_are_not_read_to_the_end(service: ODataStub, source: ODataSource) -> None:
    token = token_of(source)
    service.put("Items", *({"id": number, "sku": "x", "shop": "a"} for number in range(20)))
    assert changes(source, token, limit=5).more


@pytest.mark.parametrize("token", ["", "{}", "[]", '{"of": "x", "link": "Items"}'])
def test_a_token_of_something_else_is_lost(source: ODataSource, token: str) -> None:
    with pytest.raises(TrackLost):
        changes(source, token)


def test_a_token_is_for_the_dataset_and_fields_it_was_given_for(source: ODataSource) -> None:
    token = token_of(source)
    for dataset, fields in (("others", FIELDS), ("items", ["id"])):
        with pytest.raises(TrackLost, match="declared differently"):
            source.changes_since(dataset, fields, ["id"], token, limit=9)


def test_a_token_the_service_forgot_or_refuses_is_lost(service: ODataStub, source: ODataSource) -> None:
    token = token_of(source)
    service.put("Items", {"id": 5, "sku": "x", "shop": "a"})
    service.behaviour.forgets_before = service.position
    with pytest.raises(TrackLost, match="not known any more"):
        changes(source, token)
    with pytest.raises(TrackLost, match="refused"):
        changes(source, token.replace("deltatoken=", "deltatoken=x"))


def test_the_rows_of_buckets_are_found_by_the_beginning_of_their_keys(source: ODataSource) -> None:
    slices = Slices(key=("shop", "sku"), prefix=4, buckets=frozenset({f"a{KEY_SEPARATOR}s0", f"b{KEY_SEPARATOR}s1"}))
    with source.read_slices("items", ["sku"], slices) as reading:
        rows = [row for batch in reading for row in batch]
        assert reading.tail.stable
    wanted = [f"s{n:02d}" for n in range(20) if (n % 2 and n < 10) or (not n % 2 and n >= 10)]
    assert sorted(str(row["sku"]) for row in rows) == wanted
    assert all(list(row) == ["sku"] for row in rows)
    assert source.cuts("items", ["shop", "sku"])
    assert not source.cuts("items", ["id"])


def sliced(source: ODataSource, key: tuple[str, ...], prefix: int, buckets: Iterable[str]) -> list[str]:
    slices = Slices(key=key, prefix=prefix, buckets=frozenset(buckets))
    with source.read_slices("items", FIELDS, slices) as reading:
        rows = [row for batch in reading for row in batch]
        assert reading.tail.stable
        assert reading.tail.rows == len(rows)
    return sorted("/".join(str(row[name]) for name in key) for row in rows)


def test_a_key_shorter_than_the_names_of_buckets_brings_no_row_of_another_bucket(
    service: ODataStub, source: ODataSource
) -> None:
    there = [str(number) for number in range(1, 300)]
    service.put("Items", *({"id": 1000 + int(sku), "sku": sku, "shop": "a"} for sku in there))
    assert sliced(source, ("sku",), 2, {sku[:2] for sku in there}) == sorted(there)
    asked = [path for path in service.requests if "eq '2' " in path]
    assert asked
    assert not any("eq '28'" in path or "startswith(sku,'28')" in path for path in asked)


def test_a_service_blind_to_case_gives_every_row_once(service: ODataStub, source: ODataSource) -> None:
    service.behaviour.case_blind = True
    service.put("Items", *({"id": 100 + n, "sku": sku, "shop": "a"} for n, sku in enumerate(("AB1", "ab1", "Ab1"))))
    # Enough between them that the two are asked for at different addresses.
    between = {f"M{number}" for number in range(10)} | {f"N{number}" for number in range(10)}
    assert sliced(source, ("sku",), 2, {"AB", "ab"} | between) == ["AB1", "ab1"]
    assert not any("'AB'" in path and "'ab'" in path for path in service.requests)


def test_the_bucket_of_an_empty_key_is_asked_for_as_any_other(service: ODataStub, source: ODataSource) -> None:
    service.put("Items", {"id": 100, "sku": "", "shop": "a"}, {"id": 101, "sku": "", "shop": ""})
    service.put("Items", {"id": 102, "sku": "s99", "shop": ""})
    assert sliced(source, ("sku",), 2, {""}) == ["", ""]
    both = ("shop", "sku")
    assert sliced(source, both, 3, {KEY_SEPARATOR}) == ["/"]
    assert sliced(source, both, 3, {f"a{KEY_SEPARATOR}", f"{KEY_SEPARATOR}s9"}) == ["/s99", "a/"]
    assert sliced(source, both, 1, {KEY_SEPARATOR}) == ["/", "/s99"]


def test_slices_that_the_service_counts_differently_are_no_evidence(service: ODataStub, source: ODataSource) -> None:
    service.behaviour.count_off_by = 1
    with source.read_slices("items", ["sku"], Slices(key=("sku",), prefix=2, buckets=frozenset({"s0"}))) as reading:
        assert sum(len(batch) for batch in reading) == 10
        assert not reading.tail.stable
