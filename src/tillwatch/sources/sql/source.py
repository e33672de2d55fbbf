"""A database as a source: streaming, read only, one snapshot a reading."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.exc import NoSuchTableError

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch
from tillwatch.model.audit import Row, Value
from tillwatch.model.proof import Mark
from tillwatch.sources.base import (
    BATCH_ROWS,
    Breaker,
    Capabilities,
    Check,
    DatasetDescription,
    Description,
    FieldDescription,
    Reading,
    ReadOnly,
)
from tillwatch.sources.changes import ChangeSupport, Slices
from tillwatch.sources.checks import Checklist
from tillwatch.sources.sql import values
from tillwatch.sources.sql.changes import SqlChanges
from tillwatch.sources.sql.database import Database
from tillwatch.sources.sql.options import SqlDataset, SqlOptions
from tillwatch.sources.sql.reading import Request, reading
from tillwatch.sources.sql.screening import Screen
from tillwatch.sources.sql.session import Session
from tillwatch.sources.sql.statement import as_written
from tillwatch.sources.totals import Total


class SqlSource(ReadOnly):
    """Reads datasets of one database. Safe to use from several threads."""

    kind: ClassVar[str] = "sql"
    capabilities = Capabilities(count=True, since=True, keys=True, changes=True)

    def __init__(
        self,
        system: str,
        options: SqlOptions,
        *,
        clock: Clock,
        breaker: Breaker,
        root: Path,
        batch_rows: int = BATCH_ROWS,
    ) -> None:
        self.id = system
        self._options = options
        self._clock = clock
        self._batch_rows = batch_rows
        self._database = Database(system, options, breaker=breaker, root=root)
        self._changes = SqlChanges(self._database, self._dataset)

    @property
    def dialect(self) -> str:
        """`postgresql`, `mysql` (MariaDB, too) or `sqlite`."""
        return "mysql" if self._database.dialect == "mariadb" else self._database.dialect

    def __repr__(self) -> str:
        return f"SqlSource({self.id!r}, {self._database.place!r})"

    @property
    def database(self) -> str:
        """Which database this is: the same for every system that reads it."""
        return self._database.identity

    def check(self) -> list[Check]:
        checks = Checklist(self._clock)
        steps = {name: f"dataset:{name}" for name in self._options.datasets}
        with checks.step("connect", fatal=True), self._database.connection():
            pass
        if checks.broken:
            checks.skip(list(steps.values()))
            return checks.done()
        for name, step in steps.items():
            with checks.step(step), self._database.connection() as connection:
                relation = self._database.relation(connection, name, self._dataset(name))
                connection.execute(select(*relation.columns.values()).select_from(relation.source).limit(1)).all()
        return checks.done()

    def describe(self) -> Description:
        with self._database.connection() as connection:
            dialect = connection.dialect
            return Description(
                system=self.id,
                product="mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name,
                version=".".join(str(part) for part in dialect.server_version_info or ()),
                datasets={name: self._describe(connection, name) for name in self._options.datasets},
                capabilities=self.capabilities,
            )

    def read(
        self,
        dataset: str,
        fields: Sequence[str] | None = None,
        *,
        since: datetime | None = None,
        keys: Sequence[Mapping[str, str]] | None = None,
    ) -> Reading:
        request = Request(
            system=self.id,
            name=dataset,
            dataset=self._dataset(dataset),
            fields=fields,
            since=since,
            keys=keys,
            batch_rows=self._batch_rows,
        )
        return reading(self._database, request, clock=self._clock)

    def read_slices(self, dataset: str, fields: Sequence[str], slices: Slices) -> Reading:
        request = Request(
            system=self.id,
            name=dataset,
            dataset=self._dataset(dataset),
            fields=fields,
            since=None,
            keys=None,
            batch_rows=self._batch_rows,
            slices=slices,
        )
        return reading(self._database, request, clock=self._clock)

    def read_screened(self, dataset: str, fields: Sequence[str], screen: Screen) -> Reading:
        request = Request(
            system=self.id,
            name=dataset,
            dataset=self._dataset(dataset),
            fields=fields,
            since=None,
            keys=None,
            batch_rows=self._batch_rows,
            screen=screen,
        )
        return reading(self._database, request, clock=self._clock)

    def change_support(self, dataset: str, fields: Sequence[str], *, count: bool) -> ChangeSupport:
        return self._changes.support(dataset, fields, count=count)

    def sample_keys(self, dataset: str, key: Sequence[str], *, share: float) -> list[str]:
        return self._changes.sample_keys(dataset, key, share=share)

    def fingerprints(self, dataset: str, fields: Sequence[str], slices: Slices) -> dict[str, Mark]:
        return self._changes.fingerprints(dataset, fields, slices)

    def newest_change(self, dataset: str, *, until: datetime) -> datetime | None:
        return self._changes.newest_change(dataset, until=until)

    def query(self, statement: str, *, limit: int) -> list[Row]:
        """The first `limit` rows of a reading statement that belongs to no dataset, by column name."""
        zone = self._options.timezone
        with self._database.connection() as connection, connection.execute(as_written(statement)) as result:
            names = list(result.keys())
            return [
                {name: values.canonical(cell, zone) for name, cell in zip(names, row, strict=True)}
                for row in result.fetchmany(limit)
            ]

    def totals(self, dataset: str, by: str, sums: Sequence[str]) -> dict[Value, Total]:
        with self._database.connection() as connection:
            relation = self._database.relation(connection, dataset, self._dataset(dataset))
            group = relation.columns[by]
            asked = [func.count(), *(func.sum(relation.columns[name]) for name in sums)]
            query = select(group, *asked).select_from(relation.source).group_by(group)
            zone = self._options.timezone
            found = {}
            for value, rows, *numbers in connection.execute(query):
                summed = [values.canonical(number, zone) for number in numbers]
                found[values.canonical(value, zone)] = Total(rows=rows, sums=tuple(summed))
            return found

    def session(self, dataset: str, fields: Sequence[str]) -> Session:
        """The dataset, ready to be computed on where it lies. Raises SchemaMismatch for an unknown one."""
        return Session(self._database, dataset, self._dataset(dataset), fields)

    def close(self) -> None:
        self._database.close()

    def _dataset(self, name: str) -> SqlDataset:
        if name not in self._options.datasets:
            known = did_you_mean(name, self._options.datasets, what="it has")
            raise SchemaMismatch(f"system {self.id!r} has no dataset {name!r}{known}")
        return self._options.datasets[name]

    def _describe(self, connection: Connection, name: str) -> DatasetDescription:
        dataset = self._dataset(name)
        relation = self._database.relation(connection, name, dataset)
        types = _types(connection, dataset)
        fields = {
            field: FieldDescription(name=field, column=str(column.key), type=types.get(str(column.key), ""))
            for field, column in relation.columns.items()
        }
        return DatasetDescription(name=name, fields=fields, change_field=relation.change_field(dataset.change_field))


def _types(connection: Connection, dataset: SqlDataset) -> dict[str, str]:
    """Column: declared type, for tables; a query's columns have none to ask for."""
    schema, _, table = dataset.table.rpartition(".")
    if not table:
        return {}
    try:
        columns = inspect(connection).get_columns(table, schema=schema or None)
    except NoSuchTableError:
        return {}
    return {column["name"]: str(column["type"]) for column in columns}
