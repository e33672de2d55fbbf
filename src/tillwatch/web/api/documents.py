"""Domain values as the JSON documents of the public interface: money as text, never a float; times in UTC."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from tillwatch.model.alert import Episode
from tillwatch.model.audit import AuditReport, Difference, SignOff
from tillwatch.model.incident import Incident
from tillwatch.model.notice import DeliveryRecord
from tillwatch.model.probe import ProbeResult, ProbeState
from tillwatch.model.runbook import Run, StepRecord
from tillwatch.runbook.cards import DryRun, RunbookCard

Document = Mapping[str, object]


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None


def probe_result(result: ProbeResult) -> Document:
    return {
        "probe": result.probe,
        "outcome": result.outcome.value,
        "cause": result.cause.value,
        "message": result.message,
        "seconds": result.seconds,
        "started_at": instant(result.started_at),
        "phases": dict(result.phases),
        "measurements": [
            {"name": item.name, "value": item.value, "labels": dict(item.labels)} for item in result.measurements
        ],
        "log": list(result.log),
        "evidence": dict(result.evidence),
    }


def probe_state(probe: str, state: ProbeState | None) -> Document:
    return {
        "probe": probe,
        "status": state.status.value if state else "pending",
        "since": instant(state.since) if state else None,
        "failures_in_a_row": state.failures_in_a_row if state else 0,
        "successes_in_a_row": state.successes_in_a_row if state else 0,
        "last": probe_result(state.last) if state and state.last else None,
    }


def difference(item: Difference) -> Document:
    return {
        "kind": item.kind.value,
        "key": dict(item.key),
        "left": dict(item.left) if item.left is not None else None,
        "right": dict(item.right) if item.right is not None else None,
        "fields": list(item.fields),
        "value_at_risk": str(item.value_at_risk),
        "first_seen": item.first_seen.isoformat() if item.first_seen is not None else None,
    }


def sign_off(item: SignOff) -> Document:
    return {"run": item.run, "actor": item.actor, "reason": item.reason, "at": item.at.isoformat()}


def audit_report(report: AuditReport) -> Document:
    return {
        "run": report.run,
        "audit": report.audit,
        "verdict": report.verdict.value,
        "reason": report.reason,
        "left": {"system": report.left.system, "dataset": report.left.dataset, "rows": report.left.rows},
        "right": {"system": report.right.system, "dataset": report.right.dataset, "rows": report.right.rows},
        "missing": report.missing,
        "extra": report.extra,
        "changed": report.changed,
        "unsettled": report.unsettled,
        "value_at_risk": str(report.value_at_risk),
        "within_thresholds": report.tolerated,
        "thresholds": report.evidence.get("thresholds"),
        "by_category": report.evidence.get("by_category"),
        "owner": report.evidence.get("owner", ""),
        "differences": [difference(item) for item in report.differences],
        "strategy": report.strategy,
        "strategy_reason": report.strategy_reason,
        "bytes_read": report.bytes_read,
        "seconds": report.seconds,
        "started_at": instant(report.started_at),
    }


def incident(item: Incident) -> Document:
    """The short form of lists; `incident show` has the whole."""
    return {
        "incident": item.id,
        "state": item.state.value,
        "severity": item.severity.value,
        "component": str(item.component),
        "title": item.title,
        "opened_at": instant(item.opened_at),
        "acknowledged_at": instant(item.acknowledged_at),
        "acknowledged_by": item.acknowledged_by,
        "resolved_at": instant(item.resolved_at),
        "parent": item.parent,
        "value_at_risk": None if item.value_at_risk is None else str(item.value_at_risk),
        "runbooks": [{"id": link.id, "url": link.url, "params": dict(link.params)} for link in item.runbooks],
        "version": item.version,
    }


def delivery(item: DeliveryRecord) -> Document:
    return {
        "delivery": item.id,
        "incident": item.incident,
        "kind": item.kind.value,
        "receiver": item.receiver,
        "channel": item.channel,
        "person": item.person,
        "state": item.state.value,
        "attempts": item.attempts,
        "code": item.code,
        "detail": item.detail,
        "created_at": instant(item.created_at),
        "next_at": instant(item.not_before) if item.state.value == "pending" else None,
        "finished_at": instant(item.finished_at),
        "possible_repeat": item.possible_repeat,
    }


def step(record: StepRecord) -> Document:
    return {
        "id": record.id,
        "title": dict(record.title),
        "action": record.action,
        "phase": record.phase.value,
        "state": record.state.value,
        "attempts": record.attempts,
        "seconds": record.seconds,
        "output": dict(record.output),
        "error": record.error,
        "started_at": instant(record.started_at),
    }


def run(item: Run) -> Document:
    return {
        "run": item.id,
        "runbook": item.runbook,
        "title": dict(item.title),
        "state": item.state.value,
        "final": item.state.is_final,
        "reason": item.reason,
        "params": dict(item.params),
        "steps": [step(record) for record in item.steps],
        "digest": item.digest,
        "incident": item.incident,
        "requested_by": item.requested_by,
        "created_at": instant(item.created_at),
        "finished_at": instant(item.finished_at),
        "waiting": dict(item.waiting),
    }


def runbook(card: RunbookCard) -> Document:
    return {
        "runbook": card.id,
        "title": dict(card.title),
        "serves": list(card.serves),
        "owner": card.owner,
        "minutes": card.minutes,
        "params": [
            {
                "name": param.name,
                "title": dict(param.title),
                "type": param.type,
                "choices": list(param.choices),
                "default": param.default,
                "required": param.required,
            }
            for param in card.params
        ],
        "steps": [
            {"id": item.id, "title": dict(item.title), "action": item.action, "effect": item.effect}
            for item in card.steps
        ],
    }


def dry_run(plan: DryRun) -> Document:
    return {
        "runbook": plan.runbook,
        "params": dict(plan.params),
        "digest": plan.digest,
        "problems": dict(plan.problems),
        "steps": [
            {
                "id": item.id,
                "title": dict(item.title),
                "action": item.action,
                "effect": item.effect,
                "summary": dict(item.summary),
                "current": item.current,
                "proposed": item.proposed,
                "items": [dict(entry) for entry in item.items],
                "items_total": item.items_total,
                "undo": dict(item.undo),
                "approval": dict(item.approval),
                "previewed": item.previewed,
                "error": item.error,
            }
            for item in plan.steps
        ],
    }


def alertmanager_alert(
    episode: Episode,
    now: datetime,
    *,
    receivers: Iterable[str],
    silenced_by: Sequence[str],
    inhibited_by: Sequence[str],
) -> Document:
    """Alertmanager's GettableAlert. A silent source still fires here: nobody has said that it ended."""
    state = "suppressed" if silenced_by or inhibited_by else "active"
    return {
        "annotations": dict(episode.annotations),
        "endsAt": instant(episode.ends_at or episode.lease_until or now),
        "fingerprint": episode.fingerprint,
        "receivers": [{"name": name} for name in receivers],
        "startsAt": instant(episode.starts_at),
        "updatedAt": instant(episode.updated_at),
        "status": {
            "state": state,
            "silencedBy": list(silenced_by),
            "inhibitedBy": list(inhibited_by),
            "mutedBy": [],
        },
        "labels": dict(episode.labels),
        "generatorURL": episode.generator_url,
    }
