"""What a database sorts out and what is read and checked here break the same rules, whatever stands in the rows."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from tests.support.audits import FakeSource
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres
from tests.support.two_sides import Store, mariadb_store, postgres_store, sqlite_store
from tests.support.validations import broken, validated, validation

from tillwatch.audit.pushdown.handshake import LITERALS
from tillwatch.clock import SystemClock
from tillwatch.model.validation import ValidationReport, ValidationVerdict
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.validation.pushdown import cells, expressions

ENGINES = ("sqlite", "postgres", "mariadb")
SEEDS = (1, 2, 3, 4)
ROWS = 120
TEXTS = (
    None, "", " ", "\u3000", "\t", "a", "A", "a ", " a", "A1", "a1", "007", "7", "商品", "锟斤拷", "MÃ¼ller", "Müller", "é",
    "e\u0301", "ＳＫＵ", "👍🏽", "CY-0007", "cy-0007", "CY-7\n", "CY-0007 ", "x\ny", "ß", "İ", "K", "\x01", "'", "\\", "%s", ":x",
)  # fmt: skip
NUMBERS = (
    None, "0", "-0.01", "0.01", "1", "1.50", "-1", "99.99", "100", "100.00", "100.01", "2.5", "99999.99", "3.3",
)  # fmt: skip
MOMENTS = (
    None, "2026-11-24 02:59:59", "2026-11-24 03:04:59", "2026-11-24 03:05:01", "2026-11-24 11:04:59", "2026-11-25 00:00:00",
    "2031-01-01 00:00:00", "2019-12-31 23:59:59", "2020-01-01 00:00:00", "2020-01-01 07:59:59", "2025-06-01 12:00:00",
)  # fmt: skip
#: What only SQLite takes in a column of any type, as SQL.
ODD = (
    "'1e3'", "'１２'", "'12x'", "'--1'", "'.5'", "'5.'", "'1.2.3'", "X'00ff'", "X''", "1e40", "1e-40", "0.1 + 0.2",
    "'0.30000000000000004'", "'1.50'", "1.5", "1.0", "1", "'1'", "100", "100.0", "9223372036854775807", "'2026-02-30'",
    "'2026-11-24T25:00:00'", "'2031-01-01T00:00:00Z'", "'2031-01-01T00:00:00+08:00'", "'20260101'", "1700000000",
    "'2026-11-24T02:00:00.5'", "'2026-11-20T02:00:00.123456+08:00'", "'2020/01/01'", "'a' || char(0) || 'b'",
    "'1' || char(0)", "'2026-11-20 02:00:00' || char(0)", "'123456789012345678.90'", "0.00001", "12345678.9",
    "'2026-02-30 02:00:00'", "'2026-04-31T02:00:00Z'",
)  # fmt: skip
RULES = (
    {"id": "required", "rule": "required", "fields": ("name", "sku", "amount", "paid_at")},
    {"id": "code", "rule": "pattern", "field": "name", "pattern": r"CY-\d{4}|[a-z]+\d?|商.|007"},
    {"id": "between", "rule": "range", "field": "amount", "min": "0.01", "max": "100"},
    {"id": "positive", "rule": "not_negative", "field": "amount"},
    {"id": "era", "rule": "range", "field": "paid_at", "min": "2020-01-01", "max": "2026-12-31"},
    {"id": "now", "rule": "not_future", "field": "paid_at"},
    {"id": "whole", "rule": "encoding", "field": "name"},
    {"id": "once", "rule": "unique", "field": "sku"},
    {"id": "pair", "rule": "unique", "fields": ("name", "amount")},
    {"id": "known", "rule": "reference", "field": "name", "to": {"dataset": "names"}},
    {
        "id": "total",
        "rule": "sum",
        "field": "amount",
        "tolerance": Decimal("0.01"),
        "lines": {"dataset": "order_lines", "field": "quantity", "times": "price"},
    },
)
KINDS = {"sqlite": ("", "", ""), "postgres": ("text", "numeric(12,2)", "timestamp"), "mariadb": ("varchar(80)", "decimal(12,2)", "datetime(6)")}  # fmt: skip


class Engine:
    """A database with rows of its own making, and both ways to check them."""

    def __init__(self, name: str, store: Store, source: SqlSource) -> None:
        self.name, self.store, self.source = name, store, source
        self.literal = LITERALS[{"postgres": "postgresql", "mariadb": "mysql"}.get(name, name)]

    def create(self, suffix: str = "") -> None:
        text, number, moment = KINDS[self.name]
        for table in ("orders", "names", "order_lines"):
            self.store.execute(f"DROP TABLE IF EXISTS {table}")
        self.store.execute(f"CREATE TABLE orders (sku {text}, name {text}, amount {number}, paid_at {moment}) {suffix}")
        self.store.execute(f"CREATE TABLE names (name {text}) {suffix}")
        self.store.execute(f"CREATE TABLE order_lines (sku {text}, quantity {number}, price {number}) {suffix}")

    def insert(self, table: str, rows: Sequence[Sequence[str]]) -> None:
        values = ", ".join(f"({', '.join(row)})" for row in rows)
        self.store.execute(f"INSERT INTO {table} VALUES {values}".replace("%", "%%" if self.name != "sqlite" else "%"))

    def word(self, value: str | None) -> str:
        return "NULL" if value is None else self.literal(value)

    def report(self, *rules: Mapping[str, Any], push: bool, **changes: Any) -> ValidationReport:
        spec = validation(*rules, **{"dataset": "orders", "keep": 10_000, **changes})
        return validated(spec, self.source, push=push)


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("sorted")
    with ExitStack() as stack:
        if request.param == "sqlite":
            store = stack.enter_context(sqlite_store(folder, "till"))
        elif request.param == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            store = stack.enter_context(postgres_store(server))
        else:
            maria: MariaDb = request.getfixturevalue("mariadb")
            store = stack.enter_context(mariadb_store(maria))
        datasets: dict[str, dict[str, str]] = {name: {"table": name} for name in ("orders", "names", "order_lines")}
        datasets["asked"] = {"query": "SELECT sku, name, amount, paid_at FROM orders WHERE sku <> ':x%' OR 1 = 1"}
        options = SqlOptions.model_validate({"url": store.url, "datasets": datasets})
        source = SqlSource("till", options, clock=SystemClock(), breaker=MemoryBreaker(), root=folder)
        stack.callback(source.close)
        yield Engine(request.param, store, source)


def nasty(engine: Engine, seed: int) -> None:
    """Rows of values that engines, drivers and Python read differently; some codes and names more than once."""
    chance = random.Random(seed)

    def cell(values: Sequence[str | None], odd: float) -> str:
        if engine.name == "sqlite" and chance.random() < odd:
            return chance.choice(ODD)
        return engine.word(chance.choice(values))

    odd = chance.choice((0.0, 0.0, 0.1))
    texts = TEXTS if chance.random() < 0.7 else ("CY-0007", "abc1", "商品")
    codes = (
        [*TEXTS, *(f"CY-{number:04}" for number in range(ROWS))] if chance.random() < 0.7 else ["CY-0001", "CY-0002"]
    )
    orders = [[cell(codes, odd), cell(texts, odd), cell(NUMBERS, odd), cell(MOMENTS, odd)] for _ in range(ROWS)]
    engine.insert("orders", orders)
    engine.insert("names", [[cell(texts, odd)] for _ in range(20)])
    keys = [code for code in codes if code is None or not chance.getrandbits(1)] or ["CY-0001"]
    engine.insert("order_lines", [[cell(keys, odd), cell(NUMBERS, odd), cell(NUMBERS, odd)] for _ in range(ROWS)])


@pytest.mark.parametrize("seed", SEEDS)
def test_sorted_out_there_and_checked_here_give_the_same(engine: Engine, seed: int) -> None:
    engine.create("COLLATE utf8mb4_general_ci" if engine.name == "mariadb" and seed % 2 else "")
    nasty(engine, seed)
    for rule in RULES:
        there, here = engine.report(rule, push=True), engine.report(rule, push=False)
        assert (there.verdict, there.counts) == (here.verdict, here.counts), (rule, there, here)
        assert sorted(broken(there), key=repr) == sorted(broken(here), key=repr), rule
        assert (there.strategy, here.strategy, there.rows) == ("source", "stream", here.rows), there.strategy_reason
    there, here = (engine.report(*RULES, push=push, dataset="asked") for push in (True, False))
    assert (there.verdict, there.counts, there.rows) == (here.verdict, here.counts, here.rows)


def test_lines_whose_keys_differ_in_spaces_only_belong_to_one_header(engine: Engine) -> None:
    engine.create()
    engine.insert("orders", [["'A3'", "'a'", "'2'", "NULL"], ["'A4'", "'a'", "'7'", "NULL"]])
    engine.insert("order_lines", [["'A3'", "'1'", "'2'"], ["'A3 '", "'1'", "'5'"], ["'A4'", "'1'", "'7'"]])
    total = next(rule for rule in RULES if rule["id"] == "total")
    for push in (True, False):
        assert broken(engine.report(total, push=push)) == [("total", "A3", "2")]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_what_only_sqlite_can_hold_is_judged_by_what_it_means(engine: Engine) -> None:
    engine.create()
    orders = [
        ["1", "'a'", "3", "NULL"],
        ["2", "'a'", "'5' || char(0)", "NULL"],
        ["3", "'a' || char(0)", "0.3", "NULL"],
        ["'4'", "'a'", "1", "'2026-11-20 02:00:00' || char(0)"],
    ]
    engine.insert("orders", orders)
    engine.insert("order_lines", [["1", "1", "3"], ["3", "0.1 + 0.2", "1"]])
    engine.insert("names", [["'a' || char(0)"], ["'a'"]])
    known = next(rule for rule in RULES if rule["id"] == "known")
    for push in (True, False):
        assert broken(engine.report(known, push=push)) == []
    exact = {**next(rule for rule in RULES if rule["id"] == "total"), "tolerance": Decimal(0)}
    for rule in ({"rule": "not_negative", "field": "amount"}, {"rule": "not_future", "field": "paid_at"}, exact):
        there, here = (broken(engine.report(rule, push=push)) for push in (True, False))
        assert sorted(there) == sorted(here)
    assert {key for _, key, _ in there} == {"2", "3", "4"}, "a float that is no tenth adds up to none"
    engine.insert("order_lines", [["'1'", "1", "4"]])
    for push in (True, False):
        assert "1" in {key for _, key, _ in broken(engine.report(exact, push=push))}, "1 and '1' are one key"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_day_that_does_not_exist_is_no_time_for_sqlite_either(engine: Engine) -> None:
    engine.create()
    days = ("'2026-02-28 10:00:00'", "'2026-02-30 10:00:00'", "'2026-04-31T10:00:00Z'")
    engine.insert("orders", [[f"'{number}'", "'a'", "1", day] for number, day in enumerate(days)])
    era = next(rule for rule in RULES if rule["id"] == "era")
    for rule, push in product((era, {"rule": "not_future", "field": "paid_at"}), (True, False)):
        report = engine.report(rule, push=push)
        assert report.strategy == ("source" if push else "stream")
        assert {key for _, key, _ in broken(report)} == {"1", "2"}


def test_of_a_table_only_rows_that_may_break_a_rule_are_read(engine: Engine) -> None:
    engine.create()
    code = [f"'CY-{number:04}'" for number in range(500)]
    engine.insert("orders", [[one, "'abc1'", "'2.50'", "'2026-11-01 12:00:00'"] for one in code])
    engine.insert("names", [["'abc1'"]])
    engine.insert("order_lines", [[one, "'1'", "'2.50'"] for one in code])
    rules = [rule for rule in RULES if rule["id"] != "pair"]
    clean = engine.report(*rules, push=True)
    assert (clean.verdict, clean.rows, clean.rows_read) == (ValidationVerdict.CLEAN, 500, 0)
    assert clean.strategy_reason["en"].startswith("the database sorts out the rows that keep every rule")
    assert clean.strategy_reason["zh"].startswith("由数据库排除符合全部规则的行")
    engine.store.execute("UPDATE orders SET amount = -1 WHERE sku = 'CY-0007'")
    engine.store.execute("UPDATE orders SET sku = 'CY-0009' WHERE sku = 'CY-0008'")
    found = engine.report(*rules, push=True)
    assert found.counts == dict.fromkeys(found.counts, 0) | {"between": 1, "positive": 1, "once": 2, "total": 1}
    # Three orders, and the only line of the one that may not add up.
    assert (found.rows, found.rows_read) == (500, 4)


@pytest.mark.parametrize(
    ("rule", "because", "reason_zh"),
    [
        ({"rule": "outlier", "field": "amount"}, "outlier-amount: needs every value", "outlier-amount: 需要全部数值"),
        (
            {"rule": "pattern", "field": "name", "pattern": r"\S*"},
            r"pattern-name: engines may read its pattern \S* differently",
            r"pattern-name: 各引擎对表达式 \S* 的理解可能不同",
        ),
        (
            {"rule": "reference", "field": "name", "to": {"system": "erp", "dataset": "products"}},
            "reference-name: looks into erp too",
            "reference-name: 还要查看 erp",
        ),
    ],
)
def test_a_rule_the_database_cannot_decide_is_named_with_the_reason(
    engine: Engine, rule: Mapping[str, Any], because: str, reason_zh: str
) -> None:
    if engine.name == "sqlite" and rule["rule"] == "pattern":
        pytest.skip("SQLite matches by RE2 itself, in this process")
    engine.create()
    engine.insert("orders", [["'a'", "'b'", "'1'", "'2026-11-01 12:00:00'"]])
    spec = validation(rule, {"rule": "required", "field": "sku"}, dataset="orders")
    report = validated(spec, engine.source, FakeSource("erp", {"products": [{"name": "b"}]}))
    assert (report.verdict, report.strategy) == (ValidationVerdict.CLEAN, "stream")
    assert report.strategy_reason["en"] == f"every row is read and checked here; {because}"
    assert report.strategy_reason["zh"] == f"读取每一行并在本地检查；{reason_zh}"


def test_a_server_that_matches_otherwise_than_re2_is_found_out_before_it_is_believed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    if engine.name == "sqlite":
        pytest.skip("SQLite matches by RE2 itself, in this process")
    engine.create()
    engine.insert("orders", [["'a'", "'X'", "'1'", "'2026-11-01 12:00:00'"]])
    # As a server with another idea of letters would: it takes x for X.
    monkeypatch.setattr(expressions, "plainly", lambda expression, _: f"^{expression}$".replace("x", "[xX]"))
    report = engine.report({"rule": "pattern", "field": "name", "pattern": "x+"}, push=True)
    assert (report.verdict, report.strategy, report.broken) == (ValidationVerdict.INVALID, "stream", 1)
    assert "otherwise than RE2" in report.strategy_reason["en"]


def test_a_statement_the_server_will_not_run_is_no_failed_run(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.create()
    engine.insert("orders", [["'a'", "'X'", "'-1'", "'2026-11-01 12:00:00'"]])
    monkeypatch.setattr(cells, "not_negative", lambda cell: f"no_such_function({cell.sql})")
    report = engine.report({"rule": "not_negative", "field": "amount"}, push=True)
    assert (report.verdict, report.strategy, report.broken) == (ValidationVerdict.INVALID, "stream", 1)
    assert "the database refused" in report.strategy_reason["en"]
