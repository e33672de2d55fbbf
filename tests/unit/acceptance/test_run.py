"""What is accepted is equal in every number, and the numbers belong to the verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.audits import FakeSource, audited, chain, stock, stock_audit

from tillwatch.acceptance.manifest import Manifest, dump, load, sign
from tillwatch.acceptance.run import MAX_ROUNDS, Acceptances
from tillwatch.audit.declare import Declared, declare_all
from tillwatch.clock import ManualClock
from tillwatch.config.checks import Acceptance
from tillwatch.config.schema import Audit, Field
from tillwatch.errors import RefusedError, UsageError
from tillwatch.model.audit import AuditReport
from tillwatch.sources.base import Description

ROWS = stock(("1", "2", "3.50"), ("2", "4", "10.00"))
TOLERANT = {
    "quantity": Field(type="decimal", scale=4),
    "price": Field(type="decimal", scale=2, tolerance=Decimal("0.01")),
}


class System(FakeSource):
    """Says what it is, as every real source does."""

    def describe(self) -> Description:
        return Description(system=self.id, product="fake", version="1", datasets={}, capabilities=self.capabilities)


@dataclass
class Bench:
    """An old system and a new one, and an audit that runs for real between them."""

    spec: Audit
    old: FakeSource
    new: FakeSource
    clock: ManualClock = field(default_factory=ManualClock)
    #: Done before each run of the audit, with its number: what the systems are up to meanwhile.
    meanwhile: Callable[[int], object] = int
    runs: int = 0

    @property
    def declared(self) -> Mapping[str, Declared]:
        return declare_all(chain(self.spec))

    def run(self, audit_id: str, *, trigger: str = "cli") -> AuditReport:
        assert (audit_id, trigger) == ("stock", "acceptance")
        self.runs += 1
        self.meanwhile(self.runs)
        return audited(self.old, self.new, self.spec, clock=self.clock)

    def accept(self) -> Manifest:
        return self.acceptances().run(Acceptance(id="new-erp", name={"en": "new"}, audits=("stock",)))

    def acceptances(self) -> Acceptances:
        sources = {"erp": self.old, "till": self.new}
        return Acceptances(
            config=chain(self.spec),
            audits=self,
            open=sources.__getitem__,  # type: ignore[arg-type]
            clock=self.clock,
        )


def bench(left: list[Any] = ROWS, right: list[Any] = ROWS, **changes: Any) -> Bench:
    return Bench(stock_audit(**changes), System("erp", {"stock": list(left)}), System("till", {"stock": list(right)}))


def test_what_is_equal_in_every_number_is_accepted_at_once() -> None:
    made = bench()
    manifest = made.accept()
    (one,) = manifest.datasets
    assert (manifest.accepted, one.stable, one.unequal, one.rows, made.runs) == (True, True, {}, (), 1)
    assert one.left.sums == one.right.sums == {"quantity": "6.0000", "price": "13.50"}


def test_a_clean_audit_with_unequal_sums_and_digests_is_not_accepted() -> None:
    """A tolerance is for daily work: a migration that rounds every price is still a migration that changed them."""
    made = bench(right=stock(("1", "2", "3.51"), ("2", "4", "10.00")), fields=TOLERANT)
    manifest = made.accept()
    (one,) = manifest.datasets
    assert (one.verdict.value, manifest.accepted) == ("clean", False)
    assert set(one.unequal) == {"sum of price", "sha256"}
    assert (one.unequal["sum of price"].left, one.unequal["sum of price"].right) == ("13.50", "13.51")
    with pytest.raises(RefusedError, match="stock: unequal sha256, unequal sum of price"):
        sign(manifest, by="li.na", reason="fine", at=made.clock.now(), despite=False)


def test_equal_sums_with_unequal_rows_are_not_accepted_and_the_rows_are_named() -> None:
    manifest = bench(right=stock(("1", "4", "3.50"), ("2", "2", "10.00"))).accept()
    (one,) = manifest.datasets
    assert (set(one.unequal), manifest.accepted, one.stable) == ({"sha256"}, False, True)
    assert [(row.key, row.fields, row.left, row.right) for row in one.rows] == [
        ({"sku": "1"}, ("quantity",), {"quantity": "2.0000", "price": "3.50"}, {"quantity": "4.0000", "price": "3.50"}),
        ({"sku": "2"}, ("quantity",), {"quantity": "4.0000", "price": "10.00"}, {"quantity": "2.0000", "price": "10.00"}),
    ]  # fmt: skip
    assert load(dump(manifest), file="m.json") == manifest


def test_numbers_of_systems_that_stand_still_are_measured_twice_not_more() -> None:
    made = bench(right=ROWS[:1])
    manifest = made.accept()
    assert (made.runs, manifest.datasets[0].missing, manifest.datasets[0].stable) == (1, 1, True)


def test_a_row_that_arrives_late_is_measured_again_until_both_agree() -> None:
    made = bench(right=ROWS[:1])

    def arrive(_: int) -> None:
        made.new.datasets["stock"] = list(ROWS)

    made.meanwhile = arrive
    manifest = made.accept()
    assert (manifest.accepted, manifest.datasets[0].right.rows, made.runs) == (True, 2, 2)


def test_systems_that_never_stand_still_are_not_accepted() -> None:
    made = bench(right=ROWS[:1], fields=TOLERANT)

    def creep(run: int) -> None:
        made.new.datasets["stock"] = [{**ROWS[0], "quantity": Decimal(run + 10)}, ROWS[1]]

    made.meanwhile = creep
    manifest = made.accept()
    assert (made.runs, manifest.accepted, manifest.datasets[0].stable) == (MAX_ROUNDS, False, False)
    assert manifest.datasets[0].complaint.endswith("never stood still while it was measured")


def test_signed_rows_stay_when_they_are_kept_again_after_the_system_changed(tmp_path: Path) -> None:
    made = bench()
    manifest = made.accept()
    (file,) = made.acceptances().keep(manifest, tmp_path).values()
    signed = file.read_bytes()
    made.new.datasets["stock"] = stock(("1", "2", "3.50"))
    with pytest.raises(UsageError, match=r"till.stock is not what the manifest says any more; its rows are not kept"):
        made.acceptances().keep(manifest, tmp_path)
    assert (list(tmp_path.iterdir()), file.read_bytes()) == ([file], signed)


def test_numbers_and_rows_that_changed_are_of_one_reading(tmp_path: Path) -> None:
    made = bench()
    manifest = made.accept()
    made.acceptances().keep(manifest, tmp_path)
    made.new.datasets["stock"] = stock(("1", "3", "3.50"), ("2", "4", "10.00"))
    made.new.asked.clear()
    (changed,) = made.acceptances().verify(manifest, folder=tmp_path).values()
    assert changed.numbers["sum of quantity"] == {"kept": "6.0000", "found": "7.0000"}
    assert [(row["kind"], row["key"]) for row in changed.rows] == [("changed", {"sku": "1"})]
    assert len(made.new.asked) == 1


def test_kept_rows_are_looked_at_only_when_something_changed(tmp_path: Path) -> None:
    made = bench()
    manifest = made.accept()
    (same,) = made.acceptances().verify(manifest, folder=tmp_path / "none").values()
    assert (same.numbers, same.rows) == ({}, [])
    made.new.datasets["stock"] = []
    with pytest.raises(UsageError, match="keep the rows with 'acceptance keep'"):
        made.acceptances().verify(manifest, folder=tmp_path / "none")
