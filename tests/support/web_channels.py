"""Channels of a bad night: one that works, one that was left alone, one that was asked for a pause, one never used."""

from datetime import datetime, timedelta

from tillwatch.config.schema import Channel
from tillwatch.model.channel import Allowance, Gate
from tillwatch.notify.desk import ChannelStatus
from tillwatch.notify.gate import Standing
from tillwatch.store.queues import Queue


def statuses(now: datetime) -> list[ChannelStatus]:
    robot = Allowance.within(20)
    works = Gate(
        channel="ops", tokens=7.0, counted_at=now, last_at=now - timedelta(seconds=40), last_result="delivered",
        last_code="0", last_detail="ok", last_seconds=0.21, last_success_at=now - timedelta(seconds=40),
    )  # fmt: skip
    broken = Gate(
        channel="night", failures=9, opened_at=now - timedelta(minutes=4), probe_at=now + timedelta(seconds=5),
        last_at=now - timedelta(seconds=3), last_result="rejected", last_code="310000",
        last_detail="keywords not in content; description: 请在机器人的安全设置里加上关键词, or sign the messages",
        last_seconds=0.4, last_success_at=now - timedelta(hours=5),
    )  # fmt: skip
    paused = Gate(
        channel="lead", counted_at=now, paused_until=now + timedelta(seconds=48), last_at=now - timedelta(seconds=12),
        last_result="retry", last_code="9499", last_detail="9499: too many request", last_seconds=0.1,
    )  # fmt: skip
    return [
        _status("ops", "wecom_bot", works, Standing.CLOSED, Queue(), robot, "wecom_bot at qyapi.weixin.qq.com"),
        _status(
            "night", "dingtalk", broken, Standing.OPEN, Queue(waiting=12, oldest=now - timedelta(minutes=4), dead=3),
            robot, "dingtalk at oapi.dingtalk.com",
        ),
        _status("lead", "feishu", paused, Standing.PAUSED, Queue(waiting=2), robot, "feishu at open.feishu.cn"),
        _status(
            "hook", "webhook", Gate(channel="hook"), Standing.CLOSED, Queue(), None,
            "https://a-receiver-with-a-long-name.of-some-department.example.com:8443/…",
        ),
    ]  # fmt: skip


def _status(
    id: str, kind: str, gate: Gate, standing: Standing, queue: Queue, allowance: Allowance | None, target: str
) -> ChannelStatus:
    return ChannelStatus(
        channel=Channel(id=id, kind=kind),
        target=target,
        standing=standing,
        gate=gate,
        tokens=gate.tokens if allowance else None,
        allowance=allowance,
        queue=queue,
        receivers=("ops",) if id == "ops" else (),
        people=("li-na",) if id == "night" else (),
    )
