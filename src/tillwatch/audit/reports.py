"""What the business hears of an audit at fixed times: how often it ran, what it found, and since when. Sent once."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tillwatch.audit.verdict import money
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit
from tillwatch.model.audit import AuditReport, Verdict
from tillwatch.model.notice import Notice, NoticeKind
from tillwatch.model.text import pick
from tillwatch.schedule import Cron
from tillwatch.store import audits, differences, outbox
from tillwatch.store.db import Database

#: A report that is later than this is not sent any more: the next one tells the same and newer.
LATEST_AFTER = timedelta(days=1)
#: Runs looked back on; a quarter-hourly audit has fewer in a week.
MAX_RUNS = 1_000
#: Of the newest differences the report names the oldest ones.
MAX_NAMED = 5

_WORDS = {
    "en": {
        "title": "Audit report: {name}",
        "runs": "{runs} runs since {since}: {clean} clean, {drift} with drift, {none} without an answer",
        "never": "It has not run since {since}.",
        "now_clean": "Newest run ({at}): both sides agree on all {rows} rows.",
        "now_drift": "Newest run ({at}): {n} rows differ ({missing} missing, {extra} extra, {changed} changed), "
        "{value} {currency} at risk.",
        "now_none": "Newest run ({at}): no answer. {reason}",
        "tolerated": "That is within the thresholds of this audit.",
        "owner": "Owner: {owner}",
        "oldest": "Longest known: {keys}",
        "link": "All rows: {url}",
    },
    "zh": {
        "title": "对账报告：{name}",
        "runs": "自 {since} 起运行 {runs} 次：一致 {clean} 次，有差异 {drift} 次，无结论 {none} 次",
        "never": "自 {since} 起没有运行。",
        "now_clean": "最近一次（{at}）：两边 {rows} 行全部一致。",
        "now_drift": "最近一次（{at}）：{n} 行有差异（缺失 {missing}，多余 {extra}，不一致 {changed}），"
        "涉及金额 {value} {currency}。",
        "now_none": "最近一次（{at}）：没有结论。{reason}",
        "tolerated": "在本项对账的允许范围内。",
        "owner": "负责人：{owner}",
        "oldest": "存在最久的差异：{keys}",
        "link": "全部明细：{url}",
    },
}


def send_due(database: Database, config: ChainConfig, now: datetime) -> int:
    """Write the messages of the reports that are due into the outbox. Returns how many are new.

    The message's key carries the instant it answers, so that it is sent once, whichever process comes first and however
    often. An audit that had never run by then has nothing to report.
    """
    due = [(audit, slot) for audit in config.audits if (slot := _slot(audit, config, now)) is not None]
    if not due:
        return 0

    def job(connection: Connection) -> int:
        return sum(_send(connection, audit, slot, config, now) for audit, slot in due)

    return database.write(job)


def _slot(audit: Audit, config: ChainConfig, now: datetime) -> datetime | None:
    if audit.report is None:
        return None
    slot = Cron(expression=audit.report.schedule, zone=config.chain.timezone).last_until(now)
    return slot if now - slot <= LATEST_AFTER else None


def _send(connection: Connection, audit: Audit, slot: datetime, config: ChainConfig, now: datetime) -> int:
    assert audit.report is not None
    origin = f"report:{audit.id}:{slot.isoformat()}"
    if outbox.is_known(connection, f"{origin}:{audit.report.channels[0]}"):
        return 0
    history = [
        run.report for run in audits.runs(connection, audit=audit.id, limit=MAX_RUNS, finished=True) if run.report
    ]
    if not any(report.started_at <= slot for report in history):
        return 0
    cron = Cron(expression=audit.report.schedule, zone=config.chain.timezone)
    since = cron.last_until(slot - timedelta(seconds=1))
    newest = history[0]
    oldest = differences.longest_known(connection, newest.run, MAX_NAMED) if newest.verdict is Verdict.DRIFT else {}
    within = [report for report in history if report.started_at > since]
    text = {language: worded(audit, config, within, newest, oldest, since, language) for language in _WORDS}
    notice = Notice(
        kind=NoticeKind.MESSAGE,
        incident=None,
        channels=audit.report.channels,
        not_before=now,
        priority=2,
        text=text,
        origin=origin,
    )
    return outbox.enqueue(connection, notice, now)


def worded(
    audit: Audit,
    config: ChainConfig,
    within: Sequence[AuditReport],
    newest: AuditReport,
    oldest: Mapping[str, datetime],
    since: datetime,
    language: str,
) -> str:
    """The message in one language; its first line is the title. `oldest` are keys and since when they differ."""
    words, zone = _WORDS[language], config.chain.timezone

    def at(instant: datetime) -> str:
        return f"{instant.astimezone(zone):%Y-%m-%d %H:%M}"

    name = pick({str(key): text for key, text in audit.name.items()}, language, audit.id)
    clean = sum(report.verdict is Verdict.CLEAN for report in within)
    drift = sum(report.verdict is Verdict.DRIFT for report in within)
    none = len(within) - clean - drift
    lines = [words["title"].format(name=name)]
    counted = words["runs"] if within else words["never"]
    lines.append(counted.format(since=at(since), runs=len(within), clean=clean, drift=drift, none=none))
    if newest.verdict is Verdict.CLEAN:
        lines.append(words["now_clean"].format(at=at(newest.started_at), rows=newest.left.rows))
    elif newest.verdict is Verdict.DRIFT:
        facts = {"missing": newest.missing, "extra": newest.extra, "changed": newest.changed}
        value, currency = money(newest.value_at_risk), config.chain.currency
        total = sum(facts.values())
        lines.append(
            words["now_drift"].format(at=at(newest.started_at), n=total, value=value, currency=currency, **facts)
        )
        if newest.tolerated:
            lines.append(words["tolerated"])
        if oldest:
            keys = "; ".join(f"{key} ({at(seen)})" for key, seen in oldest.items())
            lines.append(words["oldest"].format(keys=keys))
    else:
        lines.append(words["now_none"].format(at=at(newest.started_at), reason=newest.reason))
    if audit.owner:
        lines.append(words["owner"].format(owner=audit.owner))
    lines.append(words["link"].format(url=f"{config.listen.base_url}/audits/runs/{newest.run}"))
    return "\n".join(lines)
