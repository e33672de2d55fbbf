"""Every action a runbook may name, one file a subject."""

from tillwatch.runbook.actions import alert, audit, http, manual, notify, probe, process, source, sql, validation, wait
from tillwatch.runbook.actions.registry import Registry

REGISTRY = Registry(
    [
        alert.Clear(),
        audit.RunAudit(),
        http.ProbeHttp(),
        http.RequestHttp(),
        manual.Manual(),
        notify.Send(),
        probe.RunProbes(),
        process.StartService(),
        process.StopService(),
        process.Offenders(),
        process.StopOffender(),
        source.PlanRepair(),
        source.Replay(),
        source.UndoRepair(),
        source.Repair(),
        sql.ReadSql(),
        sql.RunSql(),
        validation.RunValidation(),
        wait.WaitFor(),
    ]
)

__all__ = ["REGISTRY", "Registry"]
