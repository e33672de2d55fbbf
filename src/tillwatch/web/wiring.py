"""Fills `Services` from the parts of the product; the composition root calls it."""

from collections.abc import Sequence

from tillwatch.alerting.ingest import Ingest
from tillwatch.audit.runner import AuditRunner
from tillwatch.clock import Clock
from tillwatch.config.schema import ChainConfig
from tillwatch.incident.desk import IncidentDesk
from tillwatch.metrics import Metrics
from tillwatch.probers.runner import ProbeRunner
from tillwatch.store.db import Database
from tillwatch.web.records import StoreRecords
from tillwatch.web.services import Health, Runbooks, Services, Watch


class Nothing:
    """No loops to watch: a server that only answers, as in tests and one-off commands."""

    def loops(self) -> Sequence[Health]:
        return ()


def wire(
    *,
    config: ChainConfig,
    database: Database,
    clock: Clock,
    ingest: Ingest,
    desk: IncidentDesk,
    audits: AuditRunner,
    probes: ProbeRunner,
    runbooks: Runbooks,
    metrics: Metrics,
    watch: Watch | None = None,
    token: str = "",
) -> Services:
    """Every argument is the real thing; what pages ask of the store goes through `StoreRecords`."""
    return Services(
        config=config,
        clock=clock,
        records=StoreRecords(database),
        ingest=ingest,
        desk=desk,
        audits=audits,
        probes=probes,
        runbooks=runbooks,
        metrics=metrics,
        watch=watch or Nothing(),
        token=token,
    )
