"""From an audit as written to an audit ready to run: rules, columns to read and a parsed value expression."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from tillwatch.audit import value
from tillwatch.audit.canonical import FieldType, Precision, Rule, Trim
from tillwatch.audit.currencies import currencies_of
from tillwatch.audit.measures import factor
from tillwatch.audit.shape import Shape, compile_shape
from tillwatch.audit.timetable import timetable
from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Audit, Field, Side
from tillwatch.errors import UsageError

#: How the currency of an amount is compared: as a code.
_CURRENCY = Field(type="code", empty_is_null=True)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One audit, checked and compiled."""

    spec: Audit
    #: How each part of the key is made comparable, in key order.
    key: tuple[Rule, ...]
    #: The fields that are compared, in declared order; the key is not among them.
    fields: tuple[Rule, ...]
    value: value.Value
    #: Fields the value expression needs that are not compared, by side.
    left_context: tuple[Rule, ...]
    right_context: tuple[Rule, ...]
    #: The field that changes with every write, when the audit names one; it is among the fields or the context.
    version: str | None
    #: What each side's rows become before they are compared.
    left_shape: Shape
    right_shape: Shape
    zone: ZoneInfo
    #: Compared fields that hold the currency of an amount.
    currencies: tuple[str, ...] = ()

    @property
    def shaped(self) -> bool:
        """Whether a side is compared as something else than its own rows."""
        return any(
            shape.conditions or shape.functions or shape.factors or shape.constants
            for shape in (self.left_shape, self.right_shape)
        )

    @property
    def key_names(self) -> tuple[str, ...]:
        return tuple(rule.name for rule in self.key)


def declare(spec: Audit, zone: ZoneInfo) -> Declared:
    """Compile `spec`; times without a zone are in `zone`. Raises UsageError that names the audit and the key."""
    if repeated := {name for name in spec.key if spec.key.count(name) > 1}:
        raise UsageError(f"audit '{spec.id}': key: {', '.join(sorted(repeated))} stands there twice; remove one")
    if loose := [name for name in spec.key if name in spec.fields and spec.fields[name].tolerance]:
        raise UsageError(f"audit '{spec.id}': key: {', '.join(loose)} has a tolerance; rows are matched by equal keys")
    try:
        expression = value.parse(spec.value)
        currencies = currencies_of(spec)
    except UsageError as error:
        raise UsageError(f"audit '{spec.id}': {error}") from error
    amounts = {name: _scaled(field, currencies.scales.get(name)) for name, field in spec.fields.items()}
    fields = amounts | {name: _CURRENCY for name in currencies.fields if name not in amounts}
    compared = tuple(_rule(name, field, zone) for name, field in fields.items() if name not in spec.key)
    known = {*spec.key, *(rule.name for rule in compared)}
    if spec.changed_by in spec.key:
        raise UsageError(f"audit '{spec.id}': changed_by: {spec.changed_by} is part of the key; name the change column")
    if spec.totals_by and spec.totals_by not in known:
        raise UsageError(
            f"audit '{spec.id}': totals_by: {spec.totals_by} is neither in the key nor in the fields"
            f"{did_you_mean(spec.totals_by, known)}"
        )
    # Not a rule of its own when it is compared anyway: then it moves the row as every field does.
    version = _version({spec.changed_by} - known - {""}, zone)
    left_context = _context(expression.left - known - {spec.changed_by}, zone) + version
    left_context += _category({spec.category} - known - {rule.name for rule in left_context} - {""}, zone)
    right_context = _context(expression.right - known - {spec.changed_by}, zone) + version
    shapes = [
        _shape(spec, name, side, (*compared, *context), zone, currencies.constants[name])
        for name, side, context in (("left", spec.left, left_context), ("right", spec.right, right_context))
    ]
    return Declared(
        spec=spec,
        key=tuple(_rule(name, spec.fields.get(name) or Field(type="code"), zone) for name in spec.key),
        fields=compared,
        value=expression,
        left_context=left_context,
        right_context=right_context,
        left_shape=shapes[0],
        right_shape=shapes[1],
        version=spec.changed_by or None,
        zone=zone,
        currencies=currencies.fields,
    )


def _scaled(field: Field, scale: int | None) -> Field:
    return field if scale is None else field.model_copy(update={"scale": scale})


def declare_all(config: ChainConfig) -> dict[str, Declared]:
    """Every audit of the chain. Raises UsageError with all faults, one a line."""
    declared: dict[str, Declared] = {}
    faults: list[str] = []
    for spec in config.audits:
        try:
            declared[spec.id] = declare(spec, config.chain.timezone)
            timetable(spec, config)
        except UsageError as error:
            faults.append(str(error))
    if faults:
        raise UsageError("\n".join(faults))
    return declared


def signature(declared: Declared) -> str:
    """Of everything that decides whether two rows are equal."""
    spec = declared.spec
    meant = repr((spec.left, spec.right, declared.key, declared.fields, declared.left_context, declared.right_context))
    return hashlib.sha256(meant.encode()).hexdigest()[:16]


def _rule(name: str, field: Field, zone: ZoneInfo) -> Rule:
    kind = FieldType(field.type)
    default_trim = Trim.BOTH if kind is FieldType.CODE else Trim.NONE
    return Rule(
        name=name,
        type=kind,
        scale=field.scale,
        tolerance=field.tolerance or None,
        trim=Trim(field.trim) if field.trim else default_trim,
        fold_width=field.fold_width,
        fold_case=field.fold_case,
        empty_is_null=field.empty_is_null,
        zone=field.zone or zone,
        precision=Precision(field.precision or Precision.MICROSECOND),
        strip_zeros=field.leading_zeros == "strip",
    )


def _shape(
    spec: Audit, name: str, side: Side, rules: tuple[Rule, ...], zone: ZoneInfo, constants: Mapping[str, str]
) -> Shape:
    """Raises UsageError for what cannot go with a side that is not compared row by row."""
    try:
        shape = compile_shape(side, name=name, key=spec.key, rules=rules, zone=zone)
    except UsageError as error:
        raise UsageError(f"audit '{spec.id}': {error}") from error
    shape = replace(shape, factors=_factors(spec, name, side, rules), constants=constants)
    if not side.where and not side.aggregate and not shape.factors and not constants:
        return shape
    if spec.repair is not None:
        raise UsageError(
            f"audit '{spec.id}': repair: needs single rows as they are; remove it, or {name}.where, "
            f"{name}.aggregate, {name}.units and its currency"
        )
    if spec.strategy not in ("auto", "stream"):
        raise UsageError(
            f"audit '{spec.id}': strategy: {spec.strategy} compares rows as they are; with {name}.where, "
            f"{name}.aggregate, {name}.units or a currency that only one side's rows hold, rows are streamed"
        )
    if spec.changed_by and side.aggregate:
        raise UsageError(f"audit '{spec.id}': changed_by: rows put together have no change column; remove it")
    return shape


def _factors(spec: Audit, name: str, side: Side, rules: tuple[Rule, ...]) -> dict[str, Decimal]:
    """What the numbers of this side are multiplied by, where it is not 1. Raises UsageError."""
    compared = {rule.name for rule in rules}
    found: dict[str, Decimal] = {}
    for field, declared in spec.fields.items():
        if declared.unit and not side.units.get(field):
            # Read even when nothing is converted, so that a misspelt unit is told.
            _unit(spec, f"fields.{field}.unit", declared.unit, declared.unit)
    for field, unit in side.units.items():
        at = f"{name}.units.{field}"
        to = spec.fields[field].unit if field in spec.fields else ""
        if field not in compared or not to:
            raise UsageError(f"audit '{spec.id}': {at}: say in which unit it is compared: fields.{field}.unit")
        ratio = _unit(spec, at, unit, to)
        if ratio != 1:
            found[field] = ratio
    return found


def _unit(spec: Audit, at: str, of: str, to: str) -> Decimal:
    try:
        return factor(of, to)
    except UsageError as error:
        raise UsageError(f"audit '{spec.id}': {at}: {error}") from error


def _context(names: frozenset[str], zone: ZoneInfo) -> tuple[Rule, ...]:
    return tuple(Rule(name=name, type=FieldType.DECIMAL, zone=zone) for name in sorted(names))


def _category(names: set[str], zone: ZoneInfo) -> tuple[Rule, ...]:
    """The category as it is written; of an extra row nobody knows it, unless it is compared as well."""
    return tuple(Rule(name=name, type=FieldType.TEXT, trim=Trim.BOTH, zone=zone) for name in names)


def _version(names: set[str], zone: ZoneInfo) -> tuple[Rule, ...]:
    """The change column as it is written: it is only ever compared with itself, so any type will do."""
    return tuple(Rule(name=name, type=FieldType.TEXT, zone=zone) for name in names)
