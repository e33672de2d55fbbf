"""From a validation as written to one ready to run: bounds read, patterns compiled, columns known."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from tillwatch.config.declared import ChainConfig
from tillwatch.config.validations import Rule, Validation
from tillwatch.errors import UsageError
from tillwatch.validation import rules
from tillwatch.validation.rules import Bounds, Check

#: Kinds that look at one value and nothing else.
ROW_KINDS = frozenset({"required", "pattern", "range", "not_negative", "not_future", "encoding"})
#: Kinds that look at another dataset too: what they find may be on its way.
CROSS_KINDS = frozenset({"reference", "sum"})


@dataclass(frozen=True, kw_only=True)
class Other:
    """The dataset that a rule looks at beside its own."""

    system: str
    dataset: str
    #: What its rows are looked up by.
    key: tuple[str, ...]
    #: Every field that is read of it, the key first.
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One validation, checked."""

    spec: Validation
    zone: ZoneInfo
    #: The ends of each rule `range`, by name of the rule.
    bounds: dict[str, Bounds]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every field that is read of the dataset, the key first."""
        found = list(self.spec.key)
        for rule in self.spec.rules:
            found += [*rule.names, *rule.by]
        return tuple(dict.fromkeys(found))

    def of_kind(self, *kinds: str) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.spec.rules if rule.rule in kinds)

    def other(self, rule: Rule) -> Other | None:
        """Where a rule of CROSS_KINDS looks; None for any other rule."""
        if rule.to is not None:
            system, dataset, key, more = rule.to.system, rule.to.dataset, rule.to.fields or rule.names, []
        elif (lines := rule.lines) is not None:
            system, dataset, key = lines.system, lines.dataset, lines.key or self.spec.key
            more = [lines.field, *([lines.times] if lines.times else [])]
        else:
            return None
        columns = tuple(dict.fromkeys((*key, *more)))
        return Other(system=system or self.spec.system, dataset=dataset, key=tuple(key), columns=columns)

    def check(self, rule: Rule, now: datetime) -> Check:
        """The function behind a rule of ROW_KINDS."""
        match rule.rule:
            case "required":
                return rules.required
            case "pattern":
                return rules.pattern(rule.pattern)
            case "range":
                return rules.within(self.bounds[rule.name], self.zone)
            case "not_negative":
                return rules.not_negative(self.zone)
            case "not_future":
                return rules.not_future(now, rule.allow, self.zone)
            case "encoding":
                return rules.encoding
        raise UsageError(f"a rule '{rule.rule}' does not look at one value")


def declare(spec: Validation, zone: ZoneInfo) -> Declared:
    """Compile `spec`; times without a zone are in `zone`. Raises UsageError that names the validation and the rule."""
    faults: list[str] = []
    found: dict[str, Bounds] = {}
    for rule in spec.rules:
        try:
            if rule.rule == "range":
                found[rule.name] = rules.bounds(rule.min, rule.max, zone)
            elif rule.rule == "pattern":
                rules.pattern(rule.pattern)
        except UsageError as error:
            faults.append(f"validation '{spec.id}': rule {rule.name}: {error}")
    if faults:
        raise UsageError("\n".join(faults))
    return Declared(spec=spec, zone=zone, bounds=found)


def declare_all(config: ChainConfig) -> dict[str, Declared]:
    """Every validation of the chain. Raises UsageError with all faults, one a line."""
    declared: dict[str, Declared] = {}
    faults: list[str] = []
    for spec in config.validations:
        try:
            declared[spec.id] = declare(spec, config.chain.timezone)
        except UsageError as error:
            faults.append(str(error))
    if faults:
        raise UsageError("\n".join(faults))
    return declared


def place_of(spec: Validation, config: ChainConfig) -> dict[str, str]:
    """The labels that say what a validation is about: its interface, its system, its shop."""
    site = spec.site or (config.interface(spec.interface).site if spec.interface else "")
    site = site or config.system(spec.system).site
    labels = {"interface": spec.interface, "system": spec.system, "site": site}
    return {name: value for name, value in labels.items() if value}


def row_rules(declared: Declared) -> Sequence[Rule]:
    return tuple(rule for rule in declared.spec.rules if rule.rule in ROW_KINDS)
