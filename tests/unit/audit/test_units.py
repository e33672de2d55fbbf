"""Units of a large audit, and how many may look into one database."""

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.units import cut
from tillwatch.audit.workers import Throttle
from tillwatch.model.proof import Mark

sizes = st.dictionaries(st.text("abc", min_size=1, max_size=4), st.integers(1, 40))


def marks(rows: dict[str, int]) -> dict[str, Mark]:
    return {name: Mark(rows=count, fingerprint=0) for name, count in rows.items()}


@given(sizes, sizes, st.integers(1, 100))
def test_units_hold_every_bucket_once_neighbours_together_and_no_more_rows_than_wished(
    left: dict[str, int], right: dict[str, int], rows: int
) -> None:
    names = left.keys() | right.keys()
    pieces = cut(names, marks(left), marks(right), rows=rows)
    assert [name for piece in pieces for name in sorted(piece)] == sorted(names)
    for piece in pieces:
        held = sum(max(left.get(name, 0), right.get(name, 0)) for name in piece)
        assert held <= rows or len(piece) == 1


def test_a_database_answers_two_units_at_a_time_however_many_audits_ask() -> None:
    throttle = Throttle(limit=2)
    assert throttle.take(("erp", "till-1"))
    assert throttle.take(("erp", "till-2"))
    assert not throttle.take(("erp", "till-3"))
    assert throttle.take(("till-3", "till-4"))
    throttle.give_back(("erp", "till-1"))
    assert throttle.take(("erp", "till-3"))


def test_an_audit_of_one_database_with_itself_needs_two_places_in_it() -> None:
    throttle = Throttle(limit=2)
    assert throttle.take(("erp", "erp"))
    assert not throttle.take(("erp", "till"))
    throttle.give_back(("erp", "erp"))
    assert throttle.take(("erp", "till"))
    assert not throttle.take(("erp", "erp"))
    assert not Throttle(limit=1).take(("erp", "erp"))
