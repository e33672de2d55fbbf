"""Which rows stand together in a bucket, and which buckets must be read again. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from tillwatch.model.proof import NOTHING, Bucket, Mark
from tillwatch.sources.changes import key_text

#: Rows in the bucket an average row stands in: few, because one change makes all of them be read again.
TARGET_ROWS = 128
#: Buckets a dataset is cut into at most, roughly: each costs about a hundred bytes of the store.
TARGET_BUCKETS = 50_000
#: Keys looked at to find where to cut.
SAMPLE_KEYS = 20_000
#: Longer beginnings of keys are not tried.
MAX_PREFIX = 64

Marks = Mapping[str, Mark]


def bucket_of(key: Sequence[str], prefix: int) -> str:
    """The name of the bucket a key stands in."""
    return key_text(key)[:prefix]


def prefix_for(sample: Sequence[str], rows: int) -> int:
    """How many characters of a key shall name its bucket, judged by a random sample of the keys of `rows` rows.

    The shortest beginning at which a row has about TARGET_ROWS rows beside it. Keys that begin alike for long (a year,
    a shop) make it longer, so skewed keys need nothing else.
    """
    wanted = max(TARGET_ROWS, rows / TARGET_BUCKETS)
    if len(sample) < 2:
        return 1
    longest = min(MAX_PREFIX, max(map(len, sample)))
    for prefix in range(1, longest):
        together = sum(count * (count - 1) for count in Counter(key[:prefix] for key in sample).values())
        if rows * together / (len(sample) * (len(sample) - 1)) <= wanted:
            return prefix
    return max(1, longest)


def changed(known: Mapping[str, Bucket], left: Marks, right: Marks) -> set[str]:
    """Buckets that are not proven equal by what was known: changed on either side, new, gone, or never proven."""
    found = {
        name
        for name, bucket in known.items()
        if left.get(name, NOTHING) != bucket.left or right.get(name, NOTHING) != bucket.right
    }
    return found | ((left.keys() | right.keys()) - known.keys())


def oldest(known: Mapping[str, Bucket], among: Collection[str], share: float) -> set[str]:
    """The buckets looked at longest ago, of those in `among`, until they hold `share` of all known rows."""
    wanted = share * sum(_rows(bucket) for bucket in known.values())
    found: set[str] = set()
    rows = 0
    for name in sorted(among, key=lambda name: (known[name].verified_at, name)):
        if rows >= wanted:
            break
        found.add(name)
        rows += _rows(known[name])
    return found


def proven(
    known: Mapping[str, Bucket],
    left: Marks,
    right: Marks,
    *,
    read: Collection[str] | None,
    differing: Collection[str],
    at: datetime,
) -> dict[str, Bucket]:
    """The buckets that are proven equal after a run that read the buckets in `read` (None = all) at `at`.

    The marks were taken before the rows were read: a row that changed in between has made its bucket's mark stale, so
    it is read again next time.
    """
    found: dict[str, Bucket] = {}
    for name in left.keys() | right.keys():
        if name in differing:
            continue
        if read is None or name in read:
            found[name] = Bucket(left=left.get(name, NOTHING), right=right.get(name, NOTHING), verified_at=at)
        elif name in known:
            found[name] = known[name]
    return found


def rows_in(marks: Marks, names: Iterable[str] | None = None) -> int:
    if names is None:
        return sum(mark.rows for mark in marks.values())
    return sum(marks[name].rows for name in names if name in marks)


def _rows(bucket: Bucket) -> int:
    return bucket.left.rows + bucket.right.rows
