"""Notices after an order, errors and how to go on."""

from collections.abc import Mapping

from tillwatch.web.messages.text import Text

MESSAGES: Mapping[str, Text] = {
    "done.acknowledged": Text("Acknowledged. The others can see that you are on it.", "已确认，其他人能看到你在处理。"),
    "done.given_back": Text("Given back. Whoever is next is told.", "已取消确认，将通知下一位。"),
    "done.snoozed": Text("Snoozed.", "已暂缓。"),
    "done.signed_off": Text("Signed off.", "已签核。"),
    "done.noted": Text("Note saved.", "备注已保存。"),
    "done.resolved": Text("Resolved.", "已解决。"),
    "done.assigned": Text("Assigned.", "已指派。"),
    "done.approved": Text("Approved. The run goes on.", "已批准，继续执行。"),
    "done.rejected": Text("Rejected.", "已拒绝。"),
    "done.confirmed": Text("Confirmed. The run goes on.", "已确认，继续执行。"),
    "done.given_up": Text("Recorded. The step counts as failed.", "已记录，此步骤按失败处理。"),
    "done.stopping": Text("The run stops before its next effect.", "将在下一次改动前停止。"),
    "done.resumed": Text("The run goes on.", "已继续执行。"),
    "done.started": Text("Started. This page follows it live.", "已开始，本页实时更新。"),
    "done.measured": Text("Measured just now.", "刚刚测量完成。"),
    "done.audit_started": Text(
        "The audit is running; its report appears here when it is done.",
        "对账正在运行，完成后报告会显示在这里。",
    ),
    "error.400": Text("This request is malformed.", "请求格式有误。"),
    "error.401": Text("Please sign in.", "请先登录。"),
    "error.403": Text("This was refused.", "请求被拒绝。"),
    "error.404": Text("There is nothing here.", "这里没有内容。"),
    "error.405": Text("That cannot be done here.", "此处不支持该操作。"),
    "error.409": Text("This is not possible now.", "现在无法执行。"),
    "error.413": Text("That is too much text.", "内容过长。"),
    "error.421": Text("Wrong address.", "地址不正确。"),
    "error.422": Text("Something in the form is missing or wrong.", "表单内容缺失或有误。"),
    "error.500": Text("Something broke in this server.", "本服务内部出错。"),
    "error.502": Text("The business system answered with an error.", "业务系统返回错误。"),
    "error.503": Text("This server cannot store or read right now.", "本服务暂时无法读写。"),
    "error.fix.403": Text("Open the page again and repeat what you did.", "请重新打开页面后再试。"),
    "error.fix.404": Text("Check the address, or start at the overview.", "请检查地址，或从总览开始。"),
    "error.fix.409": Text("Read the reason, then decide again.", "请阅读原因后再决定。"),
    "error.fix.422": Text("Go back, correct it and send it again.", "请返回修改后重新提交。"),
    "error.fix.500": Text(
        "The log has the details under this time. Nothing you entered was stored.",
        "日志中有此时间的详情。你输入的内容没有保存。",
    ),
    "error.fix.503": Text(
        "Nothing was stored. Check disk space and the database, then try again.",
        "没有保存任何内容。请检查磁盘空间和数据库后重试。",
    ),
    "error.name_missing": Text(
        "Write your name, so that the others know who acted.",
        "请填写姓名，让其他人知道是谁操作的。",
    ),
    "error.text_missing": Text("Write a few words.", "请写几个字。"),
    "error.csrf": Text("The form was opened too long ago or in another window.", "表单已过期，或在其他窗口打开。"),
    "signin.title": Text("Sign in", "登录"),
    "signin.lead": Text(
        "This server can be reached from other machines, so it asks for its token.",
        "本服务可从其他机器访问，因此需要令牌。",
    ),
    "signin.token": Text("Token", "令牌"),
    "signin.send": Text("Sign in", "登录"),
    "signin.wrong": Text("This is not the token of this server.", "令牌不正确。"),
}
