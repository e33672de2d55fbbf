"""What a digest and records cost: counted in rows and bytes, and the limits at which another way is cheaper."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.engines import FIELDS, KEYS, VALUES, Engines, audited, key_of, row_of, spec_of

from tillwatch.audit.pushdown import digest, prepare
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources.sql import SqlSource
from tillwatch.sources.sql.session import Session

ROWS, BUCKETS = 2_000, 40
BUCKET_ROWS = ROWS // BUCKETS
LEFT, RIGHT = "left_economy", "right_economy"


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "BUCKET_ROWS", BUCKET_ROWS)


class Pair:
    """Two tables of equal rows with a number as key, of which some are changed."""

    def __init__(self, engines: Engines, left: str, right: str) -> None:
        self.engines, self.left, self.right = engines, left, right
        self.rows = [row_of("int", number) for number in range(ROWS)]
        for engine, table in ((left, LEFT), (right, RIGHT)):
            engines.fill(engine, table, KEYS["int"][engine] | VALUES[engine], self.rows, key=["id"])
        self.sources: tuple[SqlSource, SqlSource] = (
            engines.source("left", left, LEFT),
            engines.source("right", right, RIGHT),
        )

    def change(self, numbers: list[int]) -> set[str]:
        """Make these rows of the right differ; returns their keys."""
        keys = {str(key_of("int", number)["id"]) for number in numbers}
        self.engines.run(self.right, f"UPDATE {RIGHT} SET qty = qty + 1 WHERE id IN ({', '.join(keys)})")
        return keys

    def run(self, strategy: str) -> AuditReport:
        return audited(*self.sources, spec_of(["id"], FIELDS), strategy)


@pytest.fixture
def pair(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Pair]:
    made = Pair(engines, *request.param)
    yield made
    for source in made.sources:
        source.close()


def found(report: AuditReport) -> set[str]:
    return {row.key["id"] for row in report.differences}


DIFFERENT = [("postgresql", "mariadb")]
ALIKE = [("postgresql", "postgresql")]


@pytest.mark.parametrize("pair", [*DIFFERENT, *ALIKE], indirect=True)
def test_only_what_differs_is_read_and_only_its_ranges_are_listed(pair: Pair) -> None:
    streamed = pair.run("stream").bytes_read
    clean = pair.run("digest")
    assert clean.verdict is Verdict.CLEAN
    assert clean.evidence["rows_read"] == 2 * ROWS
    # A sample of ranges, boundaries, and one sum of each side, beside what both servers say of themselves.
    assert clean.bytes_read < streamed / 4
    differing = [7, 800, 1_500]
    keys = pair.change(differing)
    report = pair.run("digest")
    assert (found(report), report.strategy) == (keys, "digest")
    # All rows were summed where they lie; of each side only the differing ones came here.
    assert report.evidence["rows_read"] == 2 * (ROWS + len(differing))
    # A listed row is a key and a hash, not longer than the row itself.
    listed = len(differing) * 3 * BUCKET_ROWS / ROWS * streamed
    assert report.bytes_read < clean.bytes_read + listed


@pytest.mark.parametrize("pair", [*DIFFERENT, ("sqlite", "postgresql")], indirect=True)
def test_records_read_each_row_as_text_once_and_no_row_but_those_that_differ(pair: Pair) -> None:
    keys = pair.change([7, 800, 1_500])
    report, streamed = pair.run("records"), pair.run("stream")
    assert (found(report), report.strategy) == (keys, "records")
    assert report.evidence["rows_read"] == 2 * (ROWS + 3)
    assert report.bytes_read < 2 * streamed.bytes_read


class Ranges:
    """Exact ranges of BUCKET_ROWS keys instead of sampled ones, and which of them were summed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, buckets: int) -> None:
        self.summed: list[list[int] | None] = []
        rows = ROWS // buckets
        boundaries = [(int(key_of("int", rows * number)["id"]),) for number in range(1, buckets)]
        sums = digest._Run._sums

        def spied(run: Any, boundaries: Any, asked: Any) -> Any:
            self.summed.append(asked if asked is None else list(asked))
            return sums(run, boundaries, asked)

        monkeypatch.setattr(digest._Run, "_boundaries", lambda *_: boundaries)
        monkeypatch.setattr(digest._Run, "_sums", spied)


@pytest.mark.parametrize("pair", ALIKE, indirect=True)
@pytest.mark.parametrize(("buckets", "sampled"), [(31, 0), (32, 8), (500, 10)])
def test_a_fiftieth_of_the_ranges_is_looked_at_first_and_no_less_than_eight(
    pair: Pair, buckets: int, sampled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = Ranges(monkeypatch, buckets)
    assert pair.run("digest").verdict is Verdict.CLEAN
    # Fewer ranges than that are summed in one pass at once, as are all after a sample that is equal.
    assert [len(asked or ()) for asked in ranges.summed] == ([sampled] if sampled else [])


@pytest.mark.parametrize("pair", ALIKE, indirect=True)
def test_ranges_are_summed_up_to_a_share_of_dirty_ones_in_the_sample_and_rows_listed_above_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranges = Ranges(monkeypatch, BUCKETS)
    # Every fifth range is sampled, which makes eight; a third dirty one is more than 30 %.
    keys = pair.change([0, 5 * BUCKET_ROWS, 6 * BUCKET_ROWS])
    below = pair.run("digest")
    assert (found(below), below.strategy) == (keys, "digest")
    assert below.strategy_reason.endswith("3 of 40 ranges differ")
    assert [asked and len(asked) for asked in ranges.summed] == [8, None]
    ranges.summed.clear()
    keys |= pair.change([10 * BUCKET_ROWS])
    above = pair.run("digest")
    assert (found(above), above.strategy) == (keys, "digest")
    assert "of 8 sampled ranges 3 differ, so the hashes of all rows were compared one by one" in above.strategy_reason
    assert [asked and len(asked) for asked in ranges.summed] == [8]


class TestTheServersOwnHash:
    """Two PostgreSQL of one major version hash whole records in the same way; otherwise MD5 is summed."""

    @pytest.fixture
    def native(self, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
        """How each side of each run hashed."""
        seen: list[bool] = []
        compiled = prepare.compiled

        def spied(*arguments: Any, native: bool, **named: Any) -> Any:
            seen.append(native)
            return compiled(*arguments, native=native, **named)

        monkeypatch.setattr(prepare, "compiled", spied)
        return seen

    @pytest.mark.parametrize("pair", ALIKE, indirect=True)
    def test_is_summed_where_both_sides_have_it(self, pair: Pair, native: list[bool]) -> None:
        keys = pair.change([3, 1_999])
        assert found(pair.run("digest")) == keys
        assert native == [True, True]

    @pytest.mark.parametrize("pair", ALIKE, indirect=True)
    def test_gives_way_to_md5_where_a_column_has_another_type(self, pair: Pair, native: list[bool]) -> None:
        """Nobody promises that a text hashes alike in another type."""
        keys = pair.change([3, 1_999])
        before = pair.run("digest")
        pair.engines.run("postgresql", f"ALTER TABLE {RIGHT} ALTER COLUMN name TYPE text")
        report = pair.run("digest")
        assert native == [True, True, False, False]
        assert (found(report), report.strategy, report.differences) == (keys, "digest", before.differences)

    @pytest.mark.parametrize("pair", ALIKE, indirect=True)
    def test_gives_way_to_md5_where_a_server_is_of_another_major_version(
        self, pair: Pair, native: list[bool], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Simulated: the right side says it is one older."""
        keys = pair.change([3, 1_999])
        before = pair.run("digest")
        looked = Session.open

        def older(session: Session) -> None:
            looked(session)
            session.major -= session._database._system == "right"

        monkeypatch.setattr(Session, "open", older)
        report = pair.run("digest")
        assert native == [True, True, False, False]
        assert (found(report), report.strategy, report.differences) == (keys, "digest", before.differences)
