"""Validations and their reports."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "validations.title": Text("Data checks", "数据校验"),
    "validations.lead": Text(
        "Each validation checks the rows of one dataset by declared rules, before anything is compared.",
        "每项校验按声明的规则检查一个数据集的各行，先于任何比较。",
    ),
    "validations.open": Text("Rules on one side: data checks", "单侧规则：数据校验"),
    "validations.none": Text("No validation is configured.", "没有配置数据校验。"),
    "validations.validation": Text("Validation", "校验"),
    "validations.dataset": Text("Dataset", "数据集"),
    "validations.rules": Text("Rules", "规则"),
    "validations.broken": Text("Violations", "不合规处"),
    "validation.clean": Text("All {rows} rows keep every rule.", "全部 {rows} 行符合规则。"),
    "validation.invalid": Text("{n} violations among {rows} rows.", "{rows} 行中有 {n} 处不合规。"),
    "validation.invalid.one": Text("{n} violation among {rows} rows.", "{rows} 行中有 {n} 处不合规。"),
    "validation.inconclusive": Text("No verdict: the reading could not be trusted.", "没有结论：本次读取不可信。"),
    "validation.failed": Text("The validation failed.", "校验失败。"),
    "validation.field": Text("Field", "字段"),
    "validation.value": Text("Value", "值"),
    "validation.problem": Text("What is wrong", "问题"),
    "validation.how": Text("How it was checked:", "校验方式："),
    "validation.capped": Text(
        "{shown} of {n} violations are kept; the counts are complete.",
        "共 {n} 处不合规，保留 {shown} 处；计数是完整的。",
    ),
    "validation.cleared": Text("Only on their way", "仅为在途"),
    "valid.clean": Text("valid", "合规"),
    "valid.invalid": Text("invalid", "不合规"),
    "valid.inconclusive": Text("inconclusive", "无结论"),
    "valid.failed": Text("failed", "失败"),
    "done.validation_started": Text(
        "The validation has started; its result appears here when it ends.", "校验已开始，结束后结果会显示在这里。"
    ),
}
