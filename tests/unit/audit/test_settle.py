"""What becomes of rows that differ while they are waited for."""

from datetime import timedelta

from tests.support.audits import FakeSource, audited, stock, stock_audit

from tillwatch.model.audit import Row, Verdict

BROKEN: list[Row] = [{**stock(("001", "1", "1"))[0], "quantity": "12x"}]


def becoming(system: str, first: list[Row], then: list[Row]) -> FakeSource:
    """A side that holds `first` when it is read whole and `then` at every later look."""
    source = FakeSource(system, {"stock": first})

    def change(number: int) -> None:
        source.datasets["stock"] = first if number == 1 else then

    source.before = change
    return source


def test_a_row_that_becomes_equal_by_a_value_nobody_can_read_is_never_clean() -> None:
    left = becoming("erp", stock(("001", "1", "1")), BROKEN)
    right = becoming("till", stock(("001", "9", "1")), BROKEN)
    report = audited(left, right, stock_audit(settle=timedelta(seconds=30)))
    assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "2 values cannot be read as their declared type")
    assert report.evidence["unreadable_right"] == {"count": 1, "examples": ["001: quantity: '12x'"]}


def test_what_could_not_be_read_at_first_is_not_counted_again_when_it_becomes_equal() -> None:
    left = becoming("erp", BROKEN, BROKEN)
    right = becoming("till", stock(("001", "9", "1")), BROKEN)
    report = audited(left, right, stock_audit(settle=timedelta(seconds=30)))
    assert (report.verdict, report.reason) == (Verdict.INCONCLUSIVE, "1 values cannot be read as their declared type")
