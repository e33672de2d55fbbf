"""Words for causes in both languages, where a system's own message is in a language the reader may not share."""

from collections.abc import Mapping

from tillwatch.errors import Cause
from tillwatch.model.text import Text

CAUSES: Mapping[Cause, Text] = {
    Cause.DNS: {"en": "name not found", "zh": "域名无法解析"},
    Cause.TCP: {"en": "connection refused or host unreachable", "zh": "连接被拒绝或主机不可达"},
    Cause.TLS: {"en": "encrypted connection failed", "zh": "加密连接失败"},
    Cause.TIMEOUT: {"en": "no answer in time", "zh": "超时无响应"},
    Cause.AUTH: {"en": "credentials refused", "zh": "账号或密码被拒绝"},
    Cause.AUTHZ: {"en": "not permitted", "zh": "没有权限"},
    Cause.SESSION: {"en": "session refused", "zh": "会话失效"},
    Cause.THROTTLE: {"en": "throttled", "zh": "被限流"},
    Cause.APPLICATION: {"en": "the application reports an error", "zh": "应用返回错误"},
    Cause.DATA: {"en": "the data is not as declared", "zh": "数据与声明不符"},
    Cause.EXPIRY: {"en": "about to expire", "zh": "即将过期"},
    Cause.BACKLOG: {"en": "documents are waiting too long", "zh": "单据积压过久"},
    Cause.CALENDAR: {"en": "blocked by the calendar", "zh": "日历不允许"},
    Cause.SATURATION: {"en": "the machine is overloaded", "zh": "主机过载"},
}
