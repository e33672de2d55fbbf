"""One audit from end to end: what is found, and what is never claimed."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from tests.support.audits import FakeSource, audited, compared, stock, stock_audit

from tillwatch.audit import examine as examine_module
from tillwatch.audit.reading import Leftovers
from tillwatch.audit.spill import Spill
from tillwatch.clock import ManualClock
from tillwatch.config.schema import Field
from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceUnavailable
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, Row, Verdict

VALUE = "abs(coalesce(left.quantity, 0) - coalesce(right.quantity, 0)) * coalesce(left.price, right.price)"


def found(report: AuditReport) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(str(row.kind), row.key["sku"], row.fields) for row in report.differences]


def test_equal_sides_are_clean_in_any_order() -> None:
    rows = stock(("001", "5", "1.00"), ("002", "6", "2.00"), ("003", "7", "3.00"))
    report = compared(rows, rows[::-1])
    assert (report.verdict, report.reason, report.differences) == (Verdict.CLEAN, "both sides agree", ())
    assert (report.left.rows, report.right.rows, report.bytes_read) == (3, 3, 20)
    assert report.strategy == "stream"
    assert "cannot both be asked to compute" in report.strategy_reason


def test_two_empty_sides_agree() -> None:
    assert compared([], []).verdict is Verdict.CLEAN


def test_missing_extra_and_changed_rows_are_found_with_both_sides_and_their_worth() -> None:
    left = stock(("001", "5", "1.00"), ("002", "6", "2.00"), ("003", "7", "3.00"))
    right = stock(("001", "5", "1.00"), ("003", "9.5", "3.00"), ("004", "1", "4.00"))
    report = compared(left, right, stock_audit(value=VALUE))
    assert report.verdict is Verdict.DRIFT
    assert report.reason == "1 missing, 1 extra, 1 changed"
    assert (report.missing, report.extra, report.changed) == (1, 1, 1)
    assert report.value_at_risk == Decimal("12") + Decimal("7.5") + Decimal("4")
    assert report.differences == (
        Difference(
            kind=DifferenceKind.MISSING,
            key={"sku": "002"},
            left={"quantity": "6.0000", "price": "2.00"},
            right=None,
            value_at_risk=Decimal("12"),
        ),
        Difference(
            kind=DifferenceKind.CHANGED,
            key={"sku": "003"},
            left={"quantity": "7.0000", "price": "3.00"},
            right={"quantity": "9.5000", "price": "3.00"},
            fields=("quantity",),
            value_at_risk=Decimal("7.5"),
        ),
        Difference(
            kind=DifferenceKind.EXTRA,
            key={"sku": "004"},
            left=None,
            right={"quantity": "1.0000", "price": "4.00"},
            value_at_risk=Decimal("4"),
        ),
    )


def test_a_smallest_step_is_found_and_one_below_the_declared_scale_is_not() -> None:
    left = stock(("001", "1.0000", "1"), ("002", "1.00001", "1"))
    right = stock(("001", "1.0001", "1"), ("002", "1.00004", "1"))
    assert found(compared(left, right)) == [("changed", "001", ("quantity",))]


def test_a_tolerance_is_exact_at_its_edge() -> None:
    fields = {"price": Field(type="decimal", scale=2, tolerance=Decimal("0.01")), "quantity": Field(type="decimal")}
    left = stock(("001", "1", "1.00"), ("002", "1", "1.00"), ("003", "1", "1.00"))
    right = stock(("001", "1", "1.01"), ("002", "1", "1.02"), ("003", "1", "0.99"))
    assert found(compared(left, right, stock_audit(fields=fields))) == [("changed", "002", ("price",))]


def test_null_differs_from_empty_and_from_zero() -> None:
    fields = {"name": Field(type="text"), "quantity": Field(type="decimal", tolerance=Decimal(1))}
    left: list[Row] = [
        {"sku": "1", "name": None, "quantity": Decimal(0)},
        {"sku": "2", "name": "", "quantity": None},
        {"sku": "3", "name": None, "quantity": None},
    ]
    right: list[Row] = [
        {"sku": "1", "name": "", "quantity": Decimal(0)},
        {"sku": "2", "name": "", "quantity": Decimal(0)},
        {"sku": "3", "name": None, "quantity": None},
    ]
    report = compared(left, right, stock_audit(fields=fields))
    assert found(report) == [("changed", "1", ("name",)), ("changed", "2", ("quantity",))]
    assert report.differences[0].left == {"name": None, "quantity": "0"}
    joined = stock_audit(fields={**fields, "name": Field(type="text", empty_is_null=True)})
    assert found(compared(left, right, joined)) == [("changed", "2", ("quantity",))]


def test_values_never_run_into_one_another() -> None:
    fields = {"a": Field(type="text"), "b": Field(type="text")}
    left: list[Row] = [{"sku": "1", "a": 'x","', "b": ""}, {"sku": "2", "a": None, "b": "x"}]
    right: list[Row] = [{"sku": "1", "a": "x", "b": '","'}, {"sku": "2", "a": "x", "b": None}]
    assert compared(left, right, stock_audit(fields=fields)).changed == 2


def test_keys_are_trimmed_but_keep_their_zeros() -> None:
    left, right = stock(("00123", "1", "1")), stock((" 00123 ", "1", "1"), ("123", "1", "1"))
    assert found(compared(left, right)) == [("extra", "123", ())]


def test_full_width_keys_meet_only_when_asked_to() -> None:
    left, right = stock(("SKU１", "1", "1")), stock(("SKU1", "1", "1"))
    assert compared(left, right).verdict is Verdict.DRIFT
    folded = {**{"sku": Field(type="code", fold_width=True)}, **stock_audit().fields}
    assert compared(left, right, stock_audit(fields=folded)).verdict is Verdict.CLEAN


def test_composite_keys_do_not_collide() -> None:
    left: list[Row] = [{"a": "1", "b": "23", "q": 1}, {"a": "12", "b": "3", "q": 2}]
    right: list[Row] = [{"a": "12", "b": "3", "q": 2}, {"a": "1", "b": "23", "q": 1}]
    spec = stock_audit(key=("a", "b"), fields={"q": Field(type="integer")})
    assert compared(left, right, spec).verdict is Verdict.CLEAN


def test_an_empty_key_is_a_key() -> None:
    assert compared(stock(("", "1", "1")), stock(("", "2", "1"))).changed == 1


def test_a_field_only_the_value_needs_is_shown_and_priced_but_not_compared() -> None:
    left: list[Row] = [{"sku": "1", "quantity": Decimal(2), "cost": Decimal("3.50")}]
    right: list[Row] = [{"sku": "1", "quantity": Decimal(5)}]
    spec = stock_audit(fields={"quantity": Field(type="decimal")}, value="(right.quantity - left.quantity) * left.cost")
    report = compared(left, right, spec)
    assert report.differences[0].left == {"quantity": "2", "cost": "3.5"}
    assert report.differences[0].fields == ("quantity",)
    assert report.value_at_risk == Decimal("10.5")


def test_a_repeated_key_fails_the_audit_and_is_named() -> None:
    report = compared(stock(("001", "1", "1"), ("001", "1", "1"), ("002", "1", "1")), stock(("001", "1", "1")))
    assert report.verdict is Verdict.FAILED
    assert report.reason == "erp.stock holds 1 key more than once: 001; make the key unique or fix the rows"
    assert (report.differences, report.missing) == ((), 0)


def test_many_repeated_keys_are_counted_in_full_and_named_in_part() -> None:
    rows = stock(*((f"{number:03}", "1", "1") for number in range(30)))
    report = compared([], rows + rows)
    assert "till.stock holds 30 keys more than once: 000, 001" in report.reason
    assert "and 10 more" in report.reason


def test_rows_without_a_key_fail_the_audit() -> None:
    report = compared([{"sku": None, "quantity": Decimal(1), "price": Decimal(1)}], [])
    assert report.verdict is Verdict.FAILED
    assert report.reason == "erp.stock holds 1 rows without a usable key: sku is NULL"


def test_a_value_that_cannot_be_read_is_never_clean() -> None:
    broken: list[Row] = [{"sku": "1", "quantity": "abc", "price": Decimal(1)}]
    report = compared(broken, broken)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason == "2 values cannot be read as their declared type"
    assert report.evidence["unreadable_left"] == {"count": 1, "examples": ["1: quantity: 'abc' is not a decimal"]}


def test_an_unreadable_value_against_a_good_one_is_drift_that_shows_it() -> None:
    broken: list[Row] = [{"sku": "1", "quantity": "abc", "price": Decimal(1)}]
    report = compared(broken, stock(("1", "5", "1")))
    assert report.verdict is Verdict.DRIFT
    assert report.reason == "0 missing, 0 extra, 1 changed; 1 values cannot be read as their declared type"
    assert report.differences[0].left == {"quantity": "abc", "price": "1.00"}


def test_a_column_that_is_not_there_fails_the_audit() -> None:
    report = compared([{"sku": "1", "quantity": Decimal(1)}], [])
    assert report.verdict is Verdict.FAILED
    assert report.reason == "erp.stock: a row has no field 'price'; the dataset must give sku, quantity, price"


def pair() -> tuple[FakeSource, FakeSource]:
    rows = stock(("001", "1", "1"), ("002", "2", "2"), ("003", "3", "3"))
    return FakeSource("erp", {"stock": rows}), FakeSource("till", {"stock": list(rows)})


def test_a_wrong_count_is_read_again_and_believed_when_it_then_fits() -> None:
    left, right = pair()
    right.counts = {1: 7}
    report = audited(left, right)
    assert report.verdict is Verdict.CLEAN
    assert (len(left.asked), len(right.asked)) == (1, 2)


def test_a_count_that_stays_wrong_is_inconclusive_never_drift() -> None:
    left, right = pair()
    right.datasets["stock"].pop()
    right.counts = {1: 3, 2: 3}
    report = audited(left, right)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason == "till.stock counts 3 rows, 2 arrived; read twice, so this is no evidence of drift"
    assert report.differences == ()


def test_data_that_keeps_moving_while_it_is_read_is_inconclusive() -> None:
    left, right = pair()
    left.unstable = {1, 2}
    report = audited(left, right)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason.startswith("erp.stock changed while it was read")


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (SourceUnavailable("connection refused", cause=Cause.TCP), "tcp"),
        (AuthRefused("user tillwatch was refused"), "auth"),
        (SchemaMismatch("there is no table stock"), "data"),
    ],
)
def test_a_side_that_fails_fails_the_audit_with_its_own_words_and_cause(error: Exception, cause: str) -> None:
    left, right = pair()

    def refuse(_: int) -> None:
        raise error

    right.before = refuse
    report = audited(left, right)
    assert report.verdict is Verdict.FAILED
    assert report.reason == f"till.stock: {error}"
    assert report.evidence["cause"] == cause


def test_a_defect_of_a_source_is_a_failed_audit_not_a_crash() -> None:
    left, right = pair()

    def burst(_: int) -> None:
        raise ZeroDivisionError("division by zero")

    left.before = burst
    report = audited(left, right)
    assert report.reason == "erp.stock could not be read, a defect of the source: ZeroDivisionError: division by zero"


def test_a_side_that_hangs_ends_at_the_timeout_and_costs_one_thread() -> None:
    left, right = pair()
    clock, let_go, leftovers = ManualClock(), threading.Event(), Leftovers()

    def hang(_: int) -> None:
        clock.advance(601)
        let_go.wait(30)

    right.before = hang
    try:
        report = audited(left, right, clock=clock, leftovers=leftovers)
        again = audited(left, right, clock=clock, leftovers=leftovers)
    finally:
        let_go.set()
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("not finished after 600 s, while reading ")
    assert "till.stock; raise the audit's timeout or look at why the side is slow" in report.reason
    assert again.reason == (
        "till.stock was not read: an earlier reading of till still hangs; lower that source's timeout_seconds or look "
        "at why it does not answer"
    )
    assert len(right.asked) == 1


def test_a_full_temporary_folder_fails_the_audit_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Tiny(Spill):
        """Has room for a few pages only: SQLite then says what a full disk says."""

        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self._connection.execute("PRAGMA max_page_count = 6")

    monkeypatch.setattr(examine_module, "Spill", Tiny)
    rows = stock(*((f"{number:05}", "1", "1") for number in range(5000)))
    report = compared(rows, rows)
    assert report.verdict is Verdict.FAILED
    assert report.reason == (
        "the temporary files of the comparison cannot be written (database or disk is full); free space in the "
        "temporary folder, or point TMPDIR at a larger one"
    )


def test_an_audit_told_to_stop_stops() -> None:
    left, right = pair()
    stop = threading.Event()
    stop.set()
    report = audited(left, right, stop=stop)
    assert report.verdict is Verdict.FAILED
    assert report.reason.startswith("stopped while reading")


def test_only_the_first_differences_are_kept_but_all_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine_module, "MAX_DIFFERENCES_KEPT", 3)
    rows = stock(*((f"{number:03}", "2", "1.50") for number in range(10)))
    report = compared(rows, [], stock_audit(value="left.quantity * left.price"))
    assert [row.key["sku"] for row in report.differences] == ["000", "001", "002"]
    assert (report.missing, report.value_at_risk) == (10, Decimal("30"))
    assert report.evidence["differences_kept"] == 3


SETTLED = stock_audit(settle=timedelta(seconds=30))


def late(source: FakeSource, *versions: Sequence[Row]) -> None:
    """Give `source` another content at each reading; the last one stays."""

    def change(number: int) -> None:
        source.datasets["stock"] = list(versions[min(number, len(versions)) - 1])

    source.before = change


def test_a_row_in_flight_is_not_drift() -> None:
    left, right = pair()
    late(right, stock(("001", "1", "1"), ("002", "9", "2")), left.datasets["stock"])
    clock = ManualClock()
    report = audited(left, right, SETTLED, clock=clock)
    assert (report.verdict, report.unsettled) == (Verdict.CLEAN, 0)
    assert (report.evidence["suspects"], report.evidence["cleared"], report.evidence["settle_rounds"]) == (2, 2, 1)
    # It was seen to arrive within the window, so nothing more is waited for.
    assert 0 < clock.monotonic() < 30


def test_only_the_differing_keys_are_read_again() -> None:
    left, right = pair()
    right.datasets["stock"] = stock(("001", "1", "1"), ("002", "9", "2"))
    report = audited(left, right, SETTLED)
    assert found(report) == [("changed", "002", ("quantity",)), ("missing", "003", ())]
    assert left.asked[1] == ("stock", [{"sku": "002"}, {"sku": "003"}])
    assert right.asked[1] == ("stock", [{"sku": "002"}, {"sku": "003"}])
    assert (report.left.rows, report.right.rows) == (3, 2)


@pytest.mark.parametrize("reason", ["no keys", "keys written differently"])
def test_a_system_that_cannot_be_asked_for_keys_is_read_whole_again(reason: str) -> None:
    left, right = pair()
    right.datasets["stock"] = stock(("001 ", "1", "1"), ("002", "9", "2"))
    right.keys = reason != "no keys"
    report = audited(left, right, SETTLED)
    assert found(report) == [("changed", "002", ("quantity",)), ("missing", "003", ())]
    # Once to find them, and at the end of each of the two windows.
    assert [keys for _, keys in left.asked + right.asked] == [None] * 6


def test_a_row_that_keeps_moving_is_unsettled_and_never_called_consistent() -> None:
    left, right = pair()
    right.keys = False  # so that it cannot be followed with quick looks
    moving = [stock(("001", "1", "1"), ("002", str(number), "2"), ("003", "3", "3")) for number in range(10, 20)]
    late(right, *moving)
    report = audited(left, right, SETTLED)
    assert report.verdict is Verdict.INCONCLUSIVE
    assert report.reason == "1 rows differ but kept moving"
    assert (report.unsettled, report.differences) == (1, ())
    assert report.evidence["unsettled_keys"] == [{"sku": "002"}]
    assert report.evidence["settle_rounds"] == 4


def test_a_row_that_moves_once_and_then_stands_wrong_is_drift() -> None:
    left, right = pair()
    late(right, *[stock(("001", "1", "1"), ("002", wrong, "2"), ("003", "3", "3")) for wrong in ("8", "9", "9")])
    report = audited(left, right, SETTLED)
    assert found(report) == [("changed", "002", ("quantity",))]
    assert report.differences[0].right == {"quantity": "9.0000", "price": "2.00"}
    assert report.evidence["settle_rounds"] == 3


def test_drift_beside_moving_rows_is_drift_and_says_so() -> None:
    left, right = pair()
    right.keys = False
    moving = [stock(("001", "5", "1"), ("002", str(number), "2"), ("003", "3", "3")) for number in range(10, 20)]
    late(right, *moving)
    report = audited(left, right, SETTLED)
    assert found(report) == [("changed", "001", ("quantity",))]
    assert report.reason == "0 missing, 0 extra, 1 changed; 1 rows differ but kept moving"


def test_a_side_that_is_lost_while_rows_settle_confirms_nothing() -> None:
    left, right = pair()
    right.datasets["stock"].pop()

    def lost(number: int) -> None:
        if number == 2:
            raise SourceUnavailable("connection reset", cause=Cause.TCP)

    right.before = lost
    report = audited(left, right, SETTLED)
    assert report.verdict is Verdict.FAILED
    assert (report.missing, report.differences) == (0, ())
    assert report.evidence["suspects"] == 1


def test_waiting_for_rows_to_settle_does_not_use_up_the_timeout() -> None:
    left, right = pair()
    right.datasets["stock"].pop()
    spec = stock_audit(settle=timedelta(seconds=30), timeout=timedelta(seconds=5))
    assert audited(left, right, spec).verdict is Verdict.DRIFT
