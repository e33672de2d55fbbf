"""The faults of the lab and how each story is told from the outside."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

from tillwatch.errors import ActionError, UsageError
from tillwatch.lab import faults, fleet
from tillwatch.lab.api import Api
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.correct import correct
from tillwatch.lab.faults import OrderFault, OrderFaults
from tillwatch.lab.layout import Lab
from tillwatch.lab.story import Fault
from tillwatch.lab.till_db import TillDb

DROPPED_ORDERS = 2
WRONG_ORDERS = 1
MISTYPED_ORDERS = 2
#: Longer than any story; the runbook ends it long before.
REPORT_JOB_SECONDS = 420.0

_JOB = "tillwatch.lab.report_job"
_HOST = "host:hq-server"
_SHOP = SHOPS[0]
_AUDIT = f"orders-{_SHOP.id}"
_VALIDATION = f"till-orders-{_SHOP.id}"
_KINDS = {OrderFault.DROP: "missing", OrderFault.WRONG_QUANTITY: "changed"}


def named(name: str) -> Fault:
    """Raises UsageError for a fault that does not exist."""
    if name not in FAULTS:
        raise UsageError(f"there is no fault '{name}'; choose one of {', '.join(FAULTS)}")
    return FAULTS[name]


def _kill_erp(lab: Lab) -> None:
    if not lab.erp.kill():
        raise ActionError("the ERP did not run, so there was nothing to kill")


def _start_erp(lab: Lab) -> None:
    lab.erp.start()


def _lose_orders(lab: Lab) -> None:
    request = OrderFaults(id=uuid.uuid4().hex, shop=_SHOP.id, drop=DROPPED_ORDERS, wrong_quantity=WRONG_ORDERS)
    faults.ask(lab.faults, request)


def _mistype_prices(lab: Lab) -> None:
    with contextlib.closing(TillDb(lab.till(_SHOP))) as till:
        if not till.mistype(MISTYPED_ORDERS):
            raise ActionError(f"{_SHOP.id} has fewer than {MISTYPED_ORDERS} orders in the ERP; nothing to spoil yet")


def _correct_prices(lab: Lab) -> None:
    correct(lab)


def _orders_valid(_: Lab, api: Api) -> None:
    """A fresh validation finds that every order's lines add up to it."""
    report = api.post(f"/api/v1/validations/{_VALIDATION}/run", {}, repeat=True)
    if report["verdict"] != "clean":
        raise ActionError(f"validation {_VALIDATION} says {report['verdict']}: {report['reason']}")


def _exactly_the_mistyped_orders(lab: Lab, api: Api) -> None:
    """The newest validation names the mistyped orders and no other."""
    with contextlib.closing(TillDb(lab.till(_SHOP))) as till:
        wanted = sorted(till.mistyped())
    newest = next((run for run in api.get("/api/v1/validations/runs") if run["validation"] == _VALIDATION), None)
    report = api.get(f"/api/v1/validations/runs/{newest['run']}") if newest else {"findings": []}
    found = sorted(finding["key"]["order_ref"] for finding in report["findings"])
    if found != wanted:
        raise ActionError(f"mistyped {wanted}, the validation says {found}")


def _overload_host(lab: Lab) -> None:
    fleet.report_job(lab, REPORT_JOB_SECONDS).start()


def _relieve_host(lab: Lab) -> None:
    fleet.report_job(lab, REPORT_JOB_SECONDS).stop()


def _probes_ok(api: Api, prefix: str) -> None:
    """Every probe whose name starts with `prefix` is fine now."""
    states: list[Mapping[str, Any]] = api.get("/api/v1/probes")
    found = {item["probe"]: item for item in states if item["probe"].startswith(prefix)}
    if not found:
        raise ActionError(f"no probe {prefix}… is listed")
    bad = [f"{probe} is {item['status']}" for probe, item in found.items() if item["status"] != "ok"]
    if bad:
        raise ActionError("; ".join(bad))


def _audit_clean(_: Lab, api: Api) -> None:
    """A fresh audit finds every order once, with its quantity and amount."""
    report = api.post(f"/api/v1/audits/{_AUDIT}/run", {}, repeat=True)
    if report["verdict"] != "clean":
        raise ActionError(f"audit {_AUDIT} says {report['verdict']}: {report['reason']}")


def _once_in_erp(lab: Lab, api: Api) -> None:
    """The audit is clean, and the ERP itself holds each spoiled order exactly once."""
    _audit_clean(lab, api)
    request = faults.asked(lab.faults)
    injected = faults.recorded(lab.injected, request.id) if request else ()
    if not injected:
        return
    wanted = sorted(item.reference for item in injected)
    with lab.erp.rpc() as rpc:
        domain = [["reference", "in", wanted], ["state", "!=", "cancelled"]]
        found = sorted(row["reference"] for row in rpc.search_read("sale.sale", domain, ["reference"]))
    if found != wanted:
        raise ActionError(f"the ERP should hold {wanted} once each and holds {found}")


def _names_the_job(_: Lab, api: Api) -> None:
    """The open incident shows the report job among what uses the host."""
    for item in api.get("/api/v1/incidents?state=open"):
        if item["component"] == _HOST and _JOB in json.dumps(api.get(f"/api/v1/incidents/{item['incident']}")):
            return
    raise ActionError(f"no open incident about {_HOST} names {_JOB}")


def _exactly_the_spoiled_orders(lab: Lab, api: Api) -> None:
    """The newest audit names the injected orders and no other."""
    request = faults.asked(lab.faults)
    injected = faults.recorded(lab.injected, request.id) if request else ()
    if request is None or len(injected) < request.total:
        raise ActionError(f"{len(injected)} of the orders asked for are spoiled so far")
    wanted = {(item.reference, _KINDS[item.kind]) for item in injected}
    newest = api.get(f"/api/v1/audits/{_AUDIT}/runs?limit=1")
    rows = api.get(f"/api/v1/audits/runs/{newest[0]['run']}/differences?limit=100") if newest else []
    found = {(row["key"]["order_ref"], row["kind"]) for row in rows}
    if found != wanted:
        raise ActionError(f"injected {sorted(wanted)}, the audit says {sorted(found)}")


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault(
            name="erp-down",
            component="system:erp",
            alertname="InterfaceDown",
            runbook="erp-restart",
            inject=_kill_erp,
            clean=_start_erp,
            healthy=lambda _, api: _probes_ok(api, "erp-"),
        ),
        Fault(
            name="lost-orders",
            component=f"interface:{_AUDIT}",
            alertname="Drift",
            runbook="orders-replay",
            inject=_lose_orders,
            healthy=_once_in_erp,
            evidence=_exactly_the_spoiled_orders,
            repeatable=True,
        ),
        Fault(
            name="invalid-data",
            component=f"interface:{_AUDIT}",
            alertname="DataInvalid",
            runbook="data-invalid",
            inject=_mistype_prices,
            clean=_correct_prices,
            healthy=_orders_valid,
            evidence=_exactly_the_mistyped_orders,
            by_hand=_correct_prices,
        ),
        Fault(
            name="host-pressure",
            component=_HOST,
            alertname="HostSaturated",
            runbook="host-relieve",
            inject=_overload_host,
            clean=_relieve_host,
            evidence=_names_the_job,
            healthy=lambda _, api: _probes_ok(api, "hq-server-"),
        ),
    )
}
