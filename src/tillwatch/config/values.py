"""The scalar types of a chain directory's files: how each is written, and what is said when it is written wrong."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

from tillwatch.config.matcher import parse_matcher
from tillwatch.errors import UsageError
from tillwatch.model.text import LANGUAGES
from tillwatch.schedule import MAX_INTERVAL, MIN_INTERVAL, parse_duration, parse_schedule

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LANGUAGE = re.compile("|".join(LANGUAGES))
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_STORE_URL = re.compile(r"sqlite:///.+|postgresql\+psycopg://.+")


def _value(check: Callable[[str], T]) -> Callable[[Any], Any]:
    """A validator from one that raises UsageError; values that are no text pass, pydantic judges them."""

    def validate(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return check(value)
        except UsageError as error:
            raise ValueError(str(error)) from error

    return validate


def _like(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(value: str) -> str:
        if value and not pattern.fullmatch(value):
            raise ValueError(f"'{value}' is not {wanted}")
        return value

    return AfterValidator(check)


def _duration(text: str) -> timedelta:
    return parse_duration(text)


def _interval(value: timedelta) -> timedelta:
    if not MIN_INTERVAL <= value <= MAX_INTERVAL:
        raise ValueError("an interval lies between 1s and 7d")
    return value


def _schedule(text: str) -> str:
    # The zone decides when it fires, not whether it parses.
    parse_schedule(text, ZoneInfo("UTC"))
    return text


def _cron(text: str) -> str:
    if text.startswith("@every"):
        raise UsageError(f"'{text}' names no instants; write five cron fields such as 0 2 * * 0")
    return text


def _matcher(text: str) -> str:
    parse_matcher(text)
    return text


def _both_languages(value: Any) -> Any:
    return dict.fromkeys(LANGUAGES, value) if isinstance(value, str) else value


def _not_empty(value: str) -> str:
    if not value.strip():
        raise ValueError("the value is empty; write one or remove the key")
    return value


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$", "examples": ["30s", "5m"]})
Duration = Annotated[timedelta, BeforeValidator(_value(_duration)), _DURATION_SCHEMA]
Every = Annotated[Duration, AfterValidator(_interval), _DURATION_SCHEMA]
Id = Annotated[str, AfterValidator(_not_empty), _like(_ID, "an id; use letters, digits, '.', '_' and '-', at most 63")]
#: Points at the id of something declared elsewhere; load checks that it is there.
Reference = str
Text = Annotated[
    dict[Annotated[str, _like(_LANGUAGE, "a language we know; write en or zh")], str],
    BeforeValidator(_both_languages),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "object", "properties": {"en": {"type": "string"}, "zh": {"type": "string"}}},
            ]
        }
    ),
]
Currency = Annotated[str, _like(_CURRENCY, "a currency; write three capitals, for example CNY")]
StoreUrl = Annotated[str, _like(_STORE_URL, "a store; write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")]
Hours = Annotated[str, _like(_HOURS, "opening hours; write for example 09:00-22:00")]
TimeOfDay = Annotated[str, _like(_TIME, "a time of day; write for example 09:00")]
LabelName = Annotated[str, _like(_LABEL, "a label name; use letters, digits and '_', no digit first")]
ScheduleText = Annotated[
    str,
    AfterValidator(_value(_schedule)),
    WithJsonSchema({"type": "string", "examples": ["*/15 * * * *", "@every 20s"]}),
]
#: A schedule that names instants, not an interval.
CronText = Annotated[
    ScheduleText,
    AfterValidator(_value(_cron)),
    WithJsonSchema({"type": "string", "examples": ["0 2 * * 0"]}),
]
MatcherText = Annotated[str, AfterValidator(_value(_matcher))]
Argv = tuple[Annotated[str, AfterValidator(_not_empty)], ...]
