"""A Tryton as a source."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar
from zoneinfo import ZoneInfo

import httpx

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch
from tillwatch.sources.base import (
    BATCH_ROWS,
    Breaker,
    Capabilities,
    Check,
    DatasetDescription,
    Description,
    FieldDescription,
    Reading,
)
from tillwatch.sources.checks import Checklist
from tillwatch.sources.documents import Document, Plan, Receipt
from tillwatch.sources.tryton.catalogue import Catalogue
from tillwatch.sources.tryton.options import TrytonDataset, TrytonOptions
from tillwatch.sources.tryton.orders import first_order, orders
from tillwatch.sources.tryton.posting import Posting
from tillwatch.sources.tryton.reading import Request, first_record, records
from tillwatch.sources.tryton.session import Session


class TrytonSource:
    """Reads datasets and posts documents. Safe to use from several threads; all of them share one session."""

    kind: ClassVar[str] = "tryton"

    def __init__(
        self,
        system: str,
        options: TrytonOptions,
        *,
        clock: Clock,
        breaker: Breaker,
        zone: ZoneInfo,
        batch_rows: int = BATCH_ROWS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.id = system
        writes = options.writes == "enabled"
        self.capabilities = Capabilities(
            count=True, since=True, keys=True, write_orders=writes, write_stock=writes, revert=writes
        )
        self._options = options
        self._clock = clock
        self._batch_rows = batch_rows
        self._session = Session(system, options, clock=clock, breaker=breaker, transport=transport)
        self._catalogue = Catalogue(self._session)
        self._posting = Posting(self._session, self._catalogue, options, clock=clock, zone=options.timezone or zone)

    def __repr__(self) -> str:
        return f"TrytonSource({self.id!r}, {self._options.url!r}, {self._options.database!r})"

    def check(self) -> list[Check]:
        checks = Checklist(self._clock)
        steps = {name: f"dataset:{name}" for name in self._options.datasets}
        with checks.step("reach", fatal=True):
            self._session.version()
        if not checks.broken:
            with checks.step("login", fatal=True):
                self._session.login()
        else:
            checks.skip(["login"])
        if checks.broken:
            checks.skip(list(steps.values()))
            return checks.done()
        for name, step in steps.items():
            with checks.step(step):
                self._look(name)
        return checks.done()

    def describe(self) -> Description:
        version = self._session.version()
        return Description(
            system=self.id,
            product="tryton",
            version=version,
            datasets={name: self._describe(name, dataset) for name, dataset in self._options.datasets.items()},
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
        declared = self._dataset(dataset)
        request = Request(
            name=dataset, dataset=declared, fields=fields, since=since, keys=keys, batch_rows=self._batch_rows
        )
        if declared.is_orders:
            return orders(self._session, request)
        return records(self._session, self._catalogue, request)

    def plan(self, document: Document) -> Plan:
        return self._posting.plan(document)

    def write(self, plan: Plan) -> Receipt:
        return self._posting.write(plan)

    def find(self, document: Document) -> Receipt | None:
        return self._posting.find(document)

    def revert(self, receipt: Receipt) -> Plan:
        return self._posting.revert(receipt)

    def close(self) -> None:
        self._session.close()

    def _look(self, name: str) -> None:
        """One row, with the mapping checked against the live models; no count and no sort of a big table."""
        dataset = self._dataset(name)
        self._catalogue.column_types(name, dataset)
        if dataset.is_orders:
            first_order(self._session, dataset)
        else:
            first_record(self._session, self._catalogue, name, dataset)

    def _describe(self, name: str, dataset: TrytonDataset) -> DatasetDescription:
        types = self._catalogue.column_types(name, dataset)
        fields = {
            field: FieldDescription(name=field, column=dataset.columns.get(field, field), type=kind)
            for field, kind in types.items()
        }
        return DatasetDescription(
            name=name, fields=fields, change_field=dataset.change_field if dataset.change_field in fields else ""
        )

    def _dataset(self, name: str) -> TrytonDataset:
        if name not in self._options.datasets:
            known = did_you_mean(name, self._options.datasets, what="it has")
            raise SchemaMismatch(f"system {self.id!r} has no dataset {name!r}{known}")
        return self._options.datasets[name]
