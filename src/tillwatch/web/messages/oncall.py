"""On-call: turns, escalations, and who is told next."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "timeline.severity_adjusted": Text(
        "Stated as {before}, counts as {after}: {calendar}", "原级别{before}，按{after}处理：{calendar}"
    ),
    "timeline.escalated": Text(
        "Escalation step {step} of {steps}: {to} is told ({why})", "升级第 {step}/{steps} 步：通知 {to}（{why}）"
    ),
    "timeline.step_in_vain": Text(
        "Escalation step {step} of {steps} reaches nobody: {to}; the next step follows at once",
        "升级第 {step}/{steps} 步无人可通知：{to}，立即进入下一步",
    ),
    "timeline.escalation_ended": Text(
        "The escalation ends: policy {policy} is not declared any more", "升级结束：策略 {policy} 已不存在"
    ),
    "timeline.nobody_oncall": Text(
        "Nobody is on call in rota {rota} ({turn}); the channels are told all the same",
        "值班表 {rota} 此时无人值班（{turn}），仍通知其渠道",
    ),
    "timeline.unacknowledged": Text("Given back: nobody is on it any more", "取消确认：不再有人处理"),
    "timeline.acknowledgement_over": Text(
        "The acknowledgement of {by} has run out; the escalation goes on", "{by} 的确认已到期，继续升级"
    ),
    "timeline.acknowledged_until": Text("Acknowledged until {until}", "已确认，至 {until} 有效"),
    "timeline.snoozed": Text("Snoozed until {until}", "暂缓至 {until}"),
    "timeline.snooze_over": Text("The snooze is over", "暂缓结束"),
    "turn.override": Text("override", "临时换班"),
    "turn.rotation": Text("rotation", "轮班"),
    "turn.outside_hours": Text("outside the hours of every rotation", "不在任何轮班的时段内"),
    "turn.not_begun": Text("the first turn lies ahead", "尚未开始轮班"),
    "step.begins": Text("the first step, with the opening", "首步，随新事件通知"),
    "step.not_acknowledged": Text("nobody acknowledged in time", "规定时间内无人确认"),
    "step.again": Text("all steps were taken, they begin again", "所有步骤已走完，重新开始"),
    "step.exhausted": Text("every round is over, the last step goes on", "所有轮次已用完，重复最后一步"),
    "step.not_yet": Text("not yet due", "尚未到时间"),
    "step.paused": Text("stands still", "暂停"),
    "step.no_policy": Text("the policy is not declared any more", "策略已不存在"),
    "calendar.closed": Text("the shop is closed", "门店已打烊"),
    "oncall.nobody": Text("nobody", "无人"),
}
