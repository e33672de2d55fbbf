"""Channels: how the ways to people stand."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "channels.title": Text("Channels", "通知渠道"),
    "channels.lead": Text(
        "Whether each way to people works, and what its service really answered.",
        "每个通知渠道是否可用，以及服务的真实回答。",
    ),
    "channels.none": Text(
        "No channel is declared; nobody can be told. Add one to tillwatch.yaml under channels.",
        "尚未声明通知渠道，无法通知任何人。请在 tillwatch.yaml 的 channels 中添加。",
    ),
    "channels.link": Text("How the channels stand", "查看各渠道状态"),
    "channels.standing.closed": Text("works", "正常"),
    "channels.standing.unused": Text("never used", "从未使用"),
    "channels.standing.paused": Text("asked for a pause", "服务要求暂缓"),
    "channels.standing.open": Text("does not work", "不可用"),
    "channels.standing.half_open": Text("is being tried", "试探中"),
    "channels.used_by": Text("Used by", "使用者"),
    "channels.nobody": Text("nobody", "无"),
    "channels.last": Text("Last answer", "最近回答"),
    "channels.never": Text("nothing sent yet", "尚未发送"),
    "channels.success": Text("Last delivered", "最近送达"),
    "channels.not_yet": Text("never", "从未"),
    "channels.waiting": Text("Waiting", "等待发送"),
    "channels.waiting_since": Text("{n}, the oldest for {span}", "{n} 条，最早已等 {span}"),
    "channels.dead": Text("Given up, 7 days", "7 天内放弃"),
    "channels.bucket": Text("Bucket", "令牌"),
    "channels.bucket_of": Text("{n} of {burst}, {rate} a minute", "{n} / {burst}，每分钟补 {rate}"),
    "channels.no_limit": Text("no limit", "不限"),
    "channels.since": Text("since {at}, after {n} failures in a row", "自 {at} 起，已连续失败 {n} 次"),
    "channels.next": Text("next try at {at}", "{at} 再试"),
    "channels.until": Text("until {at}", "至 {at}"),
    "channels.test": Text("Send a test", "发送测试"),
    "channels.dead_title": Text("Given up", "未能送达"),
    "channels.dead_lead": Text(
        "{n} messages of the last 7 days did not arrive and are not tried again; the newest stand here.",
        "近 7 天有 {n} 条消息未能送达，且不再重试；以下为最新的。",
    ),
    "channels.dead_none": Text("Nothing was given up within the last 7 days.", "近 7 天没有放弃的消息。"),
    "done.channel_tested": Text(
        "The test was sent; the answer of the service stands at its channel.", "测试已发送，服务的回答见该渠道。"
    ),
}
