"""Which rows a statement looks at: ranges where an index serves them, every row once where none does."""

import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.pushdown.compiled import Compiled
from tillwatch.audit.pushdown.keys import Key, KeyPart
from tillwatch.audit.pushdown.statements import Asker, Postgresql
from tillwatch.sources.sql.session import Session


class _Session:
    source = "keys"


def asker(*, bare: bool, parts: int = 1) -> Asker:
    keys = [
        KeyPart(text=name, compared=name, ranged=name, literal=str, odd=f"{name} IS NULL", numeric=True, bare=bare)
        for name in "ab"[:parts]
    ]
    return Postgresql(cast("Session", _Session()), Compiled(keys=keys, record="a", odd="", native=False))


def where(side: Asker, boundaries: Sequence[Key], buckets: Sequence[int]) -> str:
    return side._where(boundaries, buckets)


BOUNDARIES: list[Key] = [(number,) for number in range(0, 1000, 10)]
SCATTERED = list(range(0, 100, 5))


def test_ranges_are_named_one_by_one_where_an_index_serves_them() -> None:
    assert where(asker(bare=True), BOUNDARIES, SCATTERED).count(" OR ") == len(SCATTERED) - 1


def test_every_row_is_looked_at_once_where_no_index_serves() -> None:
    condition = where(asker(bare=False), BOUNDARIES, SCATTERED)
    assert " OR " not in condition
    assert condition.endswith(f" IN ({', '.join(map(str, SCATTERED))})")
    # By halving: no row is held against more boundaries than that takes.
    assert deepest(condition) <= 6


def test_a_first_column_that_hardly_tells_rows_apart_serves_nothing() -> None:
    few: list[Key] = [(number // 50, number) for number in range(0, 1000, 10)]
    many: list[Key] = [(number, 0) for number in range(0, 1000, 10)]
    assert not asker(bare=True, parts=2).served(few)
    assert asker(bare=True, parts=2).served(many)
    assert asker(bare=True).served([])


def deepest(condition: str) -> int:
    depth = most = 0
    for word in condition.replace("(", " ").split():
        depth += (word == "CASE") - (word == "END")
        most = max(most, depth)
    return most


@given(
    boundaries=st.lists(st.integers(0, 60), unique=True, min_size=1, max_size=25).map(sorted),
    chosen=st.sets(st.integers(0, 25), min_size=1),
    bare=st.booleans(),
)
def test_exactly_the_rows_of_the_buckets_are_found_with_their_numbers(
    boundaries: list[int], chosen: set[int], bare: bool
) -> None:
    keys: list[Key] = [(boundary,) for boundary in boundaries]
    buckets = sorted(bucket for bucket in chosen if bucket <= len(keys)) or [0]
    side = asker(bare=bare)
    table = sqlite3.connect(":memory:")
    table.execute("CREATE TABLE keys (a INTEGER)")
    table.executemany("INSERT INTO keys VALUES (?)", [(number,) for number in range(-3, 65)])
    group = side._bucket(keys, buckets)
    rows = table.execute(f"SELECT a, {group} FROM keys{where(side, keys, buckets)}").fetchall()
    table.close()
    wanted = {number: bisect_right(boundaries, number) for number in range(-3, 65)}
    assert dict(rows) == {number: bucket for number, bucket in wanted.items() if bucket in buckets}
