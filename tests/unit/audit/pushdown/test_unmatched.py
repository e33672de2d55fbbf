"""Items without an equal are found whatever order both sides come in, and in whatever memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.pushdown.unmatched import Unmatched

ITEMS = st.sets(st.binary(min_size=1, max_size=6), max_size=60)


@given(left=ITEMS, right=ITEMS, seed=st.integers(0, 1000), limit=st.integers(0, 80), size=st.integers(1, 20))
def test_exactly_the_items_of_one_side_are_found(
    left: set[bytes], right: set[bytes], seed: int, limit: int, size: int
) -> None:
    shuffle = random.Random(seed).sample
    sides = {"left": shuffle(sorted(left), len(left)), "right": shuffle(sorted(right), len(right))}
    with Unmatched(limit=limit) as unmatched:
        for start in range(0, 60, size):
            for side, items in sides.items():
                unmatched.add(side, items[start : start + size])
        assert sorted(unmatched.found()) == sorted(left ^ right)


def test_two_sides_in_one_order_need_no_file() -> None:
    items = [b"%d" % number for number in range(1000)]
    with Unmatched(limit=100) as unmatched:
        for start in range(0, 1000, 50):
            unmatched.add("left", items[start : start + 50])
            unmatched.add("right", items[start : start + 50])
        assert not unmatched.spilled
        assert list(unmatched.found()) == []


@pytest.mark.parametrize("limits", [{"limit": 10}, {"limit_bytes": 1000}])
def test_more_than_may_be_held_goes_to_a_file(limits: dict[str, int]) -> None:
    items = [b"item %d" % number for number in range(1000)]
    with Unmatched(**limits) as unmatched:
        unmatched.add("left", items)
        assert unmatched.spilled
        unmatched.add("right", items[:500])
        unmatched.add("right", items[501:])
        assert list(unmatched.found()) == [b"item 500"]
