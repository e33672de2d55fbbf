"""What `validations:` in `probes/**/*.yaml` declares: rules on the rows of one dataset."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field as Key
from pydantic import model_validator

from tillwatch.config.strict import Strict
from tillwatch.config.values import Duration, Id, Reference, ScheduleText, Text
from tillwatch.model.incident import Severity

#: Rows kept of each rule of a run when the validation does not say.
KEEP_ROWS = 200
MAX_KEEP_ROWS = 10_000

RuleKind = Literal[
    "required",
    "unique",
    "pattern",
    "range",
    "not_negative",
    "reference",
    "sum",
    "outlier",
    "not_future",
    "encoding",
]
#: Keys each kind of rule must have, and those it may have; `id`, `rule` and `field` or `fields` go without saying.
_NEEDS: dict[str, tuple[str, ...]] = {"pattern": ("pattern",), "reference": ("to",), "sum": ("lines",)}
_TAKES: dict[str, tuple[str, ...]] = {
    "pattern": ("pattern",),
    "range": ("min", "max"),
    "reference": ("to",),
    "sum": ("lines", "tolerance"),
    "outlier": ("score", "by", "against"),
    "not_future": ("allow",),
}
#: Kinds that look at one field only, and at several fields as one value.
_SINGLE = {"range", "not_negative", "sum", "outlier", "not_future"}


class ReferenceTo(Strict):
    """The dataset that must hold the value; of the same system when none is named."""

    system: Reference = ""
    dataset: str
    #: Its fields, in the order of the rule's; the same names when not given.
    fields: tuple[str, ...] = ()


class Lines(Strict):
    """The lines that must add up to their header."""

    system: Reference = ""
    dataset: str
    field: str
    #: Each line counts `field` times this one, for example quantity times price.
    times: str = ""
    #: The fields of a line that name its header, in the order of the validation's key; the same names when not given.
    key: tuple[str, ...] = ()


class Rule(Strict):
    """One rule. Which keys it takes depends on `rule`."""

    #: Names the rule in reports and metrics; its kind and fields when not given.
    id: Id = "unnamed"
    rule: RuleKind
    field: str = ""
    fields: tuple[str, ...] = ()
    #: RE2; the whole value must match.
    pattern: str = ""
    #: A number, or a date such as 2020-01-01. Both ends are allowed values.
    min: str | None = None
    max: str | None = None
    to: ReferenceTo | None = None
    lines: Lines | None = None
    tolerance: Annotated[Decimal, Key(ge=0)] = Decimal(0)
    #: How many robust standard deviations from the median is too far.
    score: Annotated[float, Key(gt=0, le=1_000)] = 6.0
    #: Values are compared within rows that agree on these fields, for example [sku]; with `against: history` each of
    #: these groups has a history of its own.
    by: tuple[str, ...] = ()
    #: The median of this run's rows, or that of earlier runs.
    against: Literal["dataset", "history"] = "dataset"
    #: A clock may be wrong by so much.
    allow: Duration = timedelta(minutes=5)

    @model_validator(mode="after")
    def _belongs_to_its_kind(self) -> "Rule":
        kind, given = self.rule, self.model_fields_set - {"id", "rule", "field", "fields"}
        faults = [f"a rule '{kind}' needs '{key}'" for key in _NEEDS.get(kind, ()) if key not in given]
        faults += [f"'{key}' does not belong to a rule '{kind}'" for key in sorted(given - set(_TAKES.get(kind, ())))]
        if bool(self.field) == bool(self.fields):
            faults.append("write either 'field' or 'fields'")
        if kind in _SINGLE and self.fields:
            faults.append(f"a rule '{kind}' looks at one field; write 'field'")
        if kind == "range" and self.min is None and self.max is None:
            faults.append("a rule 'range' needs 'min' or 'max'")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The fields it looks at."""
        return self.fields or (self.field,)

    @property
    def name(self) -> str:
        return self.id if "id" in self.model_fields_set else "-".join((self.rule, *self.names))


class Validation(Strict):
    """Rules that every row of one dataset must keep."""

    id: Id
    name: Text = {}
    system: Reference
    dataset: str
    #: What it concerns beside the system: an incident is about the interface when one is named.
    interface: Reference = ""
    site: Reference = ""
    #: The fields that name a row in the report.
    key: Annotated[tuple[str, ...], Key(min_length=1)]
    rules: Annotated[tuple[Rule, ...], Key(min_length=1)]
    schedule: ScheduleText
    severity: Severity = Severity.WARNING
    timeout: Duration = timedelta(minutes=10)
    #: Rows that break a rule which looks at two datasets are looked at again after this: they may be on their way.
    settle: Duration = timedelta(seconds=5)
    #: So many runs in a row without a verdict raise ValidationInconclusive.
    fail_after: Annotated[int, Key(ge=1, le=1000)] = 2
    #: Rows kept of each rule; the counts are always complete.
    keep: Annotated[int, Key(ge=1, le=MAX_KEEP_ROWS)] = KEEP_ROWS

    @model_validator(mode="after")
    def _rules_have_names_of_their_own(self) -> "Validation":
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"rules: {', '.join(twice)} stands there twice; give one an 'id' of its own")
        for rule in self.rules:
            if rule.to is not None and rule.to.fields and len(rule.to.fields) != len(rule.names):
                raise ValueError(f"rules: {rule.name}: 'to' names {len(rule.to.fields)} fields for {len(rule.names)}")
            if rule.lines is not None and rule.lines.key and len(rule.lines.key) != len(self.key):
                raise ValueError(f"rules: {rule.name}: the key of 'lines' has not as many fields as the validation's")
        return self
