"""Fills a `World`: a calm one, and one where the ERP is down, orders were lost and the host is busy."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.support.web_channels import statuses
from tests.support.web_validations import validated_night
from tests.support.web_world import World
from tillwatch.clock import ManualClock
from tillwatch.config.load import load, pack_root
from tillwatch.errors import Cause
from tillwatch.incident.acks import AckState, Opened
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.audit import AuditReport, Difference, DifferenceKind, SideReport, Verdict
from tillwatch.model.incident import (
    Climb,
    Component,
    Incident,
    IncidentState,
    Listener,
    RunbookLink,
    Severity,
    TimelineEntry,
    Told,
)
from tillwatch.model.notice import DeliveryRecord, DeliveryState, NoticeKind
from tillwatch.model.probe import Measurement, Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.model.runbook import Phase, Run, RunState, StepRecord, StepState
from tillwatch.runbook.cards import DryRun, ParamField, RunbookCard, StepCard, StepPlan
from tillwatch.store.statistics import Action, Case, Page

LOST = ("CY-20261124-0041", "CY-20261124-0043", "CY-20261124-0057")


@pytest.fixture
def calm_chain() -> World:
    return calm_world(ManualClock())


@pytest.fixture
def bad_night() -> World:
    return night_world(ManualClock())


def calm_world(clock: ManualClock) -> World:
    """Everything measured twelve seconds ago, and fine."""
    world = World(config=load(pack_root(), secrets=False), clock=clock)
    now = clock.now()
    for position, probe in enumerate(world.config.probes):
        results = [
            _result(
                probe.id, now - timedelta(seconds=12 + 15 * turn), seconds=0.03 + 0.01 * ((turn * 7 + position) % 5)
            )
            for turn in range(40)
        ]
        world.histories[probe.id] = results
        world.states[probe.id] = ProbeState(
            probe=probe.id,
            status=ProbeStatus.OK,
            successes_in_a_row=40,
            since=now - timedelta(hours=9),
            last=results[0],
        )
    for number, audit in enumerate(world.config.audits, start=1):
        world.reports[number] = _report(number, audit.id, now - timedelta(minutes=14, seconds=9 - number))
    world.cards = {card.id: card for card in _cards()}
    world.plans = {card.id: _plan(card) for card in world.cards.values()}
    return world


def night_world(clock: ManualClock) -> World:
    """Three open incidents, one that is over, a run that waits for approval, and one that is done."""
    world = calm_world(clock)
    now = clock.now()
    _erp_down(world, now)
    _lost_orders(world, now)
    _busy_host(world, now)
    _yesterday(world, now)
    _runs(world, now)
    _month(world, now)
    world.channels = statuses(now)
    world.links = {"named": _link(world, "李娜"), "anybody": _link(world, "")}
    validated_night(world)
    return world


def _link(world: World, person: str) -> Opened:
    end = world.clock.now() + timedelta(hours=24)
    return Opened(state=AckState.READY, incident=world.known[3], person=person, channel="ops", expires_at=end)


def _month(world: World, now: datetime) -> None:
    """Three incidents, four pages, one of which nobody needed."""
    for number, (severity, hours, acknowledged, resolved) in enumerate(
        [(Severity.CRITICAL, 30, 4, 25), (Severity.WARNING, 90, 22, 140), (Severity.WARNING, 200, None, None)], 101
    ):
        opened = now - timedelta(hours=hours)
        world.cases.append(
            Case(
                id=number,
                severity=severity,
                opened_at=opened,
                acknowledged_at=None if acknowledged is None else opened + timedelta(minutes=acknowledged),
                resolved_at=None if resolved is None else opened + timedelta(minutes=resolved),
            )
        )
        world.pages.append(Page(incident=number, person="li-na", at=opened + timedelta(seconds=6)))
        if acknowledged is not None:
            world.actions.append(Action(incident=number, at=opened + timedelta(minutes=acknowledged)))
    world.pages.append(Page(incident=101, person="", at=now - timedelta(hours=30)))
    world.actions.sort(key=lambda action: action.at)


def _result(
    probe: str,
    at: datetime,
    *,
    outcome: Outcome = Outcome.OK,
    cause: Cause = Cause.NONE,
    message: str = "",
    seconds: float = 0.03,
) -> ProbeResult:
    return ProbeResult(
        probe=probe,
        outcome=outcome,
        cause=cause,
        message=message,
        started_at=at,
        seconds=seconds,
        phases={"dns": 0.0004, "connect": 0.0011, "processing": seconds * 0.9, "transfer": 0.0008},
        measurements=(Measurement(name="probe_http_status_code", value=200.0, labels={"phase": "get"}),),
        log=(
            "resolve 127.0.0.1: an address already",
            "connect 127.0.0.1:8000 over tcp4",
            message or "answer 200, 1532 bytes",
        ),
    )


def _report(run: int, audit: str, at: datetime, **changes: object) -> AuditReport:
    shop = "till-haidian" if "haidian" in audit else "till-chaoyang"
    values: dict[str, object] = {
        "run": run,
        "audit": audit,
        "verdict": Verdict.CLEAN,
        "reason": "both sides agree",
        "left": SideReport(system=shop, dataset="orders", rows=1284, bytes_read=91_204),
        "right": SideReport(system="erp", dataset="orders", rows=1284, bytes_read=402_118),
        "strategy": "merge",
        "strategy_reason": "sides of different kinds are streamed in key order",
        "bytes_read": 493_322,
        "started_at": at,
        "seconds": 1.84,
    }
    return AuditReport(**(values | changes))  # type: ignore[arg-type]


def _episode(number: int, incident: int, name: str, at: datetime, **more: object) -> Episode:
    labels = {"alertname": name, "severity": "critical", **dict(more.pop("labels", {}))}  # type: ignore[call-overload]
    values: dict[str, object] = {
        "id": number,
        "fingerprint": f"{number:016x}",
        "source": "probe",
        "annotations": {},
        "starts_at": at,
        "state": AlertState.FIRING,
        "ends_at": None,
        "lease_until": None,
        "updated_at": at,
        "incident": incident,
        "labels": labels,
    }
    return Episode(**(values | more))  # type: ignore[arg-type]


def _entry(at: datetime, kind: str, actor: str = "tillwatch", **data: object) -> TimelineEntry:
    return TimelineEntry(at=at, kind=kind, actor=actor, data=data)


def _told(since: datetime) -> tuple[Told, ...]:
    listener = Listener(
        receiver="oncall",
        channels=("ops",),
        group_wait=timedelta(seconds=5),
        group_interval=timedelta(minutes=1),
        repeat_interval=timedelta(hours=4),
        oncall="primary",
        escalation="default",
    )
    opening = since + timedelta(seconds=5)
    first = Told(
        listener=listener,
        person="li-na",
        announce_at=opening,
        last_at=opening,
        remind_at=opening + listener.repeat_interval,
    )
    again = since + timedelta(minutes=10, seconds=5)
    return first, replace(first, escalated=True, last_at=again, remind_at=None)


def _erp_down(world: World, now: datetime) -> None:
    since = now - timedelta(minutes=12, seconds=20)
    for probe, message in (
        ("erp-tcp", "127.0.0.1:8000 refused the connection"),
        ("erp-api", "127.0.0.1:8000 refused the connection"),
        ("erp-login", "cannot reach http://127.0.0.1:8000/shop/rpc/: connection refused"),
    ):
        failed = [
            _result(
                probe,
                now - timedelta(seconds=9 + 15 * turn),
                outcome=Outcome.FAILED,
                cause=Cause.TCP,
                message=message,
                seconds=0.002,
            )
            for turn in range(18)
        ]
        world.histories[probe] = failed + world.histories[probe][:22]
        world.states[probe] = ProbeState(
            probe=probe, status=ProbeStatus.FAILING, failures_in_a_row=48, since=since, last=failed[0]
        )
    for number, (probe, summary, summary_zh) in enumerate(
        (
            (
                "erp-tcp",
                "ERP (Tryton) cannot be reached: 127.0.0.1:8000 refused the connection",
                "ERP（Tryton）无法连接：127.0.0.1:8000 拒绝连接",
            ),
            (
                "erp-api",
                "ERP (Tryton) cannot be reached: 127.0.0.1:8000 refused the connection",
                "ERP（Tryton）无法连接：127.0.0.1:8000 拒绝连接",
            ),
        ),
        start=1,
    ):
        world.alerts.append(
            _episode(
                number,
                3,
                "InterfaceDown",
                since + timedelta(seconds=3 * number),
                labels={"system": "erp", "site": "hq", "probe": probe},
                annotations={"summary": summary, "summary_zh": summary_zh, "cause": "tcp"},
                evidence={
                    "probe": probe,
                    "target": "127.0.0.1:8000",
                    "cause": "tcp",
                    "phases": {"dns": 0.0, "connect": 0.0013},
                    "log": [
                        "resolve 127.0.0.1: an address already",
                        "connect 127.0.0.1:8000 over tcp4",
                        "127.0.0.1:8000 refused the connection: nothing listens there",
                    ],
                    "answers": ["127.0.0.1"],
                    "history": [
                        {
                            "started_at": (since - timedelta(seconds=15 * turn)).isoformat(),
                            "outcome": "failed" if turn < 3 else "ok",
                            "seconds": 0.002 if turn < 3 else 0.03 + 0.01 * (turn * 7 % 5),
                        }
                        for turn in range(40)
                    ],
                },
            )
        )
    world.known[3] = Incident(
        id=3,
        component=Component.parse("system:erp"),
        state=IncidentState.OPEN,
        severity=Severity.CRITICAL,
        title="ERP（Tryton）无法连接",
        titles={"en": "ERP (Tryton) cannot be reached", "zh": "ERP（Tryton）无法连接"},
        opened_at=since,
        version=3,
        told=_told(since),
        climbs=(
            Climb(
                receiver="oncall",
                policy="default",
                step=2,
                taken=2,
                next_at=now + timedelta(minutes=7, seconds=45),
                afterwards=timedelta(hours=4),
            ),
        ),
        runbooks=(RunbookLink(id="erp-restart", url="/runbooks/erp-restart?incident=3", params={"service": "erp"}),),
    )
    what = {
        "summary": "ERP (Tryton) cannot be reached",
        "summary_zh": "ERP（Tryton）无法连接",
        "alertname": "InterfaceDown",
    }
    world.entries[3] = [
        _entry(since, "opened", component="system:erp", severity="critical"),
        _entry(since, "alert_firing", **what, cause="tcp"),
        _entry(
            since,
            "notified",
            notice="opened",
            receiver="ops",
            channels=["ops"],
            not_before=(since + timedelta(seconds=5)).isoformat(),
            reason="first alert",
        ),
        _entry(since + timedelta(seconds=6), "alert_firing", **what, cause="tcp"),
        _entry(
            since + timedelta(minutes=10, seconds=5),
            "escalated",
            policy="default",
            step=2,
            steps=3,
            round=0,
            target="rota:primary",
            person="li-na",
            channels=["ops"],
            reason="not_acknowledged",
        ),
        _entry(now - timedelta(minutes=3), "note", "王芳", text="值班同事正在检查机房电源，预计 10 分钟内有结论。"),
    ]
    world.sent.append(_delivery(1, 3, since + timedelta(seconds=5), code="200", detail="accepted by the inbox"))
    world.sent.append(
        _delivery(
            2,
            3,
            now - timedelta(seconds=40),
            kind=NoticeKind.REMINDER,
            state=DeliveryState.PENDING,
            code="502",
            detail="the gateway answered 502; tried again",
            attempts=2,
            possible_repeat=True,
        )
    )


def _delivery(number: int, incident: int, at: datetime, **changes: object) -> DeliveryRecord:
    values: dict[str, object] = {
        "id": number,
        "key": f"{incident}:opened:1:ops",
        "kind": NoticeKind.OPENED,
        "incident": incident,
        "version": 1,
        "repeat": 0,
        "receiver": "ops",
        "channel": "ops",
        "state": DeliveryState.DELIVERED,
        "created_at": at,
        "not_before": at + timedelta(minutes=2),
        "finished_at": at,
        "possible_repeat": False,
        "text": {},
        "payload": None,
        "attempts": 1,
        "unknown_results": 0,
        "code": "",
        "detail": "",
        "epoch": 1,
    }
    return DeliveryRecord(**(values | changes))  # type: ignore[arg-type]


def _lost_orders(world: World, now: datetime) -> None:
    at = now - timedelta(minutes=5)
    amounts, quantities = ("128.00", "59.90", "1288.50"), ("2.000", "1.000", "7.000")
    missing = [
        Difference(
            kind=DifferenceKind.MISSING,
            key={"order_ref": reference},
            left={"amount": amount, "quantity": quantity},
            right=None,
            value_at_risk=Decimal(amount),
        )
        for reference, amount, quantity in zip(LOST, amounts, quantities, strict=True)
    ]
    wrong = Difference(
        kind=DifferenceKind.CHANGED,
        key={"order_ref": "CY-20261124-0061"},
        left={"amount": "240.00", "quantity": "3.000"},
        right={"amount": "160.00", "quantity": "2.000"},
        fields=("amount", "quantity"),
        value_at_risk=Decimal("80.00"),
    )
    rows = (*missing, wrong)
    risk = sum((row.value_at_risk for row in rows), Decimal(0))
    report = _report(
        7,
        "orders-chaoyang",
        at,
        verdict=Verdict.DRIFT,
        reason="3 missing, 0 extra, 1 changed",
        right=SideReport(system="erp", dataset="orders-chaoyang", rows=1281),
        missing=3,
        changed=1,
        value_at_risk=risk,
        differences=rows,
    )
    world.reports[7] = report
    world.alerts.append(
        _episode(
            3,
            4,
            "Drift",
            at,
            source="audit",
            labels={"audit": "orders-chaoyang", "interface": "orders-chaoyang", "site": "chaoyang"},
            annotations={
                "summary": f"Orders from Chaoyang: 3 missing, 0 extra, 1 changed, {risk} CNY at risk",
                "summary_zh": f"朝阳店订单上传：缺失 3，多余 0，不一致 1，风险金额 {risk} CNY",
            },
            evidence={
                "run": 7,
                "audit": "orders-chaoyang",
                "left": {"system": "till-chaoyang", "rows": 1284},
                "right": {"system": "erp", "rows": 1281},
                "differences": [
                    {
                        "kind": row.kind.value,
                        "key": dict(row.key),
                        "left": dict(row.left) if row.left else None,
                        "right": dict(row.right) if row.right else None,
                        "fields": list(row.fields),
                        "value_at_risk": str(row.value_at_risk),
                    }
                    for row in rows
                ],
            },
        )
    )
    world.known[4] = Incident(
        id=4,
        component=Component.parse("interface:orders-chaoyang"),
        state=IncidentState.OPEN,
        severity=Severity.CRITICAL,
        title="朝阳店订单上传：两侧不一致",
        titles={"en": "Orders from Chaoyang: the sides differ", "zh": "朝阳店订单上传：两侧不一致"},
        opened_at=at,
        value_at_risk=risk,
        version=2,
        runbooks=(
            RunbookLink(
                id="orders-replay",
                url="/runbooks/orders-replay?incident=4",
                params={"audit": "orders-chaoyang", "run": "7"},
            ),
        ),
    )
    world.entries[4] = [
        _entry(at, "opened", component="interface:orders-chaoyang", severity="critical"),
        _entry(at, "alert_firing", summary="3 missing, 1 changed", summary_zh="缺失 3，不一致 1", alertname="Drift"),
    ]


def _busy_host(world: World, now: datetime) -> None:
    since = now - timedelta(minutes=31)
    hog = _result(
        "hq-server-host",
        now - timedelta(seconds=6),
        outcome=Outcome.FAILED,
        cause=Cause.SATURATION,
        message="CPU 98.7 % busy, limit 90 %",
        seconds=1.21,
    )
    world.histories["hq-server-host"] = [hog, *world.histories["hq-server-host"]]
    world.states["hq-server-host"] = ProbeState(
        probe="hq-server-host", status=ProbeStatus.FAILING, failures_in_a_row=124, since=since, last=hog
    )
    processes = [
        {
            "pid": 4312,
            "name": "python3",
            "argv": ["python3", "-m", "tillwatch.lab.report_job", "--month", "2026-10"],
            "user": "erp",
            "cpu_percent": 187.4,
            "rss_bytes": 1_288_490_188,
        },
        {
            "pid": 811,
            "name": "postgres",
            "argv": ["postgres:", "shop", "SELECT"],
            "user": "postgres",
            "cpu_percent": 6.2,
            "rss_bytes": 214_748_364,
        },
        {
            "pid": 1022,
            "name": "trytond",
            "argv": ["trytond", "-c", "/etc/tryton/trytond.conf"],
            "user": "erp",
            "cpu_percent": 3.1,
            "rss_bytes": 318_767_104,
        },
    ]
    world.alerts.append(
        _episode(
            4,
            5,
            "HostSaturated",
            since,
            labels={"severity": "warning", "system": "hq-server", "site": "hq", "probe": "hq-server-host"},
            annotations={
                "summary": "Head office server is overloaded: CPU 98.7 % busy, limit 90 %",
                "summary_zh": "总部服务器资源不足：CPU 占用 98.7 %，上限 90 %",
                "cause": "saturation",
            },
            evidence={
                "probe": "hq-server-host",
                "cause": "saturation",
                "top_processes": processes,
                "host": {
                    "cpu_percent": 98.7,
                    "memory_percent": 71.3,
                    "load": [7.91, 6.4, 4.02],
                    "cpus": 2,
                    "oom_kills": 0,
                },
                "log": ["CPU 98.7 % busy", "memory 71.3 % used", "load 7.91 6.40 4.02 on 2 CPUs"],
            },
        )
    )
    world.known[5] = Incident(
        id=5,
        component=Component.parse("host:hq-server"),
        state=IncidentState.ACKNOWLEDGED,
        severity=Severity.WARNING,
        title="总部服务器资源不足",
        titles={"en": "Head office server is overloaded", "zh": "总部服务器资源不足"},
        opened_at=since,
        acknowledged_at=since + timedelta(minutes=4),
        acknowledged_by="李雷",
        version=3,
        runbooks=(
            RunbookLink(
                id="host-relieve", url="/runbooks/host-relieve?incident=5", params={"offender": "nightly-report"}
            ),
        ),
    )
    world.entries[5] = [
        _entry(since, "opened", component="host:hq-server", severity="warning"),
        _entry(
            since,
            "alert_firing",
            summary="Head office server is overloaded",
            summary_zh="总部服务器资源不足",
            alertname="HostSaturated",
        ),
        _entry(since + timedelta(minutes=4), "acknowledged", "李雷"),
    ]


def _yesterday(world: World, now: datetime) -> None:
    at = now - timedelta(days=1, hours=2)
    world.known[2] = Incident(
        id=2,
        component=Component.parse("interface:orders-haidian"),
        state=IncidentState.RESOLVED,
        severity=Severity.CRITICAL,
        title="海淀店订单上传：同步滞后",
        titles={"en": "Orders from Haidian are not up to date", "zh": "海淀店订单上传：同步滞后"},
        opened_at=at,
        resolved_at=at + timedelta(minutes=22),
        version=6,
    )
    world.alerts.append(
        _episode(
            9,
            2,
            "SyncStale",
            at,
            state=AlertState.RESOLVED,
            ends_at=at + timedelta(minutes=22),
            labels={"interface": "orders-haidian", "site": "haidian"},
            annotations={
                "summary": "Orders from Haidian are 24 minutes behind",
                "summary_zh": "海淀店订单落后 24 分钟",
            },
        )
    )
    world.entries[2] = [
        _entry(at, "opened", component="interface:orders-haidian", severity="critical"),
        _entry(at + timedelta(minutes=22), "resolved", reason="every alert was ended by its own source", alerts=1),
    ]


def _runs(world: World, now: datetime) -> None:
    at = now - timedelta(minutes=2)

    def step(card: StepCard, state: StepState, **changes: object) -> StepRecord:
        values: dict[str, object] = {
            "id": card.id,
            "title": card.title,
            "action": card.action,
            "phase": Phase.DO,
            "state": state,
            "started_at": at if state is not StepState.PENDING else None,
            "attempts": 1 if state is not StepState.PENDING else 0,
            "seconds": 0.84 if state is StepState.DONE else 0.0,
        }
        return StepRecord(**(values | changes))  # type: ignore[arg-type]

    replay, restart = world.cards["orders-replay"], world.cards["erp-restart"]
    states = [StepState.DONE, StepState.RUNNING, StepState.PENDING, StepState.PENDING]
    outputs: list[dict[str, object]] = [{"verdict": "drift", "differences": 4, "value_at_risk": "1556.40"}, {}, {}, {}]
    world.started[1] = Run(
        id=1,
        runbook="orders-replay",
        title=replay.title,
        state=RunState.WAITING_APPROVAL,
        reason="",
        params={"audit": "orders-chaoyang", "run": "7"},
        digest="9f2c41d7a0b35e88c1",
        requested_by="王芳",
        created_at=at,
        finished_at=None,
        incident=4,
        steps=tuple(
            step(card, state, output=output) for card, state, output in zip(replay.steps, states, outputs, strict=True)
        ),
        waiting={
            "step": replay.steps[1].id,
            "role": "oncall-lead",
            "count": 1,
            "not_requester": True,
            "digest": "c0ffee5e",
            "preview": {
                "summary": {
                    "en": "posts 3 orders and corrects 1 in ERP (Tryton)",
                    "zh": "向 ERP（Tryton）补传 3 单，更正 1 单",
                },
                "items": [{"order": reference, "now": "–", "then": "confirmed sale"} for reference in LOST],
                "items_total": 4,
            },
            "expires_at": (now + timedelta(minutes=8)).isoformat(),
        },
    )
    world.started[2] = Run(
        id=2,
        runbook="erp-restart",
        title=restart.title,
        state=RunState.NEEDS_HUMAN,
        reason="step 'verify' did not succeed within 60 s and nothing is left to undo",
        params={"service": "erp"},
        digest="77ab01",
        requested_by="李雷",
        created_at=at - timedelta(hours=3),
        finished_at=at - timedelta(hours=3) + timedelta(seconds=71),
        incident=3,
        steps=(
            step(restart.steps[0], StepState.DONE, output={"outcome": "failed", "cause": "tcp"}),
            step(
                restart.steps[1],
                StepState.DONE,
                output={"pid": 4411, "items": ["stopped 1 process", "started pid 4411"]},
            ),
            step(
                restart.steps[2], StepState.FAILED, error="probe erp-api: connection refused", attempts=6, seconds=60.2
            ),
        ),
    )


def _cards() -> list[RunbookCard]:
    oncall = {"role": "oncall-lead", "count": 1, "not_requester": True, "within_seconds": 600}
    return [
        RunbookCard(
            id="erp-restart",
            title={"en": "Restart the ERP service", "zh": "重启 ERP 服务"},
            serves=("InterfaceDown", "ApplicationFailing"),
            owner="integration",
            minutes=3,
            facts={
                "what": {
                    "en": "The ERP does not answer; orders wait in the tills and are not lost.",
                    "zh": "ERP 没有响应；订单留在收银端等待，不会丢失。",
                },
                "safe": {
                    "en": "Yes. The ERP keeps its documents; a restart only ends open sessions.",
                    "zh": "安全。ERP 会保留单据，重启只会结束会话。",
                },
                "duration": {"en": "About three minutes.", "zh": "约三分钟。"},
                "stop": {"en": "Any time, with the button on the run page.", "zh": "随时可在执行页面停止。"},
                "decides": {"en": "The person on call.", "zh": "值班人员。"},
            },
            params=(
                ParamField(name="service", title={"en": "Service", "zh": "服务"}, type="service", choices=("erp",)),
                ParamField(
                    name="note", title={"en": "Note for the journal", "zh": "记录备注"}, type="string", required=False
                ),
            ),
            steps=(
                StepCard(
                    id="confirm",
                    title={"en": "Is it really down?", "zh": "确认故障"},
                    prose={"en": "If it answers now, stop here.", "zh": "若已恢复，请停止。"},
                    action="probe.run",
                    effect="read",
                ),
                StepCard(
                    id="restart",
                    title={"en": "Restart the service", "zh": "重启服务"},
                    prose={},
                    action="process.start_service",
                    effect="idempotent",
                    undo={"en": "stops the service again", "zh": "再次停止服务"},
                ),
                StepCard(
                    id="verify",
                    title={"en": "Does it answer?", "zh": "确认恢复"},
                    prose={},
                    action="wait.for",
                    effect="read",
                ),
            ),
        ),
        RunbookCard(
            id="orders-replay",
            title={"en": "Replay lost orders", "zh": "补传丢失的订单"},
            serves=("Drift",),
            owner="integration",
            minutes=5,
            facts={
                "what": {
                    "en": "Orders a till took are missing in the ERP, or stand there with other amounts.",
                    "zh": "收银端的订单在 ERP 中缺失或金额不符。",
                },
                "safe": {
                    "en": "Yes. Each order is looked up by its reference first, so nothing is posted twice.",
                    "zh": "安全。逐单先按单号查找，不会重复过账。",
                },
            },
            params=(
                ParamField(
                    name="audit",
                    title={"en": "Audit", "zh": "对账"},
                    type="audit",
                    choices=("orders-chaoyang", "orders-haidian"),
                ),
                ParamField(name="run", title={"en": "Audit run", "zh": "对账运行编号"}, type="integer"),
            ),
            steps=(
                StepCard(
                    id="recheck",
                    title={"en": "Measure the drift again", "zh": "重新核对"},
                    prose={"en": "What has settled by itself is **left alone**.", "zh": "已自行恢复的不再处理。"},
                    action="audit.run",
                    effect="read",
                ),
                StepCard(
                    id="repair",
                    title={"en": "Post the missing orders", "zh": "补传订单"},
                    prose={},
                    action="source.repair",
                    effect="once",
                    approval=oncall,
                    undo={"en": "takes the posted orders back", "zh": "撤回已补传的订单"},
                ),
                StepCard(
                    id="verify",
                    title={"en": "Compare again", "zh": "再次对账"},
                    prose={},
                    action="audit.run",
                    effect="read",
                ),
                StepCard(
                    id="tell",
                    title={"en": "Tell the shop", "zh": "通知门店"},
                    prose={},
                    action="manual",
                    effect="once",
                    undo={"en": "cannot be taken back: people were told", "zh": "不可撤回：已告知相关人员"},
                ),
            ),
        ),
        RunbookCard(
            id="host-relieve",
            title={"en": "Relieve the host", "zh": "释放主机资源"},
            serves=("HostSaturated",),
            owner="operations",
            minutes=2,
            params=(
                ParamField(
                    name="offender",
                    title={"en": "Offender", "zh": "占用者"},
                    type="offender",
                    choices=("nightly-report",),
                ),
            ),
            steps=(
                StepCard(
                    id="end",
                    title={"en": "End the job", "zh": "结束任务"},
                    prose={},
                    action="process.stop_offender",
                    effect="once",
                ),
            ),
        ),
    ]


def _plan(card: RunbookCard) -> DryRun:
    what = {
        "confirm": ("measures erp-tcp and erp-api once", "测量 erp-tcp 和 erp-api 各一次", "failing", "measured again"),
        "restart": (
            "starts service 'erp' from the allow-list: python -m tillwatch.lab.service start erp",
            "启动允许列表中的服务“erp”：python -m tillwatch.lab.service start erp",
            "not running",
            "running",
        ),
        "verify": ("waits until it succeeds twice, at most 60 s", "等待连续两次成功，最多 60 秒", "", ""),
        "recheck": ("runs audit orders-chaoyang", "运行对账 orders-chaoyang", "4 differences", ""),
        "repair": ("posts 3 orders and corrects 1 in ERP (Tryton)", "向 ERP（Tryton）补传 3 单，更正 1 单", "", ""),
        "tell": ("asks a person", "请人工处理", "", ""),
        "end": (
            "ends pid 4312 (nightly-report) with TERM",
            "以 TERM 结束进程 4312（nightly-report）",
            "187.4 % CPU",
            "ended",
        ),
    }
    steps = []
    for step in card.steps:
        english, chinese, current, proposed = what[step.id]
        items = (
            tuple({"order": reference, "now": "–", "then": "confirmed sale"} for reference in LOST)
            if step.id == "repair"
            else ()
        )
        steps.append(
            StepPlan(
                id=step.id,
                title=step.title,
                action=step.action,
                effect=step.effect,
                summary={"en": english, "zh": chinese},
                current=current,
                proposed=proposed,
                items=items,
                items_total=4 if items else 0,
                approval=step.approval,
                previewed=step.id != "tell",
            )
        )
    return DryRun(runbook=card.id, params={}, digest="9f2c41d7a0b35e88c1", steps=tuple(steps))
