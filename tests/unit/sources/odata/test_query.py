"""Addresses say exactly what is asked, typed and escaped, and are never too long."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.errors import UsageError
from tillwatch.sources.odata import query
from tillwatch.sources.odata.catalogue import Relation
from tillwatch.sources.odata.edm import Property, Version
from tillwatch.sources.odata.literals import Dialect
from tillwatch.sources.odata.options import ODataDataset

A, B, C = (
    Property(name="A", type="Edm.String"),
    Property(name="B", type="Edm.Int32"),
    Property(name="C", type="Edm.Date"),
)


def relation(version: Version = Version.V4, path: str = "Stock", **columns: Property) -> Relation:
    return Relation(
        name="stock",
        dataset=ODataDataset(set=path, columns={name: kind.name for name, kind in columns.items()} or {"a": "A"}),
        dialect=Dialect(version=version, zone=ZoneInfo("Asia/Shanghai")),
        columns=columns or {"a": A, "b": B},
        key=(A, B),
        narrowed=(),
        conditions=(),
    )


def test_keys_of_several_parts_are_compared_part_by_part() -> None:
    dialect = relation().dialect
    assert query.after(dialect, (A,), ("x",)) == "A gt 'x'"
    assert query.up_to(dialect, (A,), ("x",)) == "A le 'x'"
    assert (
        query.after(dialect, (A, B, A), ("x", 5, "y"))
        == "A gt 'x' or (A eq 'x' and (B gt 5 or (B eq 5 and (A gt 'y'))))"
    )
    assert query.up_to(dialect, (A, B), ("x", 5)) == "A lt 'x' or (A eq 'x' and (B le 5))"


Keys = st.tuples(st.sampled_from("abc"), st.integers(-2, 2))


@given(Keys, Keys, Keys)
def test_between_two_keys_means_what_tuples_mean(
    low: tuple[str, int], high: tuple[str, int], key: tuple[str, int]
) -> None:
    dialect = relation().dialect
    within = query.everywhere(query.after(dialect, (A, B), low), query.up_to(dialect, (A, B), high))
    words = {" eq ": " == ", " gt ": " > ", " lt ": " < ", " le ": " <= "}
    for word, sign in words.items():
        within = within.replace(word, sign)
    # Our own filter, of letters, numbers and brackets, read as Python.
    assert eval(within, {}, {"A": key[0], "B": key[1]}) == (low < key <= high)


def test_what_could_end_a_query_is_escaped() -> None:
    asked = query.address(relation(path="companies(1)/items"), filter="A eq 'x&$top=1#?/%+'", top=5)
    path, _, rest = asked.partition("?")
    assert path == "companies(1)/items"
    assert rest == "$filter=A%20eq%20'x%26$top%3D1%23%3F%2F%25%2B'&$top=5"
    assert "$format=json" in query.address(relation(Version.V2))
    assert "$format" not in query.address(relation(Version.V2), path="/$count")


def test_a_change_field_that_is_a_day_is_compared_by_the_day_of_the_zone() -> None:
    known = relation(changed_at=C)
    assert query.changed_since(known, datetime(2026, 11, 23, 16, 30, tzinfo=UTC)) == "C ge 2026-11-24"


@given(st.lists(st.tuples(st.text(max_size=12), st.integers()), max_size=60))
def test_every_key_is_asked_for_in_filters_that_fit(keys: list[tuple[str, int]]) -> None:
    filters = list(query.key_filters(relation(), [{"a": text, "b": str(number)} for text, number in keys], room=400))
    bare = len(query.address(relation(), filter="x")) - 1
    assert all(len(query.address(relation(), filter=text)) <= bare + 400 for text in filters)
    quoted = ["(A eq '" + text.replace("'", "''") + f"' and B eq {number})" for text, number in keys]
    assert " or ".join(filters) == " or ".join(quoted)
    assert len(filters) >= 2 * len(keys) / query.MAX_COMPARISONS


def test_a_key_that_no_entity_can_have_is_left_out_and_one_too_long_is_refused() -> None:
    assert list(query.key_filters(relation(), [{"a": "x", "b": "no number"}], room=400)) == []
    with pytest.raises(UsageError, match=r"a filter of .* characters; raise max_url_characters"):
        list(query.key_filters(relation(), [{"a": "门" * 80, "b": "1"}], room=400))
