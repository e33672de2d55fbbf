"""An OData service as a source: read only."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime
from typing import ClassVar

import httpx

from tillwatch.clock import Clock
from tillwatch.config.bind import did_you_mean
from tillwatch.errors import SchemaMismatch
from tillwatch.model.audit import Value
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
from tillwatch.sources.changes import Slices, Tracked
from tillwatch.sources.checks import Checklist
from tillwatch.sources.odata import aggregates, tracking
from tillwatch.sources.odata.catalogue import Catalogue, Relation
from tillwatch.sources.odata.options import ODataDataset, ODataOptions
from tillwatch.sources.odata.reading import Reader, Request
from tillwatch.sources.odata.session import Session
from tillwatch.sources.totals import Total


class ODataSource(ReadOnly):
    """Safe to use from several threads; all of them share one pool of connections and one budget."""

    kind: ClassVar[str] = "odata"

    def __init__(
        self,
        system: str,
        options: ODataOptions,
        *,
        clock: Clock,
        breaker: Breaker,
        batch_rows: int = BATCH_ROWS,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.id = system
        self.capabilities = Capabilities(
            count=all(dataset.count != "none" for dataset in options.datasets.values()), since=True, keys=True
        )
        self._options = options
        self._clock = clock
        self._batch_rows = batch_rows
        self._session = Session(system, options, clock=clock, breaker=breaker, transport=transport)
        self._catalogue = Catalogue(self._session, options)
        self._reader = Reader(session=self._session, options=options, clock=clock, pool=self._threads)
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def __repr__(self) -> str:
        return f"ODataSource({self.id!r}, {self._options.url!r})"

    def check(self) -> list[Check]:
        checks = Checklist(self._clock)
        steps = {name: f"dataset:{name}" for name in self._options.datasets}
        with checks.step("reach", fatal=True):
            self._session.reach()
        if checks.broken:
            checks.skip(["metadata", *steps.values()])
            return checks.done()
        with checks.step("metadata", fatal=True):
            self._catalogue.model(fresh=True)
        if checks.broken:
            checks.skip(list(steps.values()))
            return checks.done()
        for name, step in steps.items():
            with checks.step(step):
                self._reader.first(self._relation(name))
        return checks.done()

    def describe(self) -> Description:
        model = self._catalogue.model(fresh=True)
        return Description(
            system=self.id,
            product=", ".join(model.namespaces) or "odata",
            version=f"OData {model.version}",
            datasets={name: self._describe(name) for name in self._options.datasets},
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
        self._dataset(dataset)
        return self._reader.reading(
            Request(
                relation=lambda: self._relation(dataset),
                name=dataset,
                fields=fields,
                since=since,
                keys=keys,
                batch_rows=self._batch_rows,
            )
        )

    def tracks(self, dataset: str) -> bool:
        return self._dataset(dataset).track_changes

    def changes_since(
        self, dataset: str, fields: Sequence[str], key: Sequence[str], token: str, *, limit: int
    ) -> Tracked:
        relation = self._relation(dataset)
        return tracking.changes_since(self._reader, relation, fields, key, token, limit=limit)

    def cuts(self, dataset: str, key: Sequence[str]) -> bool:
        return tracking.cuts(self._relation(dataset), key)

    def read_slices(self, dataset: str, fields: Sequence[str], slices: Slices) -> Reading:
        self._dataset(dataset)
        return tracking.read_slices(self._reader, lambda: self._relation(dataset), fields, slices, self._batch_rows)

    def totals(self, dataset: str, by: str, sums: Sequence[str]) -> dict[Value, Total]:
        return aggregates.totals(self._reader, self._relation(dataset), by, sums)

    def close(self) -> None:
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        self._session.close()

    def _threads(self) -> Executor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._options.connections, thread_name_prefix=f"odata-{self.id}")
            return self._pool

    def _describe(self, name: str) -> DatasetDescription:
        relation = self._relation(name)
        fields = {
            field: FieldDescription(name=field, column=kind.name, type=kind.type)
            for field, kind in relation.columns.items()
        }
        change_field = relation.dataset.change_field
        return DatasetDescription(name=name, fields=fields, change_field=change_field if change_field in fields else "")

    def _relation(self, name: str) -> Relation:
        return self._catalogue.relation(name, self._dataset(name))

    def _dataset(self, name: str) -> ODataDataset:
        if name not in self._options.datasets:
            known = did_you_mean(name, self._options.datasets, what="it has")
            raise SchemaMismatch(f"system {self.id!r} has no dataset {name!r}{known}")
        return self._options.datasets[name]
