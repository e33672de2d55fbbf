"""Channel kind `feishu`: a card by a 飞书 (or Lark) group robot, signed when `secret` is given; `code` decides."""

import base64
import hashlib
import hmac
from typing import Annotated, ClassVar

from pydantic import BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.model.notice import NoticeKind
from tillwatch.model.text import language_of
from tillwatch.notify.base import Message
from tillwatch.notify.robot import Call, Mentions, Robot, RobotOptions, called, shortened

#: The request may hold 20 kB; what is around the text needs less than the rest.
LIMIT_BYTES = 14_000
BUTTON_BYTES = 200
#: A longer address stands in the text, or nowhere.
ADDRESS_BYTES = 1_000
_COLOURS = {"critical": "red", "warning": "orange", "info": "blue"}
_OPEN = {"en": "Open", "zh": "打开"}
_ACKNOWLEDGE = {"en": "Acknowledge", "zh": "确认"}


class FeishuOptions(RobotOptions):
    """`token` is the last part of the robot's address. For Lark: `url: https://open.larksuite.com`."""

    token: Annotated[Secret, Key(min_length=8)]
    secret: Secret = Secret("")
    #: Open ids; `all` for everybody.
    mention: Mentions = ()
    url: str = "https://open.feishu.cn"


class Feishu(Robot):
    kind: ClassVar[str] = "feishu"
    Options: ClassVar[type[BaseModel]] = FeishuOptions
    #: Older answers say StatusCode.
    codes = ("code", "StatusCode")
    words = "msg"
    rate_limited = frozenset({9499, 11232})

    def __init__(self, options: FeishuOptions, *, clock: Clock) -> None:
        self._options = options
        secrets = [str(options.token), str(options.secret)]
        super().__init__(options, clock=clock, secrets=secrets, limit_bytes=LIMIT_BYTES)

    def call(self, message: Message, *, text: str) -> Call:
        title, _, body = text.partition("\n")
        colour = "green" if message.kind is NoticeKind.RESOLVED else _COLOURS.get(message.severity, "grey")
        # Plain text: what an alert says cannot become a link or a mention.
        elements: list[dict[str, object]] = [{"tag": "div", "text": {"tag": "plain_text", "content": body or title}}]
        if people := called(self._options.mention, message):
            names = " ".join(f"<at id={user}></at>" for user in people)
            elements.append({"tag": "div", "text": {"tag": "lark_md", "content": names}})
        language = language_of(message.locale)
        buttons = [(_ACKNOWLEDGE[language], message.ack_url)] if message.ack_url else []
        buttons += [
            (shortened(f"{_OPEN[language]} · {link.title}", BUTTON_BYTES), link.url)
            for link in message.runbooks[:1]
            if len(link.url.encode()) <= ADDRESS_BYTES
        ]
        buttons += [(_OPEN[language], message.url)] if 0 < len(message.url.encode()) <= ADDRESS_BYTES else []
        if buttons:
            elements.append({"tag": "action", "actions": [_button(words, url) for words, url in buttons]})
        header = {"title": {"tag": "plain_text", "content": title}, "template": colour}
        document: dict[str, object] = {"msg_type": "interactive", "card": {"header": header, "elements": elements}}
        if self._options.secret:
            stamp = str(int(self._clock.now().timestamp()))
            document |= {"timestamp": stamp, "sign": signature(str(self._options.secret), stamp)}
        return Call(url=f"{self._options.url}/open-apis/bot/v2/hook/{self._options.token}", document=document)


def _button(words: str, url: str) -> dict[str, object]:
    return {"tag": "button", "text": {"tag": "plain_text", "content": words}, "url": url, "type": "primary"}


def signature(secret: str, stamp: str) -> str:
    """HMAC-SHA256 over nothing with `timestamp newline secret` as key, base64; as the robot's settings page asks."""
    digest = hmac.new(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
