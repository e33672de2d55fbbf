"""Everything an action may use, as recorders: what was called is in `calls`, what has an effect is in `effects`."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection

from tillwatch.audit.sending import Preview
from tillwatch.clock import ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.model.audit import AuditReport, DifferenceKind, SideReport, Verdict
from tillwatch.model.notice import Notice
from tillwatch.model.probe import Outcome, ProbeResult
from tillwatch.model.repair import RepairAction, RepairItem, RepairPlan, RepairResult, RepairStatus, UndoResult
from tillwatch.model.validation import ValidationReport, ValidationVerdict
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.actions.base import ActionContext, ActionServices
from tillwatch.store.db import Database

SECRET = "geheim-7788"
DIGEST = "d" * 64
CHAIN = """
chain: {id: demo, name: Demo, timezone: Asia/Shanghai, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
sites: [{id: shop, name: Shop}]
systems:
  - {id: erp, site: shop, source: tryton, url: "http://erp.test:8000", password: "${env:ERP_PASSWORD}"}
  - {id: till, site: shop, source: sql, url: "sqlite:///till.db"}
interfaces: [{id: orders, from: till, to: erp, carries: orders}]
channels: [{id: ops, kind: webhook, url: "http://127.0.0.1:9/hook"}]
services:
  - {id: erp, start: [python, -c, "open('started','a').write('x')"], stop: [python, -c, "open('stopped','a').write('x')"]}
  - {id: broken, start: [python, -c, "import sys; print('port in use'); sys.exit(3)"]}
  - {id: absent, start: [/no/such/program]}
  - {id: slow, start: [python, -c, "import time; time.sleep(60)"]}
  - {id: daemon, start: [python, -c, "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)']); open('pid','w').write(str(p.pid))"]}
  - {id: nosy, start: [python, -c, "import os, json; json.dump(dict(os.environ), open('env','w'))"]}
offenders:
  - {id: job, argv_contains: "tillwatch-test-offender", stop: term}
  - {id: stubborn, argv_contains: "tillwatch-test-stubborn", stop: kill}
"""
PROBES = """
probes:
  - {id: erp-tcp, prober: tcp, system: erp, target: "erp.test:8000", every: 15s}
  - {id: erp-api, prober: http, system: erp, target: "http://erp.test:8000/", every: 15s}
  - {id: orders-fresh, prober: freshness, interface: orders, system: till, every: 30s}
audits:
  - {id: orders, interface: orders, left: {system: till, dataset: o}, right: {system: erp, dataset: o}, key: [ref],
     fields: {amount: {type: decimal, scale: 2}}, schedule: "*/15 * * * *"}
validations:
  - {id: lines, system: till, dataset: o, key: [ref], rules: [{rule: required, field: ref}], schedule: "0 3 * * *"}
"""
ROUTES = """
route: {receiver: ops, group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{id: ops, channels: [ops]}]
"""
STATEMENTS = """
statements:
  - {id: count, url: "sqlite:///DB", sql: "SELECT count(*) AS n FROM stock"}
  - {id: all, url: "sqlite:///DB", sql: "SELECT * FROM stock", max_rows: 2}
  - {id: zero, url: "sqlite:///DB", sql: "UPDATE stock SET quantity = 0 WHERE sku = :sku", effect: idempotent,
     preview: "SELECT * FROM stock WHERE sku = :sku", max_rows: 1, params: {sku: "[0-9]{4}"}}
  - {id: zero-all, url: "sqlite:///DB", sql: "UPDATE stock SET quantity = 0", effect: idempotent, max_rows: 1}
  - {id: liar, url: "sqlite:///DB", sql: "DELETE FROM stock"}
"""


@dataclass
class Fakes:
    """Answers as told; remembers what was asked."""

    clock: ManualClock
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    effects: list[tuple[Any, ...]] = field(default_factory=list)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    verdict: Verdict = Verdict.CLEAN
    items: tuple[RepairItem, ...] = ()
    result: dict[str, Any] = field(default_factory=dict)
    undo_result: dict[str, Any] = field(default_factory=dict)
    answer: Callable[[httpx.Request], httpx.Response] = lambda _: httpx.Response(200, text="fine")

    def run_now(self, probes: Sequence[str]) -> list[ProbeResult]:
        self.calls.append(("probes", *probes))
        return [
            ProbeResult(
                probe=probe, outcome=self.outcomes.get(probe, Outcome.OK), started_at=self.clock.now(), seconds=0.1
            )
            for probe in probes
        ]

    def run(self, audit_id: str, *, trigger: str) -> AuditReport:
        self.calls.append(("audit", audit_id, trigger))
        side = SideReport(system="till", dataset="o", rows=1)
        return AuditReport(
            run=7,
            audit=audit_id,
            verdict=self.verdict,
            reason="as told",
            left=side,
            right=side,
            started_at=self.clock.now(),
        )

    def plan_repair(self, run_id: int, *, actor: str) -> RepairPlan:
        self.calls.append(("plan", run_id, actor))
        return self.get(1)

    def get(self, plan_id: int) -> RepairPlan:
        return RepairPlan(
            id=plan_id,
            run=7,
            audit="orders",
            system="erp",
            digest=DIGEST,
            created_at=self.clock.now(),
            created_by="ann",
            items=self.items,
        )

    def preview(self, plan_id: int) -> Iterator[Preview]:
        self.calls.append(("preview", plan_id))
        yield from (Preview(item=item, plan=None, reason="would be posted") for item in self.items)

    def apply_repair(self, plan_id: int, *, actor: str, limit: int | None, stop: Callable[[], bool]) -> RepairResult:
        if stop():
            return RepairResult(plan=plan_id, left_over=len(self.items), reason="told to stop")
        self.effects.append(("apply", plan_id, actor, limit))
        return RepairResult(plan=plan_id, **({"ok": self.items} | self.result))

    def preview_undo(self, plan_id: int) -> Iterator[Preview]:
        self.calls.append(("preview undo", plan_id))
        yield from (Preview(item=item, plan=None, reason="would be taken back") for item in self.items)

    def undo_repair(self, plan_id: int, *, actor: str, limit: int | None, stop: Callable[[], bool]) -> UndoResult:
        if stop():
            return UndoResult(plan=plan_id, kept=self.items, reason="told to stop")
        self.effects.append(("undo", plan_id, actor, limit))
        return UndoResult(plan=plan_id, **({"undone": self.items} | self.undo_result))

    def enqueue(self, _connection: Connection, notice: Notice) -> None:
        if not any(effect[1] == notice.origin for effect in self.effects):
            self.effects.append(("notice", notice.origin, notice.channels))

    def http(self, request: httpx.Request) -> httpx.Response:
        entry = (request.method, str(request.url), request.headers.get("Idempotency-Key"))
        (self.calls if request.method == "GET" else self.effects).append(entry)
        return self.answer(request)


def item(number: int, action: RepairAction = RepairAction.CREATE) -> RepairItem:
    return RepairItem(
        number=number,
        key={"ref": f"CY-{number}"},
        kind=DifferenceKind.MISSING,
        action=action,
        value_at_risk=Decimal("9.90"),
        status=RepairStatus.PENDING,
    )


@dataclass
class FakeValidations:
    """Every run is clean; remembers what was asked."""

    fakes: Fakes

    def run(self, validation: str, *, trigger: str) -> ValidationReport:
        self.fakes.calls.append(("validation", validation, trigger))
        return ValidationReport(
            run=3,
            validation=validation,
            verdict=ValidationVerdict.CLEAN,
            reason="as told",
            system="till",
            dataset="o",
            started_at=self.fakes.clock.now(),
        )


@dataclass
class Kit:
    folder: Path
    config: ChainConfig
    fakes: Fakes
    services: ActionServices
    clock: ManualClock

    def context(self, name: str, arguments: dict[str, Any], **changes: Any) -> ActionContext[Any]:
        ctx: ActionContext[Any] = ActionContext(
            services=self.services,
            params=REGISTRY[name].Params.model_validate(arguments),
            key="run-1-step-do",
            run=1,
            incident=None,
            actor="ann",
            timeout=timedelta(seconds=30),
        )
        return replace(ctx, **changes)

    def do(self, name: str, arguments: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return dict(REGISTRY[name].do(self.context(name, arguments, **changes)))

    def footprint(self) -> str:
        """Everything outside that an action could have changed."""
        files = {str(path): path.read_bytes().hex() for path in sorted(self.folder.rglob("*")) if path.is_file()}
        return json.dumps([files, self.fakes.effects], default=str)


@pytest.fixture
def kit(tmp_path: Path, sqlite_database: Database, clock: ManualClock) -> Kit:
    folder = tmp_path / "chain"
    for name in ("alerts", "probes", "runbooks"):
        (folder / name).mkdir(parents=True)
    (folder / "tillwatch.yaml").write_text(CHAIN)
    (folder / "alerts" / "routes.yaml").write_text(ROUTES)
    (folder / "probes" / "all.yaml").write_text(PROBES)
    (folder / "runbooks" / "statements.yaml").write_text(STATEMENTS.replace("DB", str(folder / "shop.db")))
    config = load(folder, environment={"ERP_PASSWORD": SECRET})
    fakes = Fakes(clock, items=(item(1), item(2)))
    services = ActionServices(
        config=config,
        database=sqlite_database,
        clock=clock,
        probes=fakes,
        audits=fakes,
        validations=FakeValidations(fakes),
        repairs=fakes,
        episodes=lambda _connection, _incident: (),
        enqueue=fakes.enqueue,
        transport=httpx.MockTransport(fakes.http),
    )
    return Kit(folder=folder, config=config, fakes=fakes, services=services, clock=clock)
