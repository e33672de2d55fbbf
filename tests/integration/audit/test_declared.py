"""Currencies and categories go with digests, too: two SQLite files, of which only the rows that differ are read."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.audits import ZONE
from tests.support.engines import audited, spec_of

from tillwatch.clock import SystemClock
from tillwatch.config.schema import Field
from tillwatch.config.secrets import Secret
from tillwatch.model.audit import Verdict
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.options import SqlDataset

ROWS = 3_000
Line = tuple[int, int, str, str]


def source(folder: Path, system: str, rows: Sequence[Line]) -> SqlSource:
    file = folder / f"{system}.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, amount INTEGER, currency TEXT, family TEXT)")
        connection.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
    options = SqlOptions(url=Secret(f"sqlite:///{file}"), timezone=ZONE, datasets={"rows": SqlDataset(table="rows")})
    return SqlSource(system, options, clock=SystemClock(), breaker=MemoryBreaker(), root=folder)


@pytest.mark.parametrize("strategy", ["digest", "stream"])
def test_another_currency_and_the_category_are_found_by_every_strategy(tmp_path: Path, strategy: str) -> None:
    rows: list[Line] = [(one, one * 7, "CNY", "dairy" if one % 2 else "tea") for one in range(ROWS)]
    other = list(rows)
    other[1201] = (1201, 1201 * 7, "USD", "dairy")
    other[2400] = (2400, 1, "CNY", "tea")
    # Read on the left only and not compared.
    other[7] = (7, 49, "CNY", "renamed")
    spec = spec_of(
        ["id"],
        {"id": Field(type="integer"), "amount": Field(type="integer", currency="currency")},
        category="family",
    )
    report = audited(source(tmp_path, "left", rows), source(tmp_path, "right", other), spec, strategy)
    assert (report.verdict, report.strategy) == (Verdict.DRIFT, strategy)
    assert [(one.key["id"], one.fields) for one in report.differences] == [
        ("1201", ("currency",)),
        ("2400", ("amount",)),
    ]
    assert report.evidence["other_currency"] == {"rows": 1, "fields": ["currency"]}
    assert report.evidence["by_category"] == {
        "field": "family",
        "groups": [
            {"category": "dairy", "rows": 1, "value_at_risk": "0.00"},
            {"category": "tea", "rows": 1, "value_at_risk": "0.00"},
        ],
    }
