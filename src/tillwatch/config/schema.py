"""The shape of a chain directory's files. Everything is frozen; what a plugin understands stays a located node."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic import Field as Key
from pydantic_core import CoreSchema

from tillwatch.config.bind import EMPTY, Located, Raw
from tillwatch.config.matcher import parse_matcher
from tillwatch.config.yaml import Mapping
from tillwatch.errors import UsageError
from tillwatch.model.incident import Severity
from tillwatch.model.text import LANGUAGES
from tillwatch.schedule import MAX_INTERVAL, MIN_INTERVAL, parse_duration, parse_schedule

T = TypeVar("T")

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)", re.ASCII)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_STORE_URL = re.compile(r"sqlite:///.+|postgresql\+psycopg://.+")
#: Keys of an audit's field that only make sense for some types; elsewhere they would be ignored without a word.
_FIELD_KEYS = {
    "scale": ("decimal",),
    "tolerance": ("decimal", "integer"),
    "trim": ("text", "code"),
    "fold_width": ("code",),
    "fold_case": ("text", "code"),
    "zone": ("date", "timestamp"),
    "precision": ("timestamp",),
}
#: No decimal in a till or an ERP has more digits behind the point.
_MAX_SCALE = 12


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
    dict[Literal["en", "zh"], str],
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
Hours = Annotated[str, _like(_HOURS, "opening hours; write for example 09:00-22:00")]
LabelName = Annotated[str, _like(_LABEL, "a label name; use letters, digits and '_', no digit first")]
ScheduleText = Annotated[
    str,
    AfterValidator(_value(_schedule)),
    WithJsonSchema({"type": "string", "examples": ["*/15 * * * *", "@every 20s"]}),
]
MatcherText = Annotated[str, AfterValidator(_value(_matcher))]
Argv = tuple[Annotated[str, AfterValidator(_not_empty)], ...]


class Strict(BaseModel):
    """Frozen, and an unknown key is an error. Python code may use field names, files use the keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class WithOptions(Strict):
    """Keys we do not know belong to the plugin and are kept as located nodes in `options`."""

    options: Annotated[Raw, Key(repr=False)] = EMPTY

    @model_validator(mode="before")
    @classmethod
    def _keep_the_rest(cls, value: Any) -> Any:
        if not isinstance(value, Located):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()} - {"options"}
        mine = {key: item for key, item in value.items() if key in known}
        rest = {key: item for key, item in value.node.entries.items() if key not in known}
        places = {key: value.node.keys[key] for key in rest}
        return {**mine, "options": Mapping(place=value.node.place, entries=rest, keys=places)}

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        shape = handler.resolve_ref_schema(handler(schema))
        shape["properties"].pop("options")
        shape["additionalProperties"] = True
        return shape


class Chain(Strict):
    """The retail chain as a whole."""

    id: Id
    name: Text = {}
    timezone: ZoneInfo
    locale: Literal["zh-CN", "en"] = "zh-CN"
    currency: Annotated[str, _like(_CURRENCY, "a currency; write three capitals, for example CNY")]


class StoreSpec(Strict):
    """Where our own state lives; a relative SQLite path starts at the chain directory."""

    url: Annotated[str, _like(_STORE_URL, "a store; write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME")]


class Listen(Strict):
    host: str = "127.0.0.1"
    port: Annotated[int, Key(ge=0, le=65535)] = 8080


class Site(Strict):
    """A place: a shop, a warehouse, head office."""

    id: Id
    name: Text = {}
    hours: Hours = ""
    labels: dict[LabelName, str] = {}


class System(WithOptions):
    """Something with data: an ERP, a till database, a server. `options` belong to its source plugin."""

    id: Id
    name: Text = {}
    site: Reference = ""
    source: str


class Interface(Strict):
    """A directed link between two systems."""

    id: Id
    name: Text = {}
    site: Reference = ""
    from_: Annotated[Reference, Key(alias="from")]
    to: Reference
    carries: str


class Channel(WithOptions):
    """A way to reach people. `options` belong to its notifier."""

    id: Id
    name: Text = {}
    kind: str


class Service(Strict):
    """What a runbook may start and stop on this host, as argument lists; never a shell line."""

    id: Id
    name: Text = {}
    start: Annotated[Argv, Key(min_length=1)]
    stop: Argv = ()


class Offender(Strict):
    """What a runbook may end when it holds the host: processes whose arguments contain `argv_contains`."""

    id: Id
    name: Text = {}
    argv_contains: Annotated[str, Key(min_length=4)]
    stop: Literal["term", "kill"] = "term"


class Probe(Strict):
    """A check that runs again and again. `options` belong to its prober."""

    id: Id
    prober: str
    name: Text = {}
    system: Reference = ""
    interface: Reference = ""
    site: Reference = ""
    target: str = ""
    every: Every
    timeout: Duration = timedelta(seconds=10)
    fail_after: Annotated[int, Key(ge=1, le=1000)] = 3
    recover_after: Annotated[int, Key(ge=1, le=1000)] = 2
    severity: Severity = Severity.WARNING
    options: Annotated[Raw | None, Key(repr=False)] = None


class Side(Strict):
    system: Reference
    dataset: str


class Field(Strict):
    """How one field is made comparable before the two sides are compared."""

    type: Literal["decimal", "text", "code", "integer", "date", "timestamp", "boolean"]
    scale: Annotated[int, Key(ge=0, le=_MAX_SCALE)] | None = None
    tolerance: Annotated[Decimal, Key(ge=0)] | None = None
    #: Spaces a text loses: codes lose them on both sides unless told otherwise, texts keep them.
    trim: Literal["none", "right", "both"] | None = None
    #: Full-width letters and digits become ASCII (NFKC); for codes, never for names.
    fold_width: bool = False
    fold_case: bool = False
    #: An empty text counts as no value.
    empty_is_null: bool = False
    #: The zone of times that carry none; the chain's when not given.
    zone: ZoneInfo | None = None
    precision: Literal["second", "millisecond", "microsecond"] | None = None

    @model_validator(mode="after")
    def _belongs_to_its_type(self) -> "Field":
        wrong = [
            f"'{key}' belongs to a field of type {' or '.join(types)}, not {self.type}"
            for key, types in _FIELD_KEYS.items()
            if key in self.model_fields_set and self.type not in types
        ]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self


class Audit(Strict):
    """Two sides that must agree, row by row; the left side is the side of truth."""

    id: Id
    name: Text = {}
    interface: Reference = ""
    left: Side
    right: Side
    key: Annotated[tuple[str, ...], Key(min_length=1)]
    fields: Annotated[dict[str, Field], Key(min_length=1)]
    schedule: ScheduleText
    settle: Duration = timedelta(seconds=30)
    value: str = ""
    severity: Severity = Severity.WARNING
    timeout: Duration = timedelta(minutes=10)
    repair: Annotated[Raw | None, Key(repr=False)] = None


class Route(Strict):
    """One node of the routing tree; what a child does not say it takes from its parent."""

    receiver: Reference = ""
    matchers: tuple[MatcherText, ...] = ()
    group_wait: Duration | None = None
    group_interval: Duration | None = None
    repeat_interval: Duration | None = None
    continue_: Annotated[bool, Key(alias="continue")] = False
    routes: tuple["Route", ...] = ()


class Receiver(Strict):
    """Who is told: channels, a rota, or both."""

    id: Id
    name: Text = {}
    channels: tuple[Reference, ...] = ()
    oncall: str = ""


class ChainFile(Strict):
    """tillwatch.yaml"""

    path: ClassVar[str] = "tillwatch.yaml"

    chain: Chain
    store: StoreSpec = StoreSpec(url="sqlite:///var/tillwatch.db")
    listen: Listen = Listen()
    sites: tuple[Site, ...] = ()
    systems: tuple[System, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    channels: tuple[Channel, ...] = ()
    services: tuple[Service, ...] = ()
    offenders: tuple[Offender, ...] = ()


class ChecksFile(Strict):
    """probes/**/*.yaml"""

    path: ClassVar[str] = "probes/**/*.yaml"

    probes: tuple[Probe, ...] = ()
    audits: tuple[Audit, ...] = ()


class RoutesFile(Strict):
    """alerts/routes.yaml"""

    path: ClassVar[str] = "alerts/routes.yaml"

    route: Route
    receivers: tuple[Receiver, ...] = ()


#: What `tillwatch schema KIND` knows.
FILE_KINDS: dict[str, type[ChainFile] | type[ChecksFile] | type[RoutesFile]] = {
    "chain": ChainFile,
    "checks": ChecksFile,
    "routes": RoutesFile,
}
