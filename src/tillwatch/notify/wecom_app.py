"""Channel kind `wecom_app`: a 企业微信 application that writes to people, departments and tags; `errcode` decides.

The access token is fetched once and kept until shortly before it ends. A service that calls it invalid gets a new one,
once a message. No token means that nothing arrived, so the message waits.
"""

import enum
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self
from urllib.parse import urlencode

from pydantic import BaseModel, model_validator
from pydantic import Field as Key

from tillwatch.clock import Clock
from tillwatch.config.bind import Secret
from tillwatch.errors import DeliveryError
from tillwatch.model.notice import NoticeKind
from tillwatch.model.text import language_of
from tillwatch.notify.base import Delivery, Message, Result
from tillwatch.notify.robot import RATE_LIMITED_SECONDS, Call, Robot, RobotOptions, as_document, called, shortened

#: Documented for an application's markdown, in UTF-8 bytes.
LIMIT_BYTES = 2048
#: Of the parts of a card; what is longer is cut by the service in the middle of a character.
TITLE_BYTES = 120
CARD_TEXT_BYTES = 480
LINK_BYTES = 60
#: Longer addresses are refused.
ADDRESS_BYTES = 2048
#: A token this close to its end could end under way.
TOKEN_MARGIN = timedelta(minutes=5)
#: The token is not valid (any more): a new one helps.
TOKEN_REFUSED = frozenset({"40014", "42001"})
_TOKEN_RATE_LIMITED = frozenset({45009, 45033})
_EVERYBODY = "all"
_OPEN = {"en": "Open the incident", "zh": "查看事件"}
_ACKNOWLEDGE = {"en": "Acknowledge", "zh": "确认"}
#: Whom the service did not find, in an answer that is otherwise good.
_NOT_FOUND = ("invaliduser", "invalidparty", "invalidtag", "unlicenseduser")


class Format(enum.StrEnum):
    MARKDOWN = "markdown"
    #: A notice with links to acknowledge and to the incident.
    CARD = "card"


_Id = Annotated[str, Key(pattern=r"^[A-Za-z0-9_.@+-]{1,64}$")]
_Ids = Annotated[tuple[_Id, ...], Key(max_length=100)]


class WecomAppOptions(RobotOptions):
    """`corp_id`, `secret` and `agent_id` stand on the application's page in the console.

    `users` (`all` for everybody who may see the application), `parties` and `tags` get what is meant for nobody in
    particular; what is meant for a person goes to that person's address of the kind `wecom_app`.
    """

    corp_id: Annotated[str, Key(min_length=4)]
    secret: Annotated[Secret, Key(min_length=8)]
    agent_id: Annotated[int, Key(ge=1)]
    users: _Ids = ()
    parties: _Ids = ()
    tags: _Ids = ()
    format: Format = Format.MARKDOWN
    url: str = "https://qyapi.weixin.qq.com"

    @model_validator(mode="after")
    def _somebody(self) -> Self:
        if not (self.users or self.parties or self.tags):
            raise ValueError("name somebody: users, parties or tags; 'all' in users is everybody")
        return self


class WecomApp(Robot):
    kind: ClassVar[str] = "wecom_app"
    Options: ClassVar[type[BaseModel]] = WecomAppOptions
    codes = ("errcode",)
    words = "errmsg"
    rate_limited = frozenset({45009})
    busy = frozenset({-1})

    def __init__(self, options: WecomAppOptions, *, clock: Clock) -> None:
        self._options = options
        #: The last of them is the token of now.
        self._hidden = [str(options.secret), ""]
        self._token_ends = 0.0
        super().__init__(options, clock=clock, secrets=self._hidden, limit_bytes=LIMIT_BYTES)

    def send(self, message: Message, *, key: str) -> Delivery:
        """As every robot; a token that ended meanwhile is replaced once. Raises DeliveryError without a token."""
        delivery = super().send(message, key=key)
        if delivery.result is Result.REJECTED and delivery.code in TOKEN_REFUSED:
            self._hidden[-1] = ""
            delivery = super().send(message, key=key)
        return delivery

    def call(self, message: Message, *, text: str) -> Call:
        url = f"{self._options.url}/cgi-bin/message/send?{urlencode({'access_token': self._token()})}"
        content = self._card(message, text) if self._is_card(message) else _markdown(text)
        return Call(url=url, document={**self._to(message), "agentid": self._options.agent_id, **content})

    def judged(self, found: Mapping[str, Any], delivery: Delivery) -> Delivery:
        """Some have it. Called delivered, nobody would look for the others."""
        missed = [f"{name}: {found[name]}" for name in _NOT_FOUND if found.get(name)]
        if delivery.result is not Result.DELIVERED or not missed:
            return delivery
        words = self._exchange.say(f"not found: {'; '.join(missed)}")
        return Delivery(result=Result.REJECTED, code="partial", detail=words, seconds=delivery.seconds)

    def _to(self, message: Message) -> dict[str, str]:
        people = called((), message)
        if people:
            return {"touser": "|".join(people)}
        users = ["@all" if one == _EVERYBODY else one for one in self._options.users]
        groups = {"touser": users, "toparty": self._options.parties, "totag": self._options.tags}
        return {name: "|".join(ids) for name, ids in groups.items() if ids}

    def _is_card(self, message: Message) -> bool:
        """A card leads somewhere; a message without an address has none to lead to."""
        return self._options.format is Format.CARD and 0 < len(message.url.encode()) <= ADDRESS_BYTES

    def _card(self, message: Message, text: str) -> dict[str, object]:
        language = language_of(message.locale)
        title, _, body = text.partition("\n")
        links = [(_ACKNOWLEDGE[language], message.ack_url)] if message.ack_url else []
        links += [(_OPEN[language], message.url)]
        links += [(link.title, link.url) for link in message.runbooks[:1] if message.kind is not NoticeKind.RESOLVED]
        shown = "\n".join(line for line in body.split("\n") if not any(url in line for _, url in links))
        card = {
            "card_type": "text_notice",
            "main_title": {"title": shortened(title, TITLE_BYTES)},
            "sub_title_text": shortened(shown or title, CARD_TEXT_BYTES),
            "jump_list": [
                {"type": 1, "title": shortened(words, LINK_BYTES), "url": url}
                for words, url in links
                if len(url.encode()) <= ADDRESS_BYTES
            ],
            "card_action": {"type": 1, "url": message.url},
        }
        return {"msgtype": "template_card", "template_card": card}

    def _token(self) -> str:
        """The access token, fetched when there is none or it ends soon."""
        started = self._clock.monotonic()
        if self._hidden[-1] and started < self._token_ends:
            return self._hidden[-1]
        options = self._options
        query = urlencode({"corpid": options.corp_id, "corpsecret": str(options.secret)})
        answer = self._exchange.get(f"{options.url}/cgi-bin/gettoken?{query}", started=started)
        if isinstance(answer, Delivery):
            # Asking twice does no harm, so an answer that never came is no doubt about the message.
            raise DeliveryError(f"no access token: {answer.detail}", retryable=True, code=answer.code)
        found = as_document(answer.body)
        code, token, lasts = found.get("errcode"), found.get("access_token"), found.get("expires_in")
        if not answer.is_success or code != 0 or not isinstance(token, str) or not isinstance(lasts, int):
            words = self._exchange.say(
                f"no access token: {code}: {found.get('errmsg') or answer.body or answer.reason}"
            )
            wait = RATE_LIMITED_SECONDS if code in _TOKEN_RATE_LIMITED else None
            # The secret or the list of trusted addresses may be put right; the message can wait for that.
            name = str(answer.status if code is None else code)
            raise DeliveryError(words, retryable=True, code=name, retry_after_seconds=wait)
        self._hidden[-1] = token
        self._token_ends = started + max(0.0, lasts - TOKEN_MARGIN.total_seconds())
        return token


def _markdown(text: str) -> dict[str, object]:
    return {"msgtype": "markdown", "markdown": {"content": text}}
