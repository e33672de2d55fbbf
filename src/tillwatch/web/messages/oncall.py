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
    "timeline.notified_after_quiet_hours": Text(
        "Notification “{notice}” to {channels} waits for the end of the quiet hours at {at}: it is not critical",
        "通知“{notice}”待免打扰时段结束后于 {at} 发往 {channels}：非严重事件",
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
    "explain.title": Text("Who is told", "通知给谁"),
    "explain.resolved": Text("It is resolved: nobody is told any more.", "已解决：不再通知任何人。"),
    "explain.folded": Text(
        "Another incident explains it: nobody is told of this one.", "已由另一个事件说明：本事件不单独通知。"
    ),
    "explain.acknowledged": Text("Acknowledged: reminders and escalations stand still.", "已确认：提醒和升级暂停。"),
    "explain.snoozed": Text("Snoozed: nobody is told unless the severity rises.", "已暂缓：除非级别升高，否则不通知。"),
    "explain.nobody": Text(
        "Nobody will be told of it again by itself; the timeline says why.", "不会再自动通知任何人；原因见时间线。"
    ),
    "explain.heard": Text("{who} was told through {channels}", "已通知 {who}，经由 {channels}"),
    "explain.by_route": Text("by the route, receiver {receiver}", "按路由，接收方 {receiver}"),
    "explain.by_escalation": Text("by the escalation of receiver {receiver}", "按接收方 {receiver} 的升级策略"),
    "explain.reminders": Text("{text}; reminded {n} times", "{text}；已提醒 {n} 次"),
    "explain.reminders.one": Text("{text}; reminded {n} time", "{text}；已提醒 {n} 次"),
    "explain.opening": Text("{who} will be told through {channels}", "将通知 {who}，经由 {channels}"),
    "explain.reminder": Text(
        "{who} will be reminded through {channels}, unless somebody acknowledges",
        "若无人确认，将提醒 {who}，经由 {channels}",
    ),
    "explain.step": Text(
        "Escalation step {step}: {to}, through {channels}, unless somebody acknowledges",
        "若无人确认，升级第 {step} 步：{to}，经由 {channels}",
    ),
    "explain.acknowledgement_over": Text("The acknowledgement runs out; the escalation goes on", "确认到期，继续升级"),
    "explain.snooze_over": Text("The snooze ends", "暂缓结束"),
    "explain.held": Text("not critical: it waits for the end of the quiet hours", "非严重事件：等待免打扰时段结束"),
    "explain.everybody": Text("whoever reads the channel", "渠道的所有读者"),
    "calendar.closed": Text("the shop is closed", "门店已打烊"),
    "oncall.title": Text("On call", "值班"),
    "oncall.lead": Text(
        "Who has the phone, who is next, and who is told when nobody answers.",
        "现在谁值班、下一位是谁、无人应答时通知谁。",
    ),
    "oncall.none": Text(
        "No rota is declared. alerts/oncall.yaml names people, rotas and escalations.",
        "尚未声明值班表。alerts/oncall.yaml 声明人员、值班表和升级策略。",
    ),
    "oncall.now": Text("Now", "现在"),
    "oncall.until": Text("until {at}", "至 {at}"),
    "oncall.next": Text("Next", "下一位"),
    "oncall.from": Text("from {at}", "自 {at} 起"),
    "oncall.nobody_next": Text("nobody within 45 days", "45 天内无人接班"),
    "oncall.vendor": Text("vendor", "供应商"),
    "oncall.strip": Text("The coming {n} days", "未来 {n} 天"),
    "oncall.feed": Text("Subscribe in a calendar (ICS)", "订阅到日历（ICS）"),
    "oncall.person": Text("Person", "人员"),
    "oncall.begins": Text("From", "开始"),
    "oncall.ends": Text("Until", "结束"),
    "oncall.why": Text("Because of", "原因"),
    "oncall.policies": Text("Escalations", "升级策略"),
    "oncall.used_by": Text("Used by receiver {receivers}", "由接收方 {receivers} 使用"),
    "oncall.unused": Text("No receiver uses it", "没有接收方使用"),
    "oncall.waits": Text("then waits {span} for an acknowledgement", "然后等待确认 {span}"),
    "oncall.repeats": Text(
        "All steps are repeated {n} times, then the last one goes on.", "所有步骤重复 {n} 次，之后重复最后一步。"
    ),
    "oncall.repeats.one": Text(
        "All steps are repeated {n} time, then the last one goes on.", "所有步骤重复 {n} 次，之后重复最后一步。"
    ),
    "oncall.calendar": Text("Calendar today", "今日日历"),
    "oncall.quiet": Text("Quiet hours until {at}: what is not critical waits.", "免打扰至 {at}：非严重事件等待。"),
    "oncall.not_quiet": Text("No quiet hours now.", "当前不在免打扰时段。"),
    "oncall.windows": Text("In force: {windows}", "生效中：{windows}"),
    "oncall.automatic": Text("Runbooks may start by themselves.", "允许预案自动执行。"),
    "oncall.not_automatic": Text("Runbooks must not start by themselves: {windows}", "禁止预案自动执行：{windows}"),
    "oncall.statistics": Text("Statistics", "统计"),
    "stats.title": Text("On-call statistics", "值班统计"),
    "stats.lead": Text(
        "Incidents opened and pages delivered in the last {n} days. A page led to an action when somebody did "
        "something about its incident within an hour.",
        "最近 {n} 天内的事件和已送达的通知。通知后一小时内有人处理该事件，即为“促成了处理”。",
    ),
    "stats.days": Text("{n} days", "{n} 天"),
    "stats.incidents": Text("Incidents", "事件数"),
    "stats.acknowledged": Text("Acknowledged", "已确认"),
    "stats.resolved": Text("Resolved", "已解决"),
    "stats.mtta": Text("Mean time to acknowledge", "平均确认时间（MTTA）"),
    "stats.mttr": Text("Mean time to resolve", "平均解决时间（MTTR）"),
    "stats.median": Text("median {span}", "中位数 {span}"),
    "stats.pages": Text("Pages", "通知数"),
    "stats.acted": Text("Led to an action", "促成了处理"),
    "stats.severity": Text("Severity", "级别"),
    "stats.none": Text("No page was delivered in this time.", "这段时间内没有送达的通知。"),
    "oncall.nobody": Text("nobody", "无人"),
}
