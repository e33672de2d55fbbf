"""Agreeing with a database takes one connection, however many datasets the rules look at."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from tests.support.audits import ZONE
from tests.support.validations import NOW, validation

from tillwatch.clock import ManualClock
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.sql.session import Session
from tillwatch.validation.declare import declare
from tillwatch.validation.pushdown.prepare import Prepared, prepare

REFERENCES = [
    {"id": f"known-{number}", "rule": "reference", "field": "sku", "to": {"dataset": "products"}} for number in range(3)
]
LINES = {"id": "total", "rule": "sum", "field": "amount", "lines": {"dataset": "lines", "field": "amount"}}


class Counted(SqlSource):
    """Knows how many of its sessions are open at most."""

    open = most = 0

    def session(self, dataset: str, fields: Sequence[str]) -> Session:
        session = super().session(dataset, fields)
        begin, end = session.open, session.close

        def counted_open() -> None:
            begin()
            self.open += 1
            self.most = max(self.most, self.open)

        def counted_close() -> None:
            end()
            self.open -= 1

        session.open, session.close = counted_open, counted_close  # type: ignore[method-assign]
        return session


def test_one_session_is_open_at_a_time_however_many_rules_look_elsewhere(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "till.db") as database:
        for table in ("stock", "products", "lines"):
            database.execute(f"CREATE TABLE {table} (sku TEXT, amount NUMERIC)")
    database.close()
    datasets = {name: {"table": name} for name in ("stock", "products", "lines")}
    options = SqlOptions.model_validate({"url": "sqlite:///till.db", "datasets": datasets})
    source = Counted("till", options, clock=ManualClock(), breaker=MemoryBreaker(), root=tmp_path)
    prepared = prepare(declare(validation(*REFERENCES, LINES), ZONE), source, NOW)
    assert isinstance(prepared, Prepared)
    assert set(prepared.narrows) == {"known-0", "known-1", "known-2", "total"}
    assert (source.most, source.open) == (1, 0)
