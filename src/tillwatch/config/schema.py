"""The shape of a chain directory's files, one class a file; frozen, and what a plugin understands stays a node."""

from typing import ClassVar

from tillwatch.config.calendar import Calendar as Calendar
from tillwatch.config.calendar import Window as Window
from tillwatch.config.chain import Chain as Chain
from tillwatch.config.chain import Channel as Channel
from tillwatch.config.chain import Compare as Compare
from tillwatch.config.chain import Interface as Interface
from tillwatch.config.chain import Listen as Listen
from tillwatch.config.chain import Offender as Offender
from tillwatch.config.chain import Service as Service
from tillwatch.config.chain import Site as Site
from tillwatch.config.chain import StoreSpec as StoreSpec
from tillwatch.config.chain import System as System
from tillwatch.config.checks import Acceptance as Acceptance
from tillwatch.config.checks import Audit as Audit
from tillwatch.config.checks import Field as Field
from tillwatch.config.checks import Probe as Probe
from tillwatch.config.checks import Report as Report
from tillwatch.config.checks import Side as Side
from tillwatch.config.checks import Thresholds as Thresholds
from tillwatch.config.checks import When as When
from tillwatch.config.oncall import Escalation as Escalation
from tillwatch.config.oncall import Override as Override
from tillwatch.config.oncall import Person as Person
from tillwatch.config.oncall import Restriction as Restriction
from tillwatch.config.oncall import Rota as Rota
from tillwatch.config.oncall import Rotation as Rotation
from tillwatch.config.oncall import Step as Step
from tillwatch.config.oncall import Target as Target
from tillwatch.config.routes import Heartbeat as Heartbeat
from tillwatch.config.routes import Inhibition as Inhibition
from tillwatch.config.routes import Maintenance as Maintenance
from tillwatch.config.routes import Receiver as Receiver
from tillwatch.config.routes import Route as Route
from tillwatch.config.strict import Strict as Strict
from tillwatch.config.strict import WithOptions as WithOptions
from tillwatch.config.validations import Validation as Validation
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
from tillwatch.config.webhooks import Webhook as Webhook


class ChainFile(Strict):
    """tillwatch.yaml"""

    path: ClassVar[str] = "tillwatch.yaml"

    chain: Chain
    store: StoreSpec = StoreSpec(url="sqlite:///var/tillwatch.db")
    listen: Listen = Listen()
    compare: Compare = Compare()
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
    validations: tuple[Validation, ...] = ()
    acceptances: tuple[Acceptance, ...] = ()


class RoutesFile(Strict):
    """alerts/routes.yaml"""

    path: ClassVar[str] = "alerts/routes.yaml"

    route: Route
    receivers: tuple[Receiver, ...] = ()
    heartbeats: tuple[Heartbeat, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    webhooks: tuple[Webhook, ...] = ()


class OncallFile(Strict):
    """alerts/oncall.yaml"""

    path: ClassVar[str] = "alerts/oncall.yaml"

    people: tuple[Person, ...] = ()
    rotas: tuple[Rota, ...] = ()
    overrides: tuple[Override, ...] = ()
    escalations: tuple[Escalation, ...] = ()


class CalendarFile(Strict):
    """alerts/calendar.yaml"""

    path: ClassVar[str] = "alerts/calendar.yaml"

    calendar: Calendar = Calendar()
    windows: tuple[Window, ...] = ()


#: What `tillwatch schema KIND` knows.
FILE_KINDS: dict[str, type[ChainFile] | type[ChecksFile] | type[RoutesFile] | type[OncallFile] | type[CalendarFile]] = {
    "chain": ChainFile,
    "checks": ChecksFile,
    "routes": RoutesFile,
    "oncall": OncallFile,
    "calendar": CalendarFile,
}
