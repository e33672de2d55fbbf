"""Audits that read only what changed, on real databases: what was planted is found, whoever wrote it and however."""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import (
    Store,
    TwoSides,
    audit,
    fill,
    found,
    keys,
    mariadb_store,
    postgres_store,
    sqlite_store,
)

from tillwatch.audit.tiers import Impossible
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Field
from tillwatch.model.audit import Verdict
from tillwatch.store.db import Database

ROWS = 3_000
#: What looks at every row of two SQL databases: sums of hashes, or all texts where one of them has no hash.
WHOLE = ("digest", "records")
PAIRS = [
    ("postgresql", "sqlite"),
    ("postgresql", "mariadb"),
    ("postgresql", "postgresql"),
    ("mariadb", "sqlite"),
    ("sqlite", "postgresql"),
]


def opened(engine: str, stack: ExitStack, request: pytest.FixtureRequest, folder: Path, name: str) -> Store:
    if engine == "sqlite":
        return stack.enter_context(sqlite_store(folder, name))
    if engine == "mariadb":
        server: MariaDb = request.getfixturevalue("mariadb")
        return stack.enter_context(mariadb_store(server))
    postgres: Postgres = request.getfixturevalue("postgres")
    return stack.enter_context(postgres_store(postgres))


@pytest.fixture(params=PAIRS, ids="-".join)
def sides(
    request: pytest.FixtureRequest, tmp_path: Path, sqlite_database: Database, clock: ManualClock
) -> Iterator[TwoSides]:
    with ExitStack() as stack:
        left = opened(request.param[0], stack, request, tmp_path, "erp")
        right = opened(request.param[1], stack, request, tmp_path, "till")
        for store in (left, right):
            fill(store, keys(ROWS))
        sides = TwoSides(left=left, right=right, database=sqlite_database, clock=clock, folder=tmp_path)
        yield sides
        sides.close()


@pytest.fixture
def proven(sides: TwoSides) -> TwoSides:
    """After a first run that looked at everything."""
    report = sides.run()
    assert report.verdict is Verdict.CLEAN
    assert report.strategy in WHOLE
    assert "nothing was proven before" in report.strategy_reason
    return sides


def test_the_second_run_reads_no_row_when_nothing_changed(proven: TwoSides) -> None:
    report = proven.run()
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "fingerprint")
    assert (report.left.rows, report.right.rows) == (ROWS, ROWS)
    assert report.evidence["rows_read"] == 0
    assert "deletions included" in report.strategy_reason


@pytest.mark.parametrize("side", ["left", "right"])
def test_every_kind_of_write_is_found_although_the_change_field_stood_still(proven: TwoSides, side: str) -> None:
    execute = getattr(proven, side).execute
    execute("UPDATE stock SET quantity = quantity + 0.0001 WHERE sku = '00011'")
    execute("UPDATE stock SET note = NULL WHERE sku = '01500'")
    execute("DELETE FROM stock WHERE sku = '02222'")
    execute("INSERT INTO stock VALUES ('s9', '99999', 1, 'new', '2026-11-24 02:00:00')")
    gone, new = ("extra", "missing") if side == "left" else ("missing", "extra")
    report = proven.run()
    assert (report.verdict, report.strategy) == (Verdict.DRIFT, "fingerprint")
    assert found(report) == {("changed", "00011"), ("changed", "01500"), (gone, "02222"), (new, "99999")}
    assert 0 < int(str(report.evidence["rows_read"])) < ROWS
    assert proven.run("stream").differences == report.differences


def test_a_difference_stays_found_until_it_is_gone(proven: TwoSides) -> None:
    proven.right.execute("DELETE FROM stock WHERE sku = '02222'")
    assert found(proven.run()) == {("missing", "02222")}
    assert found(proven.run()) == {("missing", "02222")}
    proven.left.execute("DELETE FROM stock WHERE sku = '02222'")
    report = proven.run()
    assert (report.verdict, report.strategy, report.left.rows) == (Verdict.CLEAN, "fingerprint", ROWS - 1)
    assert proven.run().evidence["rows_read"] == 0


def test_a_change_on_both_sides_alike_is_clean(proven: TwoSides) -> None:
    proven.both("UPDATE stock SET quantity = 7 WHERE sku IN ('00001', '00002', '02999')")
    proven.both("DELETE FROM stock WHERE sku = '00500'")
    report = proven.run()
    assert (report.verdict, report.strategy, report.left.rows) == (Verdict.CLEAN, "fingerprint", ROWS - 1)


def test_with_most_of_the_table_changed_everything_is_streamed_and_the_report_says_so(proven: TwoSides) -> None:
    proven.left.execute("UPDATE stock SET quantity = quantity + 1")
    report = proven.run()
    assert (report.strategy, report.changed) == ("stream", ROWS)
    assert "buckets changed" in report.strategy_reason


def test_a_run_that_proves_nothing_leaves_the_last_good_state(proven: TwoSides) -> None:
    before = proven.proof()
    proven.right.execute("DELETE FROM stock WHERE sku = '00001'")
    proven.left.execute("ALTER TABLE stock RENAME TO hidden")
    assert proven.run().verdict is Verdict.FAILED
    assert proven.proof() == before
    proven.left.execute("ALTER TABLE hidden RENAME TO stock")
    report = proven.run()
    assert (report.strategy, found(report)) == ("fingerprint", {("missing", "00001")})


def test_a_key_that_now_stands_twice_fails_the_audit(proven: TwoSides) -> None:
    proven.right.execute("UPDATE stock SET sku = '00002', shop = 's1 ' WHERE sku = '00001'")
    report = proven.run()
    assert report.verdict is Verdict.FAILED
    assert "till.stock holds 1 key more than once: s1/00002" in report.reason


def test_a_key_now_written_differently_from_how_it_is_compared_makes_the_run_read_everything(proven: TwoSides) -> None:
    proven.right.execute("UPDATE stock SET shop = ' s1' WHERE sku = '00001'")
    for _ in range(2):
        report = proven.run()
        assert (report.verdict, report.strategy) == (Verdict.CLEAN, "stream")
        assert "writes some keys differently" in report.strategy_reason


def test_the_part_looked_at_longest_ago_is_read_again_until_all_was(proven: TwoSides) -> None:
    proven.spec = audit(verify_share=0.4)
    first = proven.proof().oldest_verified_at
    for _ in range(2):
        assert proven.run().strategy == "fingerprint"
        assert proven.proof().oldest_verified_at == first
    assert proven.run().strategy == "fingerprint"
    assert proven.proof().oldest_verified_at > first


def test_everything_is_read_again_when_it_is_due(proven: TwoSides) -> None:
    proven.clock.jump(24 * 3600)
    report = proven.run()
    assert report.strategy in WHOLE
    assert "due again" in report.strategy_reason
    assert proven.run().strategy == "fingerprint"


def test_an_audit_declared_otherwise_begins_anew(proven: TwoSides) -> None:
    proven.spec = audit(fields={"quantity": proven.spec.fields["quantity"]})
    report = proven.run()
    assert report.strategy in WHOLE
    assert "declared differently" in report.strategy_reason
    assert proven.run().strategy == "fingerprint"


def dated(statement: str, clock: ManualClock) -> str:
    return statement.replace("NOW", f"'{clock.now():%Y-%m-%d %H:%M:%S}'")


def test_a_delta_run_compares_the_rows_that_say_they_changed_on_either_side(proven: TwoSides) -> None:
    proven.clock.jump(3600)
    change = "UPDATE stock SET quantity = 99, updated_at = NOW WHERE sku = "
    proven.left.execute(dated(change + "'00003'", proven.clock))
    proven.right.execute(dated(change + "'02000'", proven.clock))
    proven.both(dated(change + "'01000'", proven.clock))
    proven.left.execute(dated("INSERT INTO stock VALUES ('s9', 'new', 1, 'x', NOW)", proven.clock))
    report = proven.run("delta")
    assert (report.verdict, report.strategy) == (Verdict.DRIFT, "delta")
    assert found(report) == {("changed", "00003"), ("changed", "02000"), ("missing", "new")}
    assert (report.left.rows, report.right.rows) == (ROWS, ROWS)
    assert "deletions" in report.strategy_reason
    assert found(proven.run("delta")) == found(report)
    proven.right.execute(dated(change + "'00003'", proven.clock))
    assert found(proven.run("delta")) == {("changed", "02000"), ("missing", "new")}


def test_a_deletion_is_not_seen_by_a_delta_run_but_by_the_next_that_sees_everything(proven: TwoSides) -> None:
    proven.both(dated("UPDATE stock SET updated_at = NOW WHERE sku = '00001'", proven.clock))
    assert proven.run("delta").verdict is Verdict.CLEAN
    proven.right.execute("DELETE FROM stock WHERE sku = '00042'")
    proven.left.execute("UPDATE stock SET quantity = 3 WHERE sku = '01234'")
    assert proven.run("delta").verdict is Verdict.CLEAN
    assert found(proven.run()) == {("missing", "00042"), ("changed", "01234")}


def test_a_row_dated_before_the_last_run_but_seen_after_it_is_found_within_the_overlap(proven: TwoSides) -> None:
    proven.both(dated("UPDATE stock SET updated_at = NOW WHERE sku = '00001'", proven.clock))
    late = proven.clock.now()
    assert proven.run("delta").verdict is Verdict.CLEAN
    # A transaction that began a minute before the newest row and was stored only now.
    moment = f"{late.replace(microsecond=0):%Y-%m-%d %H:%M:%S}"
    proven.left.execute(f"UPDATE stock SET quantity = 5, updated_at = '{moment}' WHERE sku = '00777'")
    assert found(proven.run("delta")) == {("changed", "00777")}


def test_a_date_in_the_future_hides_nothing(proven: TwoSides) -> None:
    proven.both("UPDATE stock SET updated_at = '2099-01-01 00:00:00' WHERE sku = '00001'")
    assert proven.run().verdict is Verdict.CLEAN
    proven.left.execute(dated("UPDATE stock SET quantity = 5, updated_at = NOW WHERE sku = '00777'", proven.clock))
    assert found(proven.run("delta")) == {("changed", "00777")}


def test_what_cannot_be_proven_is_refused_before_there_is_a_run(sides: TwoSides) -> None:
    with pytest.raises(Impossible, match="strategy 'fingerprint' cannot prove this audit now: nothing was proven"):
        sides.run("fingerprint")
    with pytest.raises(Impossible, match="strategy 'delta' cannot prove this audit now: nothing was proven"):
        sides.run("delta")
    assert sides.run().run == 3


def test_a_promise_makes_deltas_of_an_audit_that_cannot_tell_otherwise(proven: TwoSides) -> None:
    proven.spec = audit(strategy="delta")
    assert proven.run().strategy == "delta"
    proven.spec = audit(strategy="delta", changed_by="note")
    report = proven.run()
    assert report.strategy in WHOLE
    assert "tells changes by 'updated_at', not by 'note'" in report.strategy_reason


def test_whatever_is_written_on_either_side_a_run_by_fingerprints_finds_what_streaming_finds(sides: TwoSides) -> None:
    sides.run()
    chance = random.Random(20261124)
    by_fingerprints = 0
    for step in range(12):
        for store in (sides.left, sides.right):
            for _ in range(chance.randrange(4)):
                sku = f"{chance.randrange(ROWS):05d}"
                store.execute(
                    chance.choice(
                        [
                            f"UPDATE stock SET quantity = {chance.randrange(3)} WHERE sku = '{sku}'",
                            f"UPDATE stock SET note = NULL WHERE sku = '{sku}'",
                            f"DELETE FROM stock WHERE sku = '{sku}'",
                            f"UPDATE stock SET sku = '{sku}x' WHERE sku = '{sku}'",
                            f"INSERT INTO stock VALUES ('s{step}', '{sku}n{chance.randrange(10**9)}', 1, 'x', '2026-11-24 02:00:00')",
                        ]
                    )
                )
        report = sides.run()
        by_fingerprints += report.strategy == "fingerprint"
        streamed = sides.run("stream")
        assert (report.verdict, report.differences) == (streamed.verdict, streamed.differences)
        assert (report.left.rows, report.right.rows) == (streamed.left.rows, streamed.right.rows)
    # Buckets that hold a difference are read by every run; towards the end they are more than half of all.
    assert by_fingerprints > 6


def test_times_kept_as_text_do_not_fail_an_audit_that_names_them(
    postgres: Postgres, tmp_path: Path, sqlite_database: Database, clock: ManualClock
) -> None:
    with postgres_store(postgres) as left, sqlite_store(tmp_path, "till") as right:
        for store in (left, right):
            fill(store, keys(ROWS))
        left.execute("ALTER TABLE stock ALTER updated_at TYPE text USING updated_at::text")
        spec = audit(strategy="delta", changed_by="updated_at", settle=timedelta(seconds=1))
        sides = TwoSides(left=left, right=right, database=sqlite_database, clock=clock, folder=tmp_path, spec=spec)
        try:
            assert sides.run().verdict is Verdict.CLEAN
            right.execute("DELETE FROM stock WHERE sku = '00007'")
            report = sides.run()
        finally:
            sides.close()
    assert (report.verdict, found(report)) == (Verdict.DRIFT, {("missing", "00007")})
    assert "erp.stock cannot say which rows changed since a moment" in report.strategy_reason


def test_every_strategy_finds_all_rows_an_hour_off_and_says_that_they_are_off_alike(
    postgres: Postgres, tmp_path: Path, sqlite_database: Database, clock: ManualClock
) -> None:
    with postgres_store(postgres) as left, sqlite_store(tmp_path, "till") as right:
        for store in (left, right):
            fill(store, keys(300))
        fields = {"quantity": Field(type="decimal", scale=4), "updated_at": Field(type="timestamp")}
        sides = TwoSides(
            left=left, right=right, database=sqlite_database, clock=clock, folder=tmp_path, spec=audit(fields=fields)
        )
        try:
            assert sides.run().verdict is Verdict.CLEAN
            right.execute("UPDATE stock SET updated_at = datetime(updated_at, '+1 hour')")
            reports = [sides.run(strategy) for strategy in ("delta", "fingerprint", "digest", "stream")]
        finally:
            sides.close()
    assert [(report.verdict, report.changed) for report in reports] == [(Verdict.DRIFT, 300)] * 4
    said = "all 300 differing rows differ by +1 h in updated_at: one cause, not single rows"
    assert [report.evidence["systematic"]["en"] for report in reports] == [said] * 4  # type: ignore[index]
