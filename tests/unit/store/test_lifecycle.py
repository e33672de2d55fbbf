"""Audits and validations live the same life on the store."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from tillwatch.clock import ManualClock
from tillwatch.store import audits, validations
from tillwatch.store.db import Database
from tillwatch.store.lifecycle import Lifecycle

LEASE = timedelta(seconds=20)
KINDS = {
    "audit": (
        audits.LIFE,
        {"missing": 0, "extra": 0, "changed": 0, "unsettled": 0, "late": 0, "value_at_risk": Decimal(0)},
    ),
    "validation": (validations.LIFE, {"system": "till", "dataset": "stock", "rows": 0, "rows_read": 0}),
}


class Kind:
    """Runs of one kind of `stock`, begun by `one`."""

    def __init__(self, name: str, database: Database, clock: ManualClock) -> None:
        self.life: Lifecycle
        self.life, blank = KINDS[name]
        self.blank = {"strategy_reason": "", **blank} if name == "audit" else blank
        self.database, self.clock = database, clock

    def begin(self, *, scheduled: bool = False) -> int | None:
        now = self.clock.now()
        return self.database.write(
            lambda connection: self.life.begin(
                connection, "stock", trigger="schedule", slot=now if scheduled else None, owner="one", now=now,
                lease_until=now + LEASE, blank=self.blank,
            )
        )  # fmt: skip

    def complete(self, run: int, verdict: str, owner: str = "one") -> bool:
        now = self.clock.now()
        return self.database.write(
            lambda connection: self.life.complete(connection, run, owner, now, {"verdict": verdict})
        )

    def numbers(self) -> list[int]:
        with self.database.read() as connection:
            return list(connection.execute(select(self.life.runs.c.id).order_by(self.life.runs.c.id)).scalars())


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest, database: Database, clock: ManualClock) -> Kind:
    return Kind(request.param, database, clock)


def test_an_instant_is_run_for_once_and_a_run_somebody_asked_for_always(kind: Kind) -> None:
    first = kind.begin(scheduled=True)
    assert first is not None
    assert kind.begin(scheduled=True) is None
    assert kind.begin() is not None
    with kind.database.read() as connection:
        assert kind.life.last_slots(connection) == {"stock": kind.clock.now()}


def test_a_run_given_up_takes_no_sign_of_life_and_no_result(kind: Kind) -> None:
    run = kind.begin()
    assert run is not None
    kind.clock.advance(LEASE.total_seconds() + 1)
    late = kind.clock.now() + LEASE
    assert kind.database.write(lambda connection: kind.life.give_up(connection, kind.clock.now())) == [run]
    assert not kind.database.write(lambda connection: kind.life.renew(connection, run, "one", late))
    assert not kind.complete(run, "clean")
    with kind.database.read() as connection:
        assert not kind.life.is_ours(connection, run, "one")
        assert kind.life.in_vain(connection, "stock", 5, answers=("clean",)) == 1


def test_only_the_owner_completes_and_withdraws_a_run(kind: Kind) -> None:
    run = kind.begin()
    assert run is not None
    assert not kind.complete(run, "clean", owner="two")
    kind.database.write(lambda connection: kind.life.withdraw(connection, run, "two"))
    assert kind.numbers() == [run]
    kind.database.write(lambda connection: kind.life.withdraw(connection, run, "one"))
    assert kind.numbers() == []


def test_old_runs_go_but_not_one_that_something_stands_on_nor_one_under_way(kind: Kind) -> None:
    runs = [run for _ in range(5) if (run := kind.begin()) is not None]
    for run in runs[1:]:
        assert kind.complete(run, "clean")
    kept = kind.life.runs.c.id == runs[1]
    kind.database.write(lambda connection: kind.life.prune(connection, "stock", keep=2, unless=kept))
    assert kind.numbers() == [runs[0], runs[1], runs[3], runs[4]]
