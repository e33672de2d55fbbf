"""Channel kind `wecom_bot`: a 企业微信 group robot. Markdown of at most 4096 bytes; `errcode` in the body decides."""

from typing import Annotated, ClassVar

from pydantic import BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.notify.base import Message
from tillwatch.notify.robot import Call, Mentions, Robot, RobotOptions, called

#: Documented for the robot's markdown, in UTF-8 bytes. A longer message is refused whole (40058).
LIMIT_BYTES = 4096


class WecomBotOptions(RobotOptions):
    """`key` is the last part of the robot's address; `mention` are user ids, `all` for everybody."""

    key: Annotated[Secret, Key(min_length=8)]
    mention: Mentions = ()
    url: str = "https://qyapi.weixin.qq.com"


class WecomBot(Robot):
    kind: ClassVar[str] = "wecom_bot"
    Options: ClassVar[type[BaseModel]] = WecomBotOptions
    codes = ("errcode",)
    words = "errmsg"
    rate_limited = frozenset({45009})
    busy = frozenset({-1})

    def __init__(self, options: WecomBotOptions, *, clock: Clock) -> None:
        self._declared = options.mention
        self._url = f"{options.url}/cgi-bin/webhook/send?key={options.key}"
        super().__init__(options, clock=clock, secrets=[str(options.key)], limit_bytes=LIMIT_BYTES)

    def calling(self, message: Message) -> str:
        mentions = "".join(f"<@{'@all' if user == 'all' else user}>" for user in called(self._declared, message))
        return f"\n{mentions}" if mentions else ""

    def call(self, message: Message, *, text: str) -> Call:
        content = {"content": text + self.calling(message)}
        return Call(url=self._url, document={"msgtype": "markdown", "markdown": content})
