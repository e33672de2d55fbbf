"""Who was told and who is next, in words."""

from dataclasses import dataclass
from datetime import datetime

from tillwatch.config.declared import ChainConfig
from tillwatch.incident.explain import Coming, Explanation, Heard
from tillwatch.web.language import Texts
from tillwatch.web.views.names import channel_names, person_name, target_name


@dataclass(frozen=True, kw_only=True)
class Line:
    """One sentence, its time, and its reason."""

    at: datetime
    text: str
    why: str


@dataclass(frozen=True, kw_only=True)
class ExplanationView:
    """`coming` latest first, so that the list reads upwards from what is known to what is ahead."""

    quiet: str
    heard: tuple[Line, ...]
    coming: tuple[Line, ...]


def explanation_view(found: Explanation, config: ChainConfig, t: Texts) -> ExplanationView:
    channels = channel_names(config, t)
    return ExplanationView(
        quiet=t(f"explain.{found.quiet.value}") if found.quiet else "",
        heard=tuple(_heard(one, config, channels, t) for one in sorted(found.heard, key=_last, reverse=True)),
        coming=tuple(_coming(one, config, channels, t) for one in reversed(found.coming)),
    )


def _last(one: Heard) -> datetime:
    return one.last_at


def _heard(one: Heard, config: ChainConfig, channels: dict[str, str], t: Texts) -> Line:
    receiver = t.name({item.id: item.name for item in config.receivers}.get(one.receiver, {}), one.receiver)
    by = t("explain.by_escalation", receiver=receiver) if one.escalated else t("explain.by_route", receiver=receiver)
    why = t("explain.reminders", text=by, n=one.reminders) if one.reminders else by
    text = t("explain.heard", who=_who(one.person, config, t), channels=_through(one.channels, channels, t))
    return Line(at=one.last_at, text=text, why=why)


def _coming(one: Coming, config: ChainConfig, channels: dict[str, str], t: Texts) -> Line:
    text = t.loosely(
        f"explain.{one.kind.value}",
        {
            "who": _who(one.person, config, t),
            "to": target_name(config, one.target, one.person, t),
            "channels": _through(one.channels, channels, t),
            "step": str(one.step),
        },
    )
    why = t("explain.held") if one.held else t.or_raw("step", one.why) if one.why else ""
    return Line(at=one.at, text=text, why=why)


def _who(person: str, config: ChainConfig, t: Texts) -> str:
    return person_name(config, person, t) if person else t("explain.everybody")


def _through(ids: tuple[str, ...], channels: dict[str, str], t: Texts) -> str:
    return t("list").join(channels.get(one, one) for one in ids)
