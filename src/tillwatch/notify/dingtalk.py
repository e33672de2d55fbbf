"""Channel kind `dingtalk`: a 钉钉 group robot, signed when `secret` is given. `errcode` in the body decides."""

import base64
import hashlib
import hmac
from typing import Annotated, ClassVar
from urllib.parse import quote_plus

from pydantic import BaseModel
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.notify.base import Message
from tillwatch.notify.robot import Call, Mentions, Robot, RobotOptions, called, shortened

#: The request may hold 20,000 bytes (460101 beyond). Line breaks are doubled, and the rest of the request needs room.
LIMIT_BYTES = 11_000
#: Shown in the list of chats only.
TITLE_BYTES = 300


class DingtalkOptions(RobotOptions):
    """`token` is the access token, `secret` the one that begins with SEC; `mention` are mobile numbers."""

    token: Annotated[Secret, Key(min_length=8)]
    secret: Secret = Secret("")
    mention: Mentions = ()
    url: str = "https://oapi.dingtalk.com"


class Dingtalk(Robot):
    kind: ClassVar[str] = "dingtalk"
    Options: ClassVar[type[BaseModel]] = DingtalkOptions
    codes = ("errcode",)
    words = "errmsg"
    rate_limited = frozenset({130101})
    busy = frozenset({-1})

    def __init__(self, options: DingtalkOptions, *, clock: Clock) -> None:
        self._options = options
        secrets = [str(options.token), str(options.secret)]
        super().__init__(options, clock=clock, secrets=secrets, limit_bytes=LIMIT_BYTES)

    def calling(self, message: Message) -> str:
        """A number is only called when it also stands in the text."""
        return "".join(f"\n\n@{mobile}" for mobile in called(self._options.mention, message))

    def call(self, message: Message, *, text: str) -> Call:
        url = f"{self._options.url}/robot/send?access_token={self._options.token}"
        if self._options.secret:
            stamp = str(int(self._clock.now().timestamp() * 1000))
            url += f"&timestamp={stamp}&sign={quote_plus(signature(str(self._options.secret), stamp))}"
        # A single line break is none in this markdown.
        content = {
            "title": shortened(message.title, TITLE_BYTES),
            "text": text.replace("\n", "\n\n") + self.calling(message),
        }
        return Call(
            url=url,
            document={
                "msgtype": "markdown",
                "markdown": content,
                "at": {"atMobiles": list(called(self._options.mention, message))},
            },
        )


def signature(secret: str, stamp: str) -> str:
    """HMAC-SHA256 over `timestamp newline secret` with the secret as key, base64; as the robot's settings page asks."""
    digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
