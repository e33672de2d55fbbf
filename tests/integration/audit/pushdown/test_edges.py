"""What a digest must not overlook: keys that are repeated, empty or written differently, values that cannot be read,
zones it cannot push down, other collations, and servers it cannot agree with."""

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from zoneinfo import ZoneInfo

import pytest
from tests.support.engines import ENGINES, FIELDS, KEYS, VALUES, Engines, Row, audited, row_of, spec_of

from tillwatch.audit.pushdown import digest, handshake, postgresql, statements
from tillwatch.audit.pushdown.elements import Element
from tillwatch.config.schema import Field
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.sources.sql import SqlSource

ROWS = 400


@pytest.fixture(autouse=True)
def small_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "BUCKET_ROWS", 10)
    monkeypatch.setattr(digest, "SLICE_BUCKETS", 25)
    monkeypatch.setattr(digest, "SLICE_SUMS", 25)


@pytest.fixture
def closing() -> Iterator[list[SqlSource]]:
    opened: list[SqlSource] = []
    yield opened
    for source in opened:
        source.close()


class World:
    """Two tables without a primary key, so that anything can stand in them."""

    def __init__(self, engines: Engines, left: str, right: str, opened: list[SqlSource]) -> None:
        self.engines, self.left, self.right = engines, left, right
        self.rows = [row_of("varchar", number) for number in range(ROWS)]
        self.spec = spec_of(["id"], FIELDS)
        self._opened = opened
        self.fill()

    def fill(self, *more: Row) -> None:
        for side, engine in (("left", self.left), ("right", self.right)):
            rows = [*self.rows, *(more if side == "right" else ())]
            columns = KEYS["varchar"][engine] | VALUES[engine]
            self.engines.fill(engine, f"{side}_edge", columns, rows, key=[])

    def run(self, strategy: str) -> AuditReport:
        sides = (
            self.engines.source("left", self.left, "left_edge"),
            self.engines.source("right", self.right, "right_edge"),
        )
        self._opened.extend(sides)
        report = audited(*sides, self.spec, strategy)
        if strategy == "digest":
            # What a digest must not overlook, matching records must not either.
            assert same(report, audited(*sides, self.spec, "records"))
        return report

    def change(self, statement: str) -> None:
        self.engines.run(self.right, statement.format(table="right_edge"))


@pytest.fixture(params=[*product(ENGINES, ENGINES)], ids="-".join)
def world(request: pytest.FixtureRequest, engines: Engines, closing: list[SqlSource]) -> World:
    return World(engines, *request.param, closing)


def same(one: AuditReport, other: AuditReport) -> bool:
    return (one.verdict, one.reason, one.differences) == (other.verdict, other.reason, other.differences)


def test_tables_without_an_index_on_the_key_are_proven_too(world: World) -> None:
    report = world.run("digest")
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "digest"), report.strategy_reason


def test_a_repeated_key_fails_the_audit_with_the_key(world: World) -> None:
    world.fill(world.rows[7])
    report = world.run("digest")
    assert report.verdict is Verdict.FAILED
    assert f"holds 1 key more than once: {world.rows[7]['id']}" in report.reason
    assert same(report, world.run("stream"))


def test_the_same_key_repeated_on_both_sides_is_not_called_clean(world: World) -> None:
    world.rows.append(world.rows[7])
    world.fill()
    report = world.run("digest")
    assert report.verdict is Verdict.FAILED
    assert same(report, world.run("stream"))


def test_a_row_without_a_key_fails_the_audit(world: World) -> None:
    world.change("UPDATE {table} SET id = NULL WHERE id = 'SKU-00011-a'")
    report = world.run("digest")
    assert report.verdict is Verdict.FAILED
    assert "holds 1 rows without a usable key: id is NULL" in report.reason
    assert same(report, world.run("stream"))


@pytest.mark.parametrize("written", ["SKU-00011-a ", " SKU-00011-a", "SKU-00011-a\u3000"])
def test_a_key_written_differently_is_still_the_same_key(world: World, written: str) -> None:
    world.change(f"UPDATE {{table}} SET id = '{written}' WHERE id = 'SKU-00011-a'")
    report = world.run("digest")
    assert (report.verdict, report.strategy) == (Verdict.CLEAN, "stream")
    assert "keys differently from how they are compared" in report.strategy_reason


def test_a_value_that_cannot_be_read_is_counted_although_both_sides_hold_it(
    world: World,
) -> None:
    """A fraction where a whole number is declared; a cast would round it and both sides would agree."""
    for number, row in enumerate(world.rows):
        row["qty"] = Decimal(number) if number != 5 else Decimal("2.5")
    world.fill()
    world.spec = spec_of(["id"], FIELDS | {"qty": Field(type="integer")})
    report = world.run("digest")
    assert report.strategy == "digest", report.strategy_reason
    assert "2 values cannot be read as their declared type" in report.reason
    assert same(report, world.run("stream"))


def test_a_dataset_that_is_a_query_is_summed_too(world: World) -> None:
    side = {"system": "left", "dataset": "query"}
    world.spec = spec_of(["id"], FIELDS, left=side, right=side | {"system": "right"})
    world.change("UPDATE {table} SET name = 'x' WHERE id = 'SKU-00011-a'")
    report = world.run("digest")
    assert (report.strategy, report.changed) == ("digest", 1), report.strategy_reason


def test_a_separator_in_a_value_never_makes_two_rows_look_like_one(world: World) -> None:
    world.spec = spec_of(["id"], {"name": Field(type="text"), "qty": FIELDS["qty"]})
    world.rows[3]["name"], world.rows[4]["name"] = "1:a~", "0:"
    world.fill()
    world.change("UPDATE {table} SET name = '1:a' WHERE name = '1:a~'")
    assert world.run("digest").changed == 1


class TestOnOneServer:
    """What does not depend on the pair."""

    @pytest.fixture
    def world(self, engines: Engines, closing: list[SqlSource]) -> World:
        return World(engines, "postgresql", "mariadb", closing)

    def test_a_server_that_answers_otherwise_than_the_reference_is_streamed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def wrong(*_: object) -> Element:
            return Element(text="upper(v.c)")

        text = next(key for key in postgresql.RULES if key == ("text", "text"))
        monkeypatch.setitem(statements.RULES, "postgresql", {**postgresql.RULES, text: wrong})
        report = world.run("digest")
        assert (report.verdict, report.strategy) == (Verdict.CLEAN, "stream")
        assert "because name: postgresql says 'A' for 'a', which we read as 'a'" in report.strategy_reason

    def test_a_server_that_sums_hashes_otherwise_is_streamed(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handshake, "md5", hashlib.sha1)
        report = world.run("digest")
        assert (report.verdict, report.strategy) == (Verdict.CLEAN, "stream")
        assert "sums hashes differently" in report.strategy_reason

    def test_a_zone_with_summer_time_is_streamed(self, world: World) -> None:
        world.spec = spec_of(["id"], FIELDS | {"at": Field(type="date", zone=ZoneInfo("Europe/Berlin"))})
        report = world.run("digest")
        assert (report.verdict, report.strategy) == (Verdict.CLEAN, "stream")
        assert "the clock of Europe/Berlin still changes" in report.strategy_reason

    def test_other_collations_find_the_same(self, world: World) -> None:
        world.change("ALTER TABLE {table} MODIFY id varchar(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
        world.change("ALTER TABLE {table} MODIFY name varchar(80) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci")
        world.change("UPDATE {table} SET name = 'ITEM 20' WHERE name = 'Item 20'")
        report = world.run("digest")
        assert (report.strategy, report.changed) == ("digest", 1), report.strategy_reason
