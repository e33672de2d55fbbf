"""What stands on every page, and spans of time."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "app.name": Text("Tillwatch", "Tillwatch"),
    "app.skip": Text("Skip to content", "跳到正文"),
    "nav.label": Text("Main", "主导航"),
    "nav.overview": Text("Overview", "总览"),
    "nav.incidents": Text("Incidents", "事件"),
    "nav.oncall": Text("On call", "值班"),
    "nav.audits": Text("Audits", "对账"),
    "nav.runbooks": Text("Runbooks", "预案"),
    "nav.probes": Text("Checks", "探测"),
    "nav.silences": Text("Silences", "静默"),
    "nav.deliveries": Text("Deliveries", "通知"),
    "lang.label": Text("Language", "语言"),
    "lang.en": Text("English", "English"),
    "lang.zh-CN": Text("中文", "中文"),
    "live.on": Text("Live", "实时"),
    "live.off": Text("Not live since {at}", "{at} 起未更新"),
    "live.none": Text("Updated at {at}", "更新于 {at}"),
    "foot.zone": Text("All times: {zone} ({offset})", "所有时间：{zone}（{offset}）"),
    "foot.trouble": Text("The server itself needs attention: {what}", "监控服务自身需要关注：{what}"),
    "foot.loop": Text("{name}: {problem}", "{name}：{problem}"),
    "foot.store": Text(
        "The database of this server does not answer. Nothing new can be stored or shown; alerts "
        "sent to it are refused with 503 and will be sent again.",
        "本服务的数据库没有响应。新数据无法保存和显示；发来的告警会得到 503，发送方会重发。",
    ),
    "pair": Text("{a}: {b}", "{a}：{b}"),
    "list": Text(", ", "、"),
    "sentences": Text(" ", ""),
    "action.more": Text("Older", "更早"),
    "action.newest": Text("Newest", "最新"),
    "action.all": Text("All", "全部"),
    "ago": Text("{span} ago", "{span}前"),
    "span.seconds": Text("{n} s", "{n} 秒"),
    "span.minutes": Text("{n} min", "{n} 分钟"),
    "span.hours": Text("{n} h", "{n} 小时"),
    "span.days": Text("{n} days", "{n} 天"),
    "span.days.one": Text("{n} day", "{n} 天"),
}
