"""A run gives signs of life while many rows are sorted, which is a single step of the spill."""

from tillwatch.audit.rows import Encoded
from tillwatch.audit.spill import STEPS_PER_SIGN, Spill
from tillwatch.errors import StoreError

ROWS = 200_000


def filled(spill: Spill) -> None:
    for side in ("left", "right"):
        keys = (str(number * 7919 % ROWS).encode() for number in range(ROWS))
        spill.add(side, [Encoded(key=key, cells=b"[]", context=b"[]", exact=True) for key in keys])


def test_sorting_many_rows_gives_signs_of_life() -> None:
    signs: list[int] = []
    with Spill(alive=lambda: signs.append(1)) as spill:
        filled(spill)
        before = len(signs)
        assert list(spill.unequal()) == []
        assert len(signs) > before, STEPS_PER_SIGN


def test_a_sign_of_life_that_cannot_be_given_does_not_end_the_sorting() -> None:
    def away() -> None:
        raise StoreError("away")

    with Spill(alive=away) as spill:
        filled(spill)
        assert list(spill.unequal()) == []
