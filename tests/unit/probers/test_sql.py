"""Is the answer of a query what it should be?"""

import pytest
from pydantic import ValidationError

from tillwatch.errors import Cause
from tillwatch.model.audit import Row
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK
from tillwatch.probers.sql import SqlOptions, judge

SEVEN: list[Row] = [{"n": 7}]


def options(**values: object) -> SqlOptions:
    return SqlOptions.model_validate(values)


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ({}, SEVEN),
        ({"min": "7", "max": "7"}, SEVEN),
        ({"equals": "7"}, SEVEN),
        ({"rows_min": 0, "rows_max": 0}, []),
        ({"max": "7.50"}, [{"n": "7.50"}]),
    ],
)
def test_a_right_answer_is_ok(values: dict[str, object], rows: list[Row]) -> None:
    assert judge(options(**values), rows) is OK


@pytest.mark.parametrize(
    ("values", "rows", "message"),
    [
        ({}, [], "the query returned 0 row(s), at least 1 expected"),
        ({"rows_max": 0, "rows_min": 0}, SEVEN, "the query returned more than 0 row(s)"),
        ({"min": "8"}, SEVEN, "the query returned 7, less than 8"),
        ({"max": "6.99"}, SEVEN, "the query returned 7, more than 6.99"),
        ({"equals": "07"}, SEVEN, "the query returned '7', '07' expected"),
        ({"max": "1"}, [{"n": None}], "the query returned 'None', which is no number"),
        ({"max": "1"}, [{"n": "NaN"}], "the query returned 'NaN', which is no number"),
    ],
)
def test_a_wrong_answer_is_a_failure_of_the_data(values: dict[str, object], rows: list[Row], message: str) -> None:
    finding = judge(options(**values), rows)
    assert (finding.outcome, finding.cause, finding.message) == (Outcome.FAILED, Cause.DATA, message)
    assert finding.message_zh


@pytest.mark.parametrize("query", ["DELETE FROM orders", "", "  ", "UPDATE stock SET quantity = 0", "drop table x"])
def test_a_statement_that_writes_is_refused_in_the_file(query: str) -> None:
    with pytest.raises(ValidationError, match="a probe only reads; write a SELECT"):
        options(query=query)


@pytest.mark.parametrize("query", ["SELECT 1", "with x as (select 1) select * from x", "(SELECT 1)", "values (1)"])
def test_a_statement_that_reads_is_accepted(query: str) -> None:
    assert options(query=query).query == query
