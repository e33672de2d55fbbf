"""From configured channels to notifiers. A new kind of channel is one module and one line here."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from tillwatch.clock import Clock
from tillwatch.config.bind import bind, did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Channel
from tillwatch.errors import ConfigError, Problem, UsageError
from tillwatch.model.channel import Allowance
from tillwatch.notify.apprise import AppriseNotifier, AppriseOptions
from tillwatch.notify.base import Notifier
from tillwatch.notify.dingtalk import Dingtalk, DingtalkOptions
from tillwatch.notify.email import Email, EmailOptions
from tillwatch.notify.feishu import Feishu, FeishuOptions
from tillwatch.notify.webhook import Webhook, WebhookOptions
from tillwatch.notify.wecom_app import WecomApp, WecomAppOptions
from tillwatch.notify.wecom_bot import WecomBot, WecomBotOptions

_KINDS: dict[str, tuple[type[BaseModel], Callable[[Any, Clock], Notifier]]] = {
    Webhook.kind: (WebhookOptions, lambda options, clock: Webhook(options, clock=clock)),
    AppriseNotifier.kind: (AppriseOptions, lambda options, clock: AppriseNotifier(options, clock=clock)),
    WecomBot.kind: (WecomBotOptions, lambda options, clock: WecomBot(options, clock=clock)),
    WecomApp.kind: (WecomAppOptions, lambda options, clock: WecomApp(options, clock=clock)),
    Dingtalk.kind: (DingtalkOptions, lambda options, clock: Dingtalk(options, clock=clock)),
    Feishu.kind: (FeishuOptions, lambda options, clock: Feishu(options, clock=clock)),
    Email.kind: (EmailOptions, lambda options, clock: Email(options, clock=clock)),
}

#: Every kind of channel, with the model of its options.
OPTIONS: dict[str, type[BaseModel]] = {kind: options for kind, (options, _) in _KINDS.items()}


class Notifiers:
    """The notifiers of one chain, by channel id. Close once."""

    def __init__(self, notifiers: Mapping[str, Notifier]) -> None:
        self._notifiers = dict(notifiers)

    def get(self, channel: str) -> Notifier:
        """Raises UsageError when no such channel is configured (any more)."""
        if channel not in self._notifiers:
            raise UsageError(f"unknown channel '{channel}'{did_you_mean(channel, self._notifiers)}")
        return self._notifiers[channel]

    def limits(self) -> Mapping[str, Allowance]:
        """The channels whose service takes only so much."""
        return {id: one.allowance for id, one in self._notifiers.items() if one.allowance is not None}

    def close(self) -> None:
        for notifier in self._notifiers.values():
            notifier.close()


def check(config: ChainConfig) -> list[Problem]:
    """What is wrong with the channels' options, each problem at its place. Sends nothing."""
    problems: list[Problem] = []
    for channel in config.channels:
        _options(channel, problems)
    return problems


def build(config: ChainConfig, *, clock: Clock, only: Iterable[str] | None = None) -> Notifiers:
    """Notifiers for every channel (or `only` these). Raises ConfigError with every wrong option."""
    problems: list[Problem] = []
    wanted = None if only is None else set(only)
    built: dict[str, Notifier] = {}
    for channel in config.channels:
        if wanted is not None and channel.id not in wanted:
            continue
        options = _options(channel, problems)
        if options is not None:
            built[channel.id] = _KINDS[channel.kind][1](options, clock)
    if problems:
        raise ConfigError(problems)
    return Notifiers(built)


def _options(channel: Channel, problems: list[Problem]) -> BaseModel | None:
    if channel.kind not in _KINDS:
        hint = did_you_mean(channel.kind, OPTIONS, what="kinds")
        problems.append(channel.options.place.problem(f"channel '{channel.id}': unknown kind '{channel.kind}'{hint}"))
        return None
    model = _KINDS[channel.kind][0]
    return bind(channel.options, model, where=f"channel '{channel.id}' ({channel.kind})", problems=problems)
