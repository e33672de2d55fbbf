"""What `probes/**/*.yaml` declare: probes and audits."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, model_validator
from pydantic import Field as Key

from tillwatch.config.bind import Raw
from tillwatch.config.oncall import Day
from tillwatch.config.strict import Strict
from tillwatch.config.values import CronText, Duration, Every, Id, Reference, ScheduleText, Text
from tillwatch.model.incident import Severity

#: No decimal in a till or an ERP has more digits behind the point.
_MAX_SCALE = 12
#: Keys of an audit's field that only make sense for some types; elsewhere they would be ignored without a word.
_FIELD_KEYS = {
    "scale": ("decimal",),
    "tolerance": ("decimal", "integer", "float"),
    "unit": ("decimal", "integer"),
    "currency": ("decimal", "integer"),
    "leading_zeros": ("code",),
    "trim": ("text", "code"),
    "fold_width": ("code",),
    "fold_case": ("text", "code"),
    "zone": ("date", "timestamp"),
    "precision": ("timestamp",),
}


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


FieldTypeName = Literal["decimal", "text", "code", "integer", "date", "timestamp", "boolean", "float"]


class Condition(Strict):
    """Which rows of a side are compared. All that is said must hold; values are written as text, in quotes."""

    field: str
    type: FieldTypeName = "code"
    any_of: tuple[str, ...] = ()
    #: A row without a value passes.
    none_of: tuple[str, ...] = ()
    at_least: str | None = None
    below: str | None = None
    #: true: only rows without a value; false: only rows with one.
    null: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Condition":
        if not self.any_of and not self.none_of and self.at_least is None and self.below is None and self.null is None:
            raise ValueError("say which rows count: any_of, none_of, at_least, below or null")
        return self


class Side(Strict):
    system: Reference
    dataset: str
    #: Only rows for which all of these hold are compared.
    where: tuple[Condition, ...] = ()
    #: Rows with the same key are put together: how, for each field.
    aggregate: dict[str, Literal["sum", "count", "min", "max"]] = {}
    #: In which unit this side counts a field, when it is not the field's own: `{quantity: g}`, `{quantity: 24 pcs}`.
    units: dict[str, str] = {}
    #: In which currency this side's amounts are, when it is not what the field says: a code, or a field that holds it.
    currencies: dict[str, str] = {}


class Field(Strict):
    """How one field is made comparable before the two sides are compared."""

    type: FieldTypeName
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
    precision: Literal["second", "centisecond", "millisecond", "microsecond"] | None = None
    #: The unit both sides are compared in: kg, l, pcs, 斤 … A side that counts otherwise says so in its `units`.
    unit: str = ""
    #: Zeros in front of a code of digits mean nothing, as in SAP's material numbers: 000000000000004711 is 4711.
    leading_zeros: Literal["keep", "strip"] = "keep"
    #: The currency of an amount: a code of ISO 4217 (CNY) for all rows, or the field that holds it (currency). Amounts
    #: of different currencies are never equal. A code gives the scale where none is written.
    currency: str = ""

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


class When(Strict):
    """Which instants of a schedule count, by the chain's calendar. All that is said must hold."""

    #: mon … sun, workday or holiday, as the calendar counts them.
    days: tuple[Day, ...] = ()
    #: Only while the shop is open, or only while it is closed: that of the interface, else of the one side in a shop.
    shop: Literal["any", "open", "closed"] = "any"
    #: Not within these windows of alerts/calendar.yaml: freezes, promotions, the end of the month.
    not_in: tuple[Reference, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> "When":
        if not self.days and self.shop == "any" and not self.not_in:
            raise ValueError("say when: days, shop or not_in")
        return self


class Thresholds(Strict):
    """Drift an audit lives with: at or below all that is said here it is reported and raises no alert."""

    rows: Annotated[int, Key(ge=0)] | None = None
    #: Money at risk, in the chain's currency.
    value: Annotated[Decimal, Key(ge=0)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> "Thresholds":
        if self.rows is None and self.value is None:
            raise ValueError("say how much drift raises no alert: rows, value or both")
        return self


class Report(Strict):
    """What the business hears of an audit, whatever it found: at every instant of `schedule`, in `channels`."""

    schedule: CronText
    channels: Annotated[tuple[Reference, ...], Key(min_length=1)]


def _filled_by_a_preset(schema: dict[str, Any]) -> None:
    """A file may leave out what its preset fills in; by the time a model reads it, it is there."""
    filled = ["key", "fields"]
    schema["required"] = [name for name in schema["required"] if name not in filled]
    schema["anyOf"] = [{"required": ["preset"]}, {"required": filled}]


class Audit(Strict):
    """Two sides that must agree, row by row; the left side is the side of truth."""

    model_config = ConfigDict(json_schema_extra=_filled_by_a_preset)

    id: Id
    name: Text = {}
    #: Fills in key, fields, value and severity where they are not written. See docs/audits.md.
    preset: Literal["stock", "prices", "orders", "order_lines", "members", "payments"] | None = None
    interface: Reference = ""
    left: Side
    right: Side
    key: Annotated[tuple[str, ...], Key(min_length=1)]
    fields: Annotated[dict[str, Field], Key(min_length=1)]
    schedule: ScheduleText
    #: Only those instants of the schedule that the calendar allows.
    when: When | None = None
    settle: Duration = timedelta(seconds=30)
    #: A field of both datasets that changes with every write, for example changed_at. It need not be compared.
    changed_by: str = ""
    #: Before rows are read, both sides count them and sum their numbers by this field, for example by shop: an early
    #: word on where they differ, never a proof.
    totals_by: str = ""
    value: str = ""
    severity: Severity = Severity.WARNING
    #: Who answers for the data: a team, a person, a department. A label of its alerts, so that routes can match it.
    owner: str = ""
    thresholds: Thresholds | None = None
    #: A field of the left dataset by which differences are summed up: a family of products, a means of payment.
    category: str = ""
    timeout: Duration = timedelta(minutes=10)
    #: So many runs in a row without a verdict raise AuditInconclusive; one alone is mostly an outage, told by probes.
    fail_after: Annotated[int, Key(ge=1, le=1000)] = 2
    #: How to compare; `auto` takes the cheapest way that proves the whole. See docs/audits.md.
    strategy: Literal["auto", "stream", "records", "digest", "fingerprint", "delta"] = "auto"
    #: Everything is read at least so often, whatever was proven in between.
    full_every: Duration = timedelta(days=1)
    #: The share of all rows, those looked at longest ago, that a run by fingerprints reads although nothing says that
    #: they changed.
    verify_share: Annotated[float, Key(ge=0, le=1)] = 0.01
    report: Report | None = None
    repair: Annotated[Raw | None, Key(repr=False)] = None

    @model_validator(mode="after")
    def _prices_what_it_limits(self) -> "Audit":
        if self.thresholds is not None and self.thresholds.value is not None and not self.value:
            raise ValueError("thresholds.value: differences have no price; write value: or remove it")
        return self


class Acceptance(Strict):
    """A migration to be accepted: audits whose left side is the old system and whose right side is the new one."""

    id: Id
    name: Text = {}
    audits: Annotated[tuple[Reference, ...], Key(min_length=1)]
