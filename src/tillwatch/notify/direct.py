"""One message past the outbox, for the moment in which the outbox itself is what has to be told about."""

from collections.abc import Mapping

from tillwatch.clock import Clock
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import DeliveryError, UsageError
from tillwatch.model.notice import NoticeKind
from tillwatch.model.text import pick
from tillwatch.notify.base import Message, Result
from tillwatch.notify.registry import Notifiers

_TITLE = {"en": "Tillwatch itself needs attention", "zh": "监控服务自身需要关注"}


class Direct:
    """Sends at once and remembers nothing; the caller decides whether it is worth repeating."""

    def __init__(self, config: ChainConfig, notifiers: Notifiers, *, clock: Clock) -> None:
        self._config = config
        self._notifiers = notifiers
        self._clock = clock

    def __call__(self, channel: str, text: Mapping[str, str], key: str) -> bool:
        """True when the channel took it; whatever goes wrong is an answer, never an error."""
        known = next((one for one in self._config.channels if one.id == channel), None)
        locale = (known.locale if known else None) or self._config.chain.locale
        message = Message(
            key=f"{key}:{channel}",
            kind=NoticeKind.MESSAGE,
            channel=channel,
            receiver="",
            locale=locale,
            title=pick(_TITLE, locale),
            body=f"{pick(text, locale)}\n{self._config.listen.base_url}/incidents",
            severity="critical",
            url=f"{self._config.listen.base_url}/incidents",
            chain=self._config.chain.id,
            at=self._clock.now(),
        )
        try:
            delivery = self._notifiers.get(channel).send(message, key=message.key)
        except (DeliveryError, UsageError):
            return False
        return delivery.result is Result.DELIVERED
