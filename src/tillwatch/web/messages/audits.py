"""Audits and their reports."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "audits.title": Text("Audits", "对账"),
    "audits.lead": Text(
        "Each audit compares two systems row by row. The left side is the side of truth.",
        "每项对账逐行比较两个系统，以左侧为准。",
    ),
    "audits.none": Text("No audit is configured.", "没有配置对账。"),
    "audits.never": Text("has never run", "从未运行"),
    "audits.run": Text("Run now", "立即运行"),
    "audits.history": Text("Earlier runs", "历次运行"),
    "audits.audit": Text("Audit", "对账"),
    "audits.sides": Text("Compares", "比较"),
    "audits.verified": Text("All rows looked at since", "全部行核对于"),
    "audits.verified_hint": Text(
        "The row looked at longest ago was read then; later runs read only what changed.",
        "最久未核对的行在那时读取过；之后的运行只读取有变化的行。",
    ),
    "audits.latest": Text("Latest result", "最近结果"),
    "audit.clean": Text("Both sides agree on all {rows} rows.", "两边 {rows} 行全部一致。"),
    "audit.drift": Text("{n} rows differ.", "{n} 行存在差异。"),
    "audit.drift.one": Text("{n} row differs.", "{n} 行存在差异。"),
    "audit.sync_lag": Text(
        "Data arrives later than allowed; nothing is lost so far.", "数据到达超过允许的时间；目前没有丢失。"
    ),
    "audit.inconclusive": Text("No verdict: the comparison could not be trusted.", "没有结论：本次比较不可信。"),
    "audit.failed": Text("The audit failed.", "对账失败。"),
    "audit.risk": Text("Money at risk", "风险金额"),
    "audit.run_number": Text("Run {id}", "第 {id} 次运行"),
    "audit.missing": Text("Missing", "缺失"),
    "audit.extra": Text("Extra", "多余"),
    "audit.changed": Text("Changed", "不一致"),
    "audit.missing_hint": Text("only in {left}", "仅在{left}"),
    "audit.extra_hint": Text("only in {right}", "仅在{right}"),
    "audit.changed_hint": Text("in both, different", "两边都有但不同"),
    "audit.unsettled": Text("Still moving", "仍在变动"),
    "audit.unsettled_hint": Text("differed, but was changing while we looked", "有差异，但检查时仍在变化"),
    "audit.suspects": Text("In question at first", "初步可疑"),
    "audit.suspects_hint": Text("{n} were only in flight", "其中 {n} 行只是在途"),
    "audit.late": Text("Late", "迟到"),
    "audit.late_hint": Text("arrived too late, or is still on its way", "到达过慢，或仍在途中"),
    "audit.lag": Text("Sync lag", "同步延迟"),
    "audit.lag_hint": Text("99 of 100 rows arrive faster", "99% 的行快于此"),
    "audit.strength.strong": Text(
        "Rows in flight are recognised by their change column; waited for {span}.",
        "在途行通过变更列识别；等待时间 {span}。",
    ),
    "audit.strength.weak": Text(
        "Weaker evidence: without a change column a value that went and came back cannot be seen. "
        "Differences stood still for two windows of {span}.",
        "证据较弱：没有变更列，无法发现变化后又恢复的值。差异在两个 {span} 的窗口内保持不变。",
    ),
    "audit.rows": Text("{rows} rows", "{rows} 行"),
    "audit.rows.one": Text("{rows} row", "{rows} 行"),
    "audit.key": Text("Key", "键"),
    "audit.kind": Text("Kind", "类型"),
    "audit.filter": Text("Show", "显示"),
    "audit.absent": Text("not there", "不存在"),
    "audit.null": Text("empty", "空"),
    "audit.none_here": Text("No difference of this kind.", "没有此类差异。"),
    "audit.capped": Text(
        "{shown} of {n} differences are kept; the counts are complete.",
        "共 {n} 处差异，保留 {shown} 处；计数是完整的。",
    ),
    "audit.export": Text("Export", "导出"),
    "audit.how": Text("How it was compared", "比较方式"),
    "audit.took": Text("Took {span}, read {bytes} bytes", "用时 {span}，读取 {bytes} 字节"),
    "audit.page": Text("Rows {first}–{last}", "第 {first}–{last} 行"),
    "audit.next": Text("Next rows", "下一页"),
    "audit.previous": Text("Previous rows", "上一页"),
    "audit.for_incident": Text(
        "A drift incident closes only with a clean audit.",
        "差异事件只能由一次结果一致的对账关闭。",
    ),
    "kind.missing": Text("missing", "缺失"),
    "kind.extra": Text("extra", "多余"),
    "kind.changed": Text("changed", "不一致"),
    "verdict.clean": Text("clean", "一致"),
    "verdict.drift": Text("drift", "有差异"),
    "verdict.sync_lag": Text("sync lag", "同步滞后"),
    "verdict.inconclusive": Text("inconclusive", "无结论"),
    "verdict.failed": Text("failed", "失败"),
}
