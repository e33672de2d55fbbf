"""What happened to an incident, one text a kind of timeline entry."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "timeline.opened": Text("Incident opened about {component}, {severity}", "事件创建：{component}，级别{severity}"),
    "timeline.alert_firing": Text("Failing: {what}", "出现故障：{what}"),
    "timeline.alert_firing_again": Text("Failing again: {what}", "再次出现故障：{what}"),
    "timeline.alert_updated": Text("Changed: {what}", "有变化：{what}"),
    "timeline.alert_silent": Text("The source fell silent, so nobody knows: {what}", "来源失联，状态不明：{what}"),
    "timeline.alert_resolved": Text("Over: {what}", "已恢复：{what}"),
    "timeline.alerts_more": Text("{count} more alerts changed at that moment", "同时另有 {count} 条告警变化"),
    "timeline.severity_raised": Text("Severity raised from {before} to {after}", "级别由{before}升为{after}"),
    "timeline.folded": Text("Folded into incident {parent}, which explains it", "并入事件 {parent}，原因相同"),
    "timeline.unfolded": Text("Stands for itself again", "不再从属于其他事件"),
    "timeline.silenced": Text("Silenced: nobody is told", "已静默，不再通知"),
    "timeline.inhibited": Text("Quiet: explained by {causes}", "不再通知：已由 {causes} 解释"),
    "timeline.unsilenced": Text("Not silenced any more", "静默结束"),
    "timeline.notified": Text("Notification “{notice}” to {channels}", "通知“{notice}”发往 {channels}"),
    "timeline.notified_later": Text(
        "Notification “{notice}” to {channels}, to be sent at {at}", "通知“{notice}”将于 {at} 发往 {channels}"
    ),
    "timeline.notice_withdrawn": Text(
        "Notification “{notice}” withdrawn before it was sent", "通知“{notice}”发出前已撤回"
    ),
    "timeline.nobody_told": Text("Receiver {receiver} is not told", "未通知接收方 {receiver}"),
    "timeline.runbooks_unavailable": Text("No runbook could be suggested", "无法推荐预案"),
    "timeline.acknowledged": Text("Acknowledged", "已确认"),
    "timeline.assigned": Text("Assigned to {assignee}", "指派给 {assignee}"),
    "timeline.note": Text("Note", "备注"),
    "timeline.flapping": Text(
        "Over for now; it came back {often} times in half an hour, so it stays open until {until}",
        "暂时恢复；半小时内已反复 {often} 次，{until} 前仍保持未关闭",
    ),
    "timeline.automatic_held": Text(
        "The runbook {runbook} may not start by itself now: {windows}", "预案 {runbook} 现在不能自动执行：{windows}"
    ),
    "timeline.automatic_refused": Text(
        "The runbook {runbook} did not start by itself: {reason}", "预案 {runbook} 未能自动执行：{reason}"
    ),
    "timeline.resolved": Text(
        "Resolved: every alert was ended by its own source", "已解决：所有告警均由各自的来源宣告恢复"
    ),
    "timeline.run_requested": Text("Runbook “{title}” requested", "发起预案“{title}”"),
    "timeline.run_started": Text("Runbook “{title}” started", "预案“{title}”开始执行"),
    "timeline.run_waiting_approval": Text(
        "Runbook “{title}” waits for approval of step “{step}”", "预案“{title}”等待审批步骤“{step}”"
    ),
    "timeline.run_waiting_manual": Text(
        "Runbook “{title}” waits for a person at step “{step}”", "预案“{title}”在步骤“{step}”等待人工操作"
    ),
    "timeline.run_voted": Text("Voted on step “{step}”: {decision}", "对步骤“{step}”表决：{decision}"),
    "timeline.run_confirmed": Text("Step “{step}” done by hand", "步骤“{step}”已由人工完成"),
    "timeline.run_stopped": Text("Runbook “{title}” told to stop", "要求停止预案“{title}”"),
    "timeline.run_reopened": Text("Runbook “{title}” goes on", "预案“{title}”继续执行"),
    "timeline.run_compensating": Text("Runbook “{title}” takes back what it did", "预案“{title}”正在回退"),
    "timeline.run_finished": Text("Runbook “{title}”: {state}", "预案“{title}”：{state}"),
    "timeline.delivery": Text("Notification “{notice}” on {channel}: {result}", "通知“{notice}”经 {channel}：{result}"),
    "timeline.resolved_by_hand": Text("Resolved by hand", "手动解决"),
}
