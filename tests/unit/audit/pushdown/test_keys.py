"""What is said of keys without a database."""

import sys
import unicodedata

import pytest

from tillwatch.audit.pushdown.keys import QUIET, KeyPart, below, runs, tree, tree_of, within


def numbers() -> list[KeyPart]:
    return [KeyPart(text="t", compared="k", ranged="k", literal=str, odd="", numeric=True)]


def composed_of() -> set[str]:
    """Characters that can be the second part of a composed one."""
    found = set()
    for code in range(sys.maxunicode + 1):
        parts = unicodedata.decomposition(chr(code))
        if parts and not parts.startswith("<"):
            found.update(chr(int(part, 16)) for part in parts.split()[1:])
    return found


def test_quiet_characters_are_their_own_normal_form_beside_any_other() -> None:
    seconds = composed_of()
    for first, last in QUIET:
        for code in range(ord(first), ord(last) + 1):
            character = chr(code)
            assert unicodedata.normalize("NFC", character) == character, hex(code)
            assert unicodedata.combining(character) == 0, hex(code)
            assert character not in seconds, hex(code)
            assert character.strip() == character, hex(code)


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [([0], [(0, 0)]), ([0, 1, 2], [(0, 2)]), ([1, 3, 4, 9], [(1, 1), (3, 4), (9, 9)])],
)
def test_neighbouring_buckets_are_one_range(buckets: list[int], expected: list[tuple[int, int]]) -> None:
    assert runs(buckets) == expected


def test_the_bucket_of_a_key_is_how_many_boundaries_stand_at_or_before_it() -> None:
    assert tree(numbers(), [(10,), (20,), (30,)], 0) == (
        "CASE WHEN k < 20 THEN CASE WHEN k < 10 THEN 0 ELSE 1 END ELSE CASE WHEN k < 30 THEN 2 ELSE 3 END END"
    )
    assert tree(numbers(), [], 7) == "7"


def test_some_boundaries_number_the_buckets_round_them_as_all_do() -> None:
    assert tree_of(numbers(), [(4, (50,)), (5, (60,)), (9, (100,))], 4) == (
        "CASE WHEN k < 60 THEN CASE WHEN k < 50 THEN 4 ELSE 5 END ELSE CASE WHEN k < 100 THEN 6 ELSE 10 END END"
    )


def test_a_composite_key_is_put_in_order_part_by_part() -> None:
    parts = [*numbers(), KeyPart(text="u", compared="l", ranged="l", literal=repr, odd="")]
    assert below(parts, (5, "b")) == "(k < 5 OR (k = 5 AND l < 'b'))"


def test_a_range_names_the_first_part_so_that_its_index_serves() -> None:
    assert within(numbers(), (1,), (9,)) == "k >= 1 AND k < 9"
    assert within(numbers(), None, None) == ""
    parts = [*numbers(), KeyPart(text="u", compared="l", ranged="l", literal=repr, odd="")]
    assert within(parts, (1, "a"), None) == "k >= 1 AND NOT (k < 1 OR (k = 1 AND l < 'a'))"
