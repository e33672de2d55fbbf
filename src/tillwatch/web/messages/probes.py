"""Checks and their results."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "probes.title": Text("Checks", "探测"),
    "probes.lead": Text("What is measured, how often, and what it said last.", "测量什么、多久一次、最近结果如何。"),
    "probe.named": Text("{subject}, {how}", "{subject}{how}"),
    "prober.http": Text("web interface", "网络接口"),
    "prober.tcp": Text("port", "端口"),
    "prober.tls": Text("certificate", "证书"),
    "prober.dns": Text("name resolution", "域名解析"),
    "prober.sql": Text("database", "数据库"),
    "prober.freshness": Text("freshness", "同步时效"),
    "prober.source": Text("sign-in", "登录"),
    "prober.host": Text("load", "负载"),
    "probe.target": Text("Target", "目标"),
    "probe.every": Text("Every", "间隔"),
    "probe.limit": Text("Fails after {n} in a row, recovers after {m}", "连续 {n} 次失败报警，连续 {m} 次成功恢复"),
    "probe.rule": Text("Thresholds", "阈值"),
    "probe.prober": Text("Kind", "类型"),
    "probe.run": Text("Measure now", "立即测量"),
    "probe.never": Text("This check has not reported yet.", "此检查还没有结果。"),
    "probe.history": Text("Recent results", "最近结果"),
    "probe.outcome": Text("Result", "结果"),
    "probe.seconds": Text("Took", "用时"),
    "probe.message": Text("Message", "说明"),
    "probe.chart": Text("Duration of the last {n} runs, newest on the right", "最近 {n} 次的用时，右侧为最新"),
    "probe.measurements": Text("Measurements", "测量值"),
    "probe.since": Text("in this state since {at}", "自 {at} 起处于此状态"),
}
