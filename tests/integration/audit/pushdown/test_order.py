"""Tables that records are not taken from as they stand: kept in another order, or numbered otherwise, than their names
say, or full of values that only reading can tell."""

import pytest
from tests.support.audits import ZONE
from tests.support.engines import Engines, audited, spec_of
from tests.support.postgres import Postgres

from tillwatch.audit.pushdown import matching
from tillwatch.clock import SystemClock
from tillwatch.config.schema import Field
from tillwatch.config.secrets import Secret
from tillwatch.model.audit import Verdict
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.options import SqlDataset
from tillwatch.sources.sql.session import Session

FIELDS = {"qty": Field(type="integer")}


def test_a_column_called_rowid_does_not_hide_rows(engines: Engines) -> None:
    columns = {"id": "integer", "rowid": "text", "qty": "integer"}
    rows = [{"id": number, "rowid": "same", "qty": 1} for number in range(2_000)]
    engines.fill("sqlite", "left_order", columns, rows, key=["id"])
    engines.fill("sqlite", "right_order", columns, [*rows, {"id": 5_000, "rowid": "same", "qty": 1}], key=["id"])
    sides = engines.source("left", "sqlite", "left_order"), engines.source("right", "sqlite", "right_order")
    report = audited(*sides, spec_of(["id"], FIELDS), "records")
    assert (report.verdict, report.extra, report.left.rows) == (Verdict.DRIFT, 1, 2_000), report.strategy_reason


def test_rows_that_only_reading_can_tell_are_never_gathered_without_bound(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "MAX_KEYS", 100)
    fields = {"qty": Field(type="decimal", scale=4)}
    columns = {"id": "integer", "qty": "numeric"}
    # Half way between two numbers of four places, which a binary number only comes close to.
    rows = [{"id": number, "qty": number + 0.00005} for number in range(400)]
    for table in ("left_odd", "right_odd"):
        engines.fill("sqlite", table, columns, rows, key=["id"])
    sides = engines.source("left", "sqlite", "left_odd"), engines.source("right", "sqlite", "right_odd")
    report = audited(*sides, spec_of(["id"], fields), "records")
    assert (report.verdict, report.strategy, report.left.rows) == (Verdict.CLEAN, "stream", 400)
    assert "more than 100 rows hold a value that only reading can tell" in report.strategy_reason


@pytest.fixture
def linguistic(postgres: Postgres) -> str:
    """A database ordered by ICU that names the C library's order by code point as its collation."""
    name = "ordered_by_icu"
    postgres.execute(
        "postgres",
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'und'"
        " LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'",
    )
    return postgres.url(name)


def test_an_order_by_icu_is_not_taken_for_the_order_its_name_says(linguistic: str, engines: Engines) -> None:
    options = SqlOptions(url=Secret(linguistic), timezone=ZONE, datasets={"rows": SqlDataset(table="stock")})
    source = SqlSource("left", options, clock=SystemClock(), breaker=MemoryBreaker(), root=engines.folder)
    engines.postgres.execute("ordered_by_icu", 'CREATE TABLE stock (id text PRIMARY KEY, other text COLLATE "C")')
    session: Session = source.session("rows", ["id", "other"])
    session.open()
    try:
        assert [tuple(row) for row in session.rows("SELECT ':' < '9'")] == [(True,)]
        assert (session.columns["id"].collation, session.columns["other"].collation) == ("other", "C")
    finally:
        session.close()
        source.close()
