"""What `tillwatch.yaml` declares: the chain, its sites, systems, interfaces, channels and services."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field as Key

from tillwatch.config.strict import Strict, WithOptions
from tillwatch.config.values import Argv, Currency, Hours, Id, LabelName, Reference, StoreUrl, Text


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


class Compare(Strict):
    """Where large audits are compared."""

    #: Address of a dask scheduler, tcp://HOST:PORT; empty = processes of this machine. Needs the extra `dask`.
    dask: str = ""


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
