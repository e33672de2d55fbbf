"""Counting and summing by group where the rows lie: right where it is offered, refused in words where it is not."""

from decimal import Decimal

import pytest
from tests.conformance.sources.conftest import Subject

from tillwatch.errors import SourceRejected
from tillwatch.sources.totals import Total, Totals


def test_rows_are_counted_and_summed_by_group(subject: Subject) -> None:
    source = subject.open(1000)
    if not isinstance(source, Totals):
        assert subject.name == "tryton"
    elif subject.name == "odata-v2":
        with pytest.raises(SourceRejected, match="v2 cannot count and sum by group"):
            source.totals("items", "name", ["price"])
    else:
        found = source.totals("items", "name", ["price"])
        assert found["case"] == Total(rows=2, sums=(Decimal("100.3"),))
        assert found["商品 11"] == Total(rows=1, sums=(Decimal("0.11"),))
    source.close()
