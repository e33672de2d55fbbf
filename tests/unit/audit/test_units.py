"""Units of a large audit."""

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.units import cut
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
