"""Validation runs are written down before, stored with their alerts in one transaction after, and survive a crash."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, select
from tests.support.audits import FakeSource, FakeSources, chain
from tests.support.validations import broken, validation

from tillwatch.audit.loop import AuditLoop
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Validation
from tillwatch.errors import UnavailableError, UsageError
from tillwatch.metrics import Metrics
from tillwatch.model.audit import Row
from tillwatch.model.validation import ValidationReport, ValidationRunState, ValidationVerdict
from tillwatch.runs.life import LEASE
from tillwatch.store import validations as records
from tillwatch.store.db import Database
from tillwatch.store.tables.validations import validation_own
from tillwatch.validation import many
from tillwatch.validation.runner import LOOP, ValidationRunner

ROWS: list[Row] = [{"sku": f"{number:03}", "price": Decimal(number)} for number in range(1, 11)]
RULES = ({"rule": "not_negative", "field": "price"}, {"rule": "unique", "field": "sku"})


class Bench:
    """A runner over a fake till, and what it told."""

    def __init__(self, database: Database, clock: ManualClock, spec: Validation | None = None) -> None:
        self.till = FakeSource("till", {"stock": list(ROWS)})
        self.metrics = Metrics()
        self.heard: list[ValidationReport] = []
        self.database, self.clock, self.spec = database, clock, spec or validation(*RULES)
        self.runner = self.another("one")

    def another(self, owner: str) -> ValidationRunner:
        return ValidationRunner(
            replace(chain(), validations=(self.spec,)),
            FakeSources(self.till),
            database=self.database,
            clock=self.clock,
            metrics=self.metrics,
            on_report=self.hear,
            owner=owner,
        )

    def hear(self, connection: Connection, report: ValidationReport, spec: Validation) -> None:
        assert spec.id == report.validation
        assert records.run_of(connection, report.run).state is ValidationRunState.FINISHED
        self.heard.append(report)

    def read(self, question: Any, *arguments: Any, **options: Any) -> Any:
        with self.database.read() as connection:
            return question(connection, *arguments, **options)


@pytest.fixture
def bench(database: Database, clock: ManualClock) -> Iterator[Bench]:
    bench = Bench(database, clock)
    yield bench
    bench.runner.stop()


def test_a_report_comes_back_from_the_store_as_it_was(bench: Bench) -> None:
    bench.till.datasets["stock"] = [*ROWS, {"sku": "001", "price": "\ud83d"}, {"sku": None, "price": Decimal(-1)}]
    report = bench.runner.run("stock")
    assert report.counts == {"not_negative-price": 2, "unique-sku": 2}
    assert bench.read(records.report, report.run) == report
    assert bench.heard == [report]
    assert [finding.value for finding in bench.read(records.findings, report.run, rule="unique-sku")] == ["001", "001"]


def test_metrics_say_how_many_rows_break_each_rule_until_they_keep_it_again(bench: Bench) -> None:
    def rows() -> float | None:
        where = {"interface": "", "system": "till", "site": "chaoyang"}
        return bench.metrics.value("tillwatch_validation_rows", validation="stock", rule="not_negative-price", **where)

    bench.till.datasets["stock"] = [{"sku": "1", "price": Decimal(-1)}]
    bench.runner.run("stock")
    assert rows() == 1
    # Another process shows the last known state before it has run anything.
    bench.metrics = Metrics()
    bench.another("two").restore()
    assert rows() == 1
    bench.till.datasets["stock"] = []
    bench.runner.run("stock")
    bench.another("three").restore()
    assert rows() == 0


def test_of_two_processes_one_runs_a_slot(bench: Bench, clock: ManualClock) -> None:
    slot = clock.now()
    assert bench.runner.run_slot("stock", slot) is not None
    assert bench.another("two").run_slot("stock", slot) is None
    assert bench.runner.restore() == {"stock": slot}


def test_a_run_whose_process_died_is_given_up_and_run_again(bench: Bench, clock: ManualClock) -> None:
    class Killed(BaseException):
        pass

    def die(number: int) -> None:  # noqa: ARG001
        raise Killed

    begun = bench.database.write(
        lambda connection: records.begin(
            connection,
            validation="stock",
            system="till",
            dataset="stock",
            trigger="schedule",
            slot=None,
            owner="dead",
            now=clock.now(),
            lease_until=clock.now() + LEASE,
        )
    )
    assert begun is not None
    assert bench.runner.give_up_dead() == []
    clock.advance(LEASE.total_seconds())
    assert bench.runner.give_up_dead() == ["stock"]
    with pytest.raises(UsageError, match="there is no validation run"):
        bench.read(records.report, begun + 1)
    assert bench.read(records.report, begun).reason == "interrupted"


def test_a_run_that_is_told_to_stop_alarms_nobody(bench: Bench) -> None:
    bench.till.before = lambda number: bench.runner._life.stopping.set()  # noqa: ARG005
    with pytest.raises(UnavailableError, match="stopped with its process"):
        bench.runner.run("stock")
    assert bench.heard == []


def test_the_schedule_runs_a_validation_when_it_is_due(bench: Bench, clock: ManualClock) -> None:
    loop = AuditLoop(bench.runner, clock=clock, metrics=bench.metrics, name=LOOP)
    loop.prepare()
    assert loop.step() == []
    clock.advance(40)
    assert loop.step() == ["stock"]
    bench.runner.run("stock")
    assert [run.trigger for run in bench.read(records.runs, limit=5)] == ["cli", "schedule"]
    bench.runner.stop()


def test_what_was_usual_is_learned_from_earlier_runs(database: Database, clock: ManualClock) -> None:
    bench = Bench(database, clock, validation({"rule": "outlier", "field": "price", "against": "history"}))
    for _ in range(5):
        assert bench.runner.run("stock").verdict is ValidationVerdict.CLEAN
    bench.till.datasets["stock"] = [{**row, "price": Decimal(1000)} for row in ROWS]
    report = bench.runner.run("stock")
    assert len(broken(report)) == len(ROWS)
    assert report.findings[0].problem["en"].startswith("usual was 5.5")


def test_runs_without_an_answer_are_counted_until_one_has_it(bench: Bench) -> None:
    bench.till.unstable = {2, 3, 4, 5}
    verdicts = [bench.runner.run("stock").verdict for _ in range(3)]
    assert verdicts == [ValidationVerdict.CLEAN, ValidationVerdict.INCONCLUSIVE, ValidationVerdict.INCONCLUSIVE]
    assert bench.read(records.in_vain, "stock", 10) == 2
    bench.runner.run("stock")
    assert bench.read(records.in_vain, "stock", 10) == 0


def test_old_runs_are_removed_and_their_findings_with_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEEP_RUNS", 2)
    bench.till.datasets["stock"] = [{"sku": "1", "price": Decimal(-1)}]
    numbers = [bench.runner.run("stock").run for _ in range(4)]
    assert [run.run for run in bench.read(records.runs, limit=9)] == numbers[:1:-1]
    assert bench.read(records.findings, numbers[0]) == []


def test_an_unknown_validation_is_named_with_what_was_meant(bench: Bench) -> None:
    with pytest.raises(UsageError, match="unknown validation 'stok'; did you mean 'stock'"):
        bench.runner.run("stok")


def test_a_validation_may_wait_for_its_settle_time_beyond_its_timeout(database: Database, clock: ManualClock) -> None:
    rule = {"rule": "reference", "field": "sku", "to": {"dataset": "products"}}
    bench = Bench(database, clock, validation(rule, timeout=timedelta(seconds=3), settle=timedelta(seconds=60)))
    bench.till.datasets["products"] = []
    assert bench.runner.run("stock").broken == len(ROWS)


def test_a_price_that_creeps_away_from_its_own_past_is_found_among_todays_prices(
    database: Database, clock: ManualClock
) -> None:
    own = {"id": "own", "rule": "outlier", "field": "price", "by": ("sku",), "against": "history"}
    among = {"id": "among", "rule": "outlier", "field": "price"}
    bench = Bench(database, clock, validation(own, among))
    for _ in range(5):
        assert bench.runner.run("stock").verdict is ValidationVerdict.CLEAN
    # From 3 to 5 in small steps: always a price like the others, soon none of its own.
    found = []
    for price in ("3.10", "3.18", "3.30", "3.60", "4.00", "5.00"):
        bench.till.datasets["stock"] = [row | {"price": Decimal(price)} if row["sku"] == "003" else row for row in ROWS]
        found.append(bench.runner.run("stock"))
    assert [report.counts["among"] for report in found] == [0] * 6
    assert [report.counts["own"] for report in found] == [0, 0, 1, 1, 1, 1]
    assert broken(found[-1]) == [("own", "003", "5")]
    assert "usual was 3" in found[-1].findings[0].problem["en"]
    # Another process on the same store knows the past too.
    assert bench.another("two").run("stock").counts["own"] == 1


def test_only_the_newest_runs_are_remembered_for_each_things_own_history(
    database: Database, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEEP_OWN", 3)
    monkeypatch.setattr(many, "MAX_OWN", 4)
    own = {"rule": "outlier", "field": "price", "by": ("sku",), "against": "history"}
    bench = Bench(database, clock, validation(own))
    reports = [bench.runner.run("stock") for _ in range(5)]
    with database.read() as connection:
        kept = connection.execute(select(validation_own.c.run).order_by(validation_own.c.run)).scalars().all()
        assert records.own(connection, "stock", "outlier-price")[0] == dict(reports[-1].own["outlier-price"])
    assert list(kept) == [report.run for report in reports[-3:]]
    assert reports[-1].evidence["without_history"] == {"outlier-price": 6}
