"""Currencies of amounts: two amounts are equal only when their currencies are. Pure.

A currency is an ISO 4217 code that holds for a whole side, or the name of a field that holds one a row. Where a row
says it, that field is compared like any other, so that a difference names it; where both sides are declared, one code
must hold for both: an audit converts nothing, because no rate is right for every row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from babel.numbers import is_currency

from tillwatch.config.schema import Audit
from tillwatch.errors import UsageError

#: Decimal places of the currencies that do not have two, after ISO 4217.
_MINOR_UNITS = {
    "BIF": 0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0, "RWF": 0, "UGX": 0,
    "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
    "BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
    "CLF": 4, "UYW": 4,
}  # fmt: skip
_USUAL_MINOR_UNITS = 2
_SIDES = ("left", "right")
_CODE_LETTERS = 3


@dataclass(frozen=True, kw_only=True)
class Currencies:
    """What the currencies of an audit ask of it."""

    #: Fields that hold a currency and are compared, in the order of the amounts they belong to.
    fields: tuple[str, ...] = ()
    #: By side: currency fields its rows do not have, with the code that holds for all of them.
    constants: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {side: {} for side in _SIDES})
    #: Decimal places of amounts that declare none themselves.
    scales: Mapping[str, int] = field(default_factory=dict)


def minor_units(code: str) -> int:
    """Decimal places of an ISO 4217 currency."""
    return _MINOR_UNITS.get(code, _USUAL_MINOR_UNITS)


def is_code(text: str) -> bool:
    """Whether `text` is written as a currency code, known or not; anything else is the name of a field."""
    return len(text) == _CODE_LETTERS and text.isascii() and text.isalpha() and text.isupper()


def currencies_of(spec: Audit) -> Currencies:
    """Raises UsageError, without the name of the audit, for currencies that cannot be compared."""
    fields: dict[str, None] = {}
    constants: dict[str, dict[str, str]] = {side: {} for side in _SIDES}
    scales: dict[str, int] = {}
    declared = {"left": spec.left.currencies, "right": spec.right.currencies}
    for side, amounts in declared.items():
        if strange := [name for name in amounts if name not in spec.fields]:
            raise UsageError(f"{side}.currencies: {', '.join(strange)} is not among the fields; remove it")
    for name, amount in spec.fields.items():
        said = {side: declared[side].get(name) or amount.currency for side in _SIDES}
        if not any(said.values()):
            continue
        codes = {side: _known(name, text) for side, text in said.items() if is_code(text)}
        if codes and amount.scale is None and amount.type == "decimal":
            scales[name] = max(map(minor_units, codes.values()))
        column = _column(name, said, codes)
        if not column:
            continue
        fields[column] = None
        for side in _SIDES:
            if side in codes:
                _constant(spec, side, column, codes[side], constants)
            else:
                _refuse_sums(spec, side, name, column)
    return Currencies(fields=tuple(fields), constants=constants, scales=scales)


def _known(name: str, code: str) -> str:
    if not is_currency(code):
        raise UsageError(f"fields.{name}: '{code}' is no ISO 4217 currency; a field that holds it is written in small")
    return code


def _column(name: str, said: Mapping[str, str], codes: Mapping[str, str]) -> str:
    """The field that is compared; empty when both sides are in one declared currency."""
    if silent := [side for side, text in said.items() if not text]:
        raise UsageError(f"fields.{name}: the currency of the {silent[0]} side is not said; write its currency")
    if len(codes) == len(_SIDES):
        if len(set(codes.values())) > 1:
            raise UsageError(
                f"fields.{name}: {codes['left']} and {codes['right']} are never equal; convert one in its query"
            )
        return ""
    columns = {text for side, text in said.items() if side not in codes}
    if len(columns) > 1:
        raise UsageError(
            f"fields.{name}: its currency is called {' and '.join(sorted(columns))}; "
            "give it one name in the columns of the datasets"
        )
    return columns.pop()


def _refuse_sums(spec: Audit, side: str, name: str, column: str) -> None:
    """A sum over rows of several currencies is no amount of any."""
    aggregate = (spec.left if side == "left" else spec.right).aggregate
    if name in aggregate and column not in spec.key and aggregate[name] != "count":
        raise UsageError(
            f"{side}.aggregate: {name} may stand in several currencies in one group; make {column} part of the key"
        )


def _constant(spec: Audit, side: str, column: str, code: str, constants: Mapping[str, dict[str, str]]) -> None:
    if column in spec.key:
        raise UsageError(f"{side}.currencies: {column} is part of the key; the dataset must give it")
    if constants[side].setdefault(column, code) != code:
        raise UsageError(f"{side}.currencies: {column} would be {constants[side][column]} and {code}; name two fields")
