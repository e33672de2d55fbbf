"""The shape of a chain directory's files. Everything is frozen; what a plugin understands stays a located node."""

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, model_validator
from pydantic import Field as Key
from pydantic_core import CoreSchema

from tillwatch.config.bind import EMPTY, Located, Raw, did_you_mean
from tillwatch.config.values import Argv as Argv
from tillwatch.config.values import Currency as Currency
from tillwatch.config.values import Duration as Duration
from tillwatch.config.values import Every as Every
from tillwatch.config.values import Hours as Hours
from tillwatch.config.values import Id as Id
from tillwatch.config.values import LabelName as LabelName
from tillwatch.config.values import MatcherText as MatcherText
from tillwatch.config.values import Reference as Reference
from tillwatch.config.values import ScheduleText as ScheduleText
from tillwatch.config.values import StoreUrl as StoreUrl
from tillwatch.config.values import Text as Text
from tillwatch.config.yaml import Mapping, Place
from tillwatch.errors import Problem, UsageError
from tillwatch.model.incident import Severity

#: No decimal in a till or an ERP has more digits behind the point.
_MAX_SCALE = 12
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
    currency: Currency


class StoreSpec(Strict):
    """Where our own state lives; a relative SQLite path starts at the chain directory."""

    url: StoreUrl


class Listen(Strict):
    host: str = "127.0.0.1"
    port: Annotated[int, Key(ge=0, le=65535)] = 8080
    #: What people's browsers call this server; links in messages start with it. Host and port when not given.
    public_url: Annotated[str, Key(pattern=r"^(https?://[^\s/]+(/[^\s]*)?)?$")] = ""

    @property
    def base_url(self) -> str:
        """Without a slash at the end."""
        return self.public_url.rstrip("/") or f"http://{self.host}:{self.port}"


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
    #: The language its readers want; the chain's when not given.
    locale: Literal["zh-CN", "en"] | None = None


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
    #: So many runs in a row without a verdict raise AuditInconclusive; one alone is mostly an outage, told by probes.
    fail_after: Annotated[int, Key(ge=1, le=1000)] = 2
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
    """Who is told. `oncall` is kept for a rota and tells nobody by itself; channels are always needed."""

    id: Id
    name: Text = {}
    channels: tuple[Reference, ...] = ()
    oncall: str = ""


class Heartbeat(Strict):
    """A job that reports itself with POST /hooks/heartbeat/ID; its silence is the alert."""

    id: Id
    name: Text = {}
    every: Every
    #: How late it may be before it counts as missing.
    grace: Duration = timedelta(minutes=1)
    system: Reference = ""
    interface: Reference = ""
    site: Reference = ""


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
    heartbeats: tuple[Heartbeat, ...] = ()


#: What `tillwatch schema KIND` knows.
FILE_KINDS: dict[str, type[ChainFile] | type[ChecksFile] | type[RoutesFile]] = {
    "chain": ChainFile,
    "checks": ChecksFile,
    "routes": RoutesFile,
}


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Identified)


@dataclass(frozen=True, kw_only=True)
class ChainConfig:
    """Everything a chain directory says. Look-ups raise UsageError with a suggestion when the id is unknown."""

    root: Path
    chain: Chain
    store: StoreSpec
    listen: Listen
    sites: tuple[Site, ...] = ()
    systems: tuple[System, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    channels: tuple[Channel, ...] = ()
    services: tuple[Service, ...] = ()
    offenders: tuple[Offender, ...] = ()
    probes: tuple[Probe, ...] = ()
    audits: tuple[Audit, ...] = ()
    route: Route
    receivers: tuple[Receiver, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    #: Prometheus rule files, absolute, in name order.
    rules: tuple[Path, ...] = ()
    #: Runbook files, absolute, in name order.
    runbooks: tuple[Path, ...] = ()
    #: Where each thing is declared, by `kind:id` such as `audit:orders`; empty for a config made in code.
    places: dict[str, Place] = field(default_factory=dict, repr=False)
    _by_id: dict[str, dict[str, Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def problem(self, kind: str, id: str, message: str) -> Problem:
        """A problem of one declared thing, at its place."""
        place = self.places.get(f"{kind}:{id}")
        text = f"{kind} '{id}': {message}"
        return place.problem(text) if place else Problem(file=ChainFile.path, message=text)

    def site(self, id: str) -> Site:
        return self._one(self.sites, id, "site")

    def system(self, id: str) -> System:
        return self._one(self.systems, id, "system")

    def interface(self, id: str) -> Interface:
        return self._one(self.interfaces, id, "interface")

    def channel(self, id: str) -> Channel:
        return self._one(self.channels, id, "channel")

    def receiver(self, id: str) -> Receiver:
        return self._one(self.receivers, id, "receiver")

    def heartbeat(self, id: str) -> Heartbeat:
        return self._one(self.heartbeats, id, "heartbeat")

    def service(self, id: str) -> Service:
        return self._one(self.services, id, "service")

    def offender(self, id: str) -> Offender:
        return self._one(self.offenders, id, "offender")

    def probe(self, id: str) -> Probe:
        return self._one(self.probes, id, "probe")

    def audit(self, id: str) -> Audit:
        return self._one(self.audits, id, "audit")

    def _one(self, items: tuple[Item, ...], id: str, kind: str) -> Item:
        if kind not in self._by_id:
            self._by_id[kind] = {item.id: item for item in items}
        known: dict[str, Item] = self._by_id[kind]
        if id not in known:
            raise UsageError(f"unknown {kind} '{id}'{did_you_mean(id, known)}")
        return known[id]
