"""The sentence at the top and the matrix below it."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "sentence.ok_hub": Text("All {shops} shops and {hub} agree.", "{shops} 家门店与{hub}全部一致。"),
    "sentence.ok": Text("All {n} checks are fine.", "{n} 项检查全部正常。"),
    "sentence.incident": Text("{headline} since {since}", "{headline}，始于 {since}"),
    "sentence.incident_shops": Text(
        "{headline} since {since}; {n} shops affected",
        "{headline}，始于 {since}；影响 {n} 家门店",
    ),
    "sentence.incident_shops.one": Text(
        "{headline} since {since}; {n} shop affected",
        "{headline}，始于 {since}；影响 {n} 家门店",
    ),
    "sentence.more": Text("{n} more incidents are open.", "另有 {n} 个事件未解决。"),
    "sentence.more.one": Text("{n} more incident is open.", "另有 {n} 个事件未解决。"),
    "sentence.no_checks": Text("Nothing is being watched yet.", "还没有配置任何检查。"),
    "sentence.no_checks_fix": Text(
        "Add a file below probes/ and run “tillwatch check”.",
        "请在 probes/ 下添加文件，然后运行“tillwatch check”。",
    ),
    "sentence.starting": Text(
        "Starting: none of the {n} checks has reported yet.",
        "正在启动：{n} 项检查都还没有结果。",
    ),
    "sentence.pending": Text(
        "{n} checks have not reported yet; the others are fine.",
        "{n} 项检查还没有结果，其余正常。",
    ),
    "sentence.pending.one": Text(
        "{n} check has not reported yet; the others are fine.",
        "{n} 项检查还没有结果，其余正常。",
    ),
    "sentence.blind": Text(
        "No check has reported since {since}. What you see below is old.",
        "自 {since} 起没有任何检查结果，下面显示的是旧数据。",
    ),
    "sentence.failing": Text("{n} checks are failing; no incident is open.", "{n} 项检查失败；没有未解决的事件。"),
    "sentence.failing.one": Text("{n} check is failing; no incident is open.", "{n} 项检查失败；没有未解决的事件。"),
    "sentence.unknown": Text("{n} checks cannot tell; the others are fine.", "{n} 项检查无法判断，其余正常。"),
    "sentence.unknown.one": Text("{n} check cannot tell; the others are fine.", "{n} 项检查无法判断，其余正常。"),
    "sentence.checked": Text("Last check {ago}.", "上次检查：{ago}。"),
    "overview.title": Text("Overview", "总览"),
    "overview.matrix": Text("Shops and checks", "门店与检查"),
    "overview.site": Text("Site", "门店"),
    "overview.chain_row": Text("Whole chain", "整个连锁"),
    "overview.no_check": Text("not watched", "未监控"),
    "overview.some_ok": Text("{ok} of {all} ok", "{all} 项中 {ok} 项正常"),
    "column.systems": Text("Systems", "系统"),
    "column.hosts": Text("Machines", "主机"),
    "column.orders": Text("Orders", "订单"),
    "column.stock": Text("Stock", "库存"),
    "column.prices": Text("Prices", "价格"),
    "column.members": Text("Members", "会员"),
    "overview.incidents": Text("Open incidents", "未解决的事件"),
    "overview.no_incidents": Text("No incident is open.", "没有未解决的事件。"),
    "overview.audits": Text("Latest audits", "最近的对账"),
    "overview.no_audits": Text("No audit has run yet.", "还没有运行过对账。"),
    "overview.open": Text("Open the incident", "查看事件"),
}
