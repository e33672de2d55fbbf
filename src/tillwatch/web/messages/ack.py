"""The page behind the link in a message."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "ack.title.ready": Text("Acknowledge incident #{n}", "确认事件 #{n}"),
    "ack.title.used": Text("Acknowledged", "已确认"),
    "ack.title.taken": Text("Somebody is on it", "已有人处理"),
    "ack.title.resolved": Text("It is over", "事件已恢复"),
    "ack.title.outdated": Text("This link is outdated", "链接已过时"),
    "ack.title.expired": Text("This link has expired", "链接已过期"),
    "ack.title.foreign": Text("Not a link of this server", "不是本服务的链接"),
    "ack.lead.ready": Text(
        "Nothing is acknowledged yet. Press only if you take it on: reminders and the escalation then stop.",
        "目前尚未确认。确认后提醒和升级会停止，请在你接手处理时再按。",
    ),
    "ack.lead.used": Text(
        "By {who} at {at}. The others can see it; reminders and the escalation have stopped.",
        "{who} 已于 {at} 确认。其他人可以看到，提醒和升级已停止。",
    ),
    "ack.lead.used_since": Text(
        "This link was used by {who} at {at}. It works once; what has become of the incident stands below.",
        "{who} 已于 {at} 使用过此链接。每个链接只能用一次；事件现状见下。",
    ),
    "ack.lead.taken": Text("{who} has acknowledged it at {at}.", "{who} 已于 {at} 确认。"),
    "ack.lead.resolved": Text(
        "The incident ended at {at}; there is nothing to acknowledge.", "事件已于 {at} 结束，无需确认。"
    ),
    "ack.lead.outdated": Text(
        "Something happened at {at}, after the message with this link. A newer message was sent; use its link.",
        "这条消息发出之后，{at} 又有新情况。新消息已发出，请使用其中的链接。",
    ),
    "ack.lead.expired": Text(
        "It was good until {at}. Open the incident to see how it stands and to acknowledge it.",
        "链接有效期至 {at}。请打开事件查看现状并确认。",
    ),
    "ack.lead.foreign": Text(
        "It is damaged, or another server sent it. Copy the whole link out of the message, or open the incident list.",
        "链接不完整，或来自其他服务器。请从消息中复制完整链接，或打开事件列表。",
    ),
    "ack.moved": Text(
        "The incident has changed since this page was opened. Look at it again before you acknowledge it.",
        "打开页面之后事件有变化。请先看一眼现状，再确认。",
    ),
    "ack.as": Text("As {name}", "以 {name} 的名义"),
    "ack.by": Text("Your name", "你的姓名"),
    "ack.send": Text("Acknowledge: I am on it", "确认，我来处理"),
    "ack.since": Text("Open since {at}, for {span}", "自 {at} 起，已持续 {span}"),
    "ack.open": Text("Open the incident", "打开事件"),
    "ack.list": Text("Incident list", "事件列表"),
}
