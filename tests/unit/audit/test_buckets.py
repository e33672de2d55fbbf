"""Buckets: cut so that a change costs little, and never called proven when they are not."""

import math
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillwatch.audit.buckets import TARGET_ROWS, bucket_of, changed, oldest, prefix_for, proven
from tillwatch.model.proof import NOTHING, Bucket, Mark

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
NAMES = "abcdef"
mark = st.builds(Mark, rows=st.integers(1, 3), fingerprint=st.integers(0, 2))
marks = st.dictionaries(st.sampled_from(NAMES), mark)
known_buckets = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        Bucket,
        left=mark | st.just(NOTHING),
        right=mark | st.just(NOTHING),
        verified_at=st.sampled_from([NOW - timedelta(hours=hours) for hours in range(1, 4)]),
    ),
)


def test_a_bucket_is_named_by_the_beginning_of_its_keys() -> None:
    assert bucket_of(("店", "礼品😀a"), 5) == "店\x1f礼品😀"
    assert bucket_of(("1",), 5) == "1"


@pytest.mark.parametrize(
    "keys",
    [
        [f"SKU{number:09d}" for number in range(100_000)],
        [f"SO-2026-{number:06d}" for number in range(40_000)] + [f"X{number}" for number in range(60_000)],
        [f"{random.Random(number).getrandbits(64):016x}" for number in range(100_000)],
    ],
    ids=["numbers", "skewed", "random"],
)
def test_a_row_has_few_rows_beside_it_and_not_every_row_a_bucket_of_its_own(keys: list[str]) -> None:
    prefix = prefix_for(random.Random(7).sample(keys, 5_000), len(keys))
    sizes = Counter(key[:prefix] for key in keys)
    beside = sum(count * count for count in sizes.values()) / len(keys)
    # A digit more makes a bucket ten times smaller, so it may be ten times smaller than wished for, not larger.
    assert TARGET_ROWS / 20 < beside < 1.5 * TARGET_ROWS


def test_a_dataset_without_rows_has_buckets_too() -> None:
    assert prefix_for([], 0) == 1
    assert prefix_for(["only"], 1) == 1


@given(known_buckets, marks, marks)
def test_a_bucket_counts_as_unchanged_only_when_both_sides_look_as_when_it_was_proven(
    known: dict[str, Bucket], left: dict[str, Mark], right: dict[str, Mark]
) -> None:
    dirty = changed(known, left, right)
    for name in NAMES:
        here = (left.get(name, NOTHING), right.get(name, NOTHING))
        unchanged = name in known and (known[name].left, known[name].right) == here
        nowhere = name not in known and here == (NOTHING, NOTHING)
        assert (name in dirty) == (not unchanged and not nowhere)


@given(known_buckets, marks, marks, st.sets(st.sampled_from(NAMES)), st.floats(0, 1))
def test_only_what_was_read_or_stands_as_proven_is_proven_after_a_run(
    known: dict[str, Bucket], left: dict[str, Mark], right: dict[str, Mark], differing: set[str], share: float
) -> None:
    dirty = changed(known, left, right)
    read = dirty | oldest(known, known.keys() - dirty, share)
    after = proven(known, left, right, read=read, differing=differing, at=NOW)
    assert not after.keys() & differing
    for name, bucket in after.items():
        assert (bucket.left, bucket.right) == (left.get(name, NOTHING), right.get(name, NOTHING))
        assert bucket.verified_at == (NOW if name in read else known[name].verified_at)
    # The next run, with nothing changed, reads what differed and nothing else.
    assert changed(after, left, right) == differing & (left.keys() | right.keys())


@given(known_buckets, st.floats(0.01, 1))
def test_the_oldest_are_looked_at_first_until_all_were(known: dict[str, Bucket], share: float) -> None:
    left = {name: bucket.left for name, bucket in known.items() if bucket.left.rows}
    right = {name: bucket.right for name, bucket in known.items() if bucket.right.rows}
    known = {name: bucket for name, bucket in known.items() if name in left or name in right}
    runs = 0
    while any(bucket.verified_at < NOW for bucket in known.values()):
        picked = oldest(known, known.keys(), share)
        rest = [known[name].verified_at for name in known.keys() - picked]
        assert all(known[name].verified_at <= moment for name in picked for moment in rest)
        known = proven(known, left, right, read=picked, differing=(), at=NOW)
        runs += 1
        assert runs <= 1 / share + 1


def test_no_share_reads_nothing_again() -> None:
    bucket = Bucket(left=Mark(rows=1, fingerprint=1), right=Mark(rows=1, fingerprint=2), verified_at=NOW)
    assert oldest({"a": bucket}, {"a"}, 0.0) == set()


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3])
def test_in_as_many_runs_as_a_share_goes_into_all_every_bucket_was_looked_at(share: float) -> None:
    chance = random.Random(3)
    sizes = {f"{number:03d}": Mark(rows=chance.choice([1, 5, 200]), fingerprint=0) for number in range(500)}
    known = {name: Bucket(left=size, right=size, verified_at=NOW) for name, size in sizes.items()}
    runs = math.ceil(1 / share)
    for run in range(1, runs + 1):
        assert min(bucket.verified_at for bucket in known.values()) == NOW
        at = NOW + timedelta(hours=run)
        again = oldest(known, known, share)
        assert sum(sizes[name].rows for name in again) <= share * sum(size.rows for size in sizes.values()) + 200
        known = proven(known, sizes, sizes, read=again, differing=(), at=at)
        if all(bucket.verified_at > NOW for bucket in known.values()):
            break
    assert min(bucket.verified_at for bucket in known.values()) > NOW
    assert run > runs * 0.7
