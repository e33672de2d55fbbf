"""Units of measure: what an amount of one unit is in another, exactly. Pure.

A till counts grams, the ERP kilograms; one counts bottles, the other cases of 24. Factors are decimal numbers, so that
nothing is rounded before the field's own scale rounds it.
"""

import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact

from tillwatch.config.bind import did_you_mean
from tillwatch.errors import UsageError

#: By quantity: each unit in the smallest one of it. 斤 and 两 are the market units of mainland China.
_UNITS: dict[str, dict[str, Decimal]] = {
    "mass": {
        "mg": Decimal(1),
        "g": Decimal(1_000),
        "kg": Decimal(1_000_000),
        "t": Decimal(1_000_000_000),
        "两": Decimal(50_000),
        "斤": Decimal(500_000),
    },
    "volume": {"ml": Decimal(1), "cl": Decimal(10), "l": Decimal(1_000)},
    "length": {"mm": Decimal(1), "cm": Decimal(10), "m": Decimal(1_000)},
    "count": {"pcs": Decimal(1), "件": Decimal(1), "个": Decimal(1), "dozen": Decimal(12), "打": Decimal(12)},
}
_QUANTITY = {unit: quantity for quantity, units in _UNITS.items() for unit in units}
#: A unit, or a number of them: `24 pcs` is a case of 24.
_MEASURE = re.compile(r"(?:(\d+(?:\.\d+)?)\s*)?(\D\S*)", re.ASCII)

_EXACTLY = Context(prec=28, traps=[Inexact])


@dataclass(frozen=True, kw_only=True)
class Measure:
    """So many of the smallest unit of a quantity."""

    quantity: str
    size: Decimal


def measure(text: str) -> Measure:
    """Read `kg`, `斤` or `24 pcs`. Raises UsageError with a suggestion."""
    found = _MEASURE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"'{text}' is not a unit; write for example kg, 斤 or 24 pcs")
    number, unit = found[1] or "1", found[2]
    if unit not in _QUANTITY:
        raise UsageError(f"unknown unit '{unit}'{did_you_mean(unit, _QUANTITY, what='units')}")
    if not (amount := Decimal(number)):
        raise UsageError(f"'{text}': nothing of a unit is not a unit")
    return Measure(quantity=_QUANTITY[unit], size=amount * _UNITS[_QUANTITY[unit]][unit])


def factor(of: str, to: str) -> Decimal:
    """What a number in unit `of` is multiplied by to be one in unit `to`.

    Raises UsageError when the two measure different things, or when the factor has no exact decimal form.
    """
    one, other = measure(of), measure(to)
    if one.quantity != other.quantity:
        raise UsageError(f"'{of}' is a {one.quantity} and '{to}' a {other.quantity}; they cannot be compared")
    try:
        return _EXACTLY.divide(one.size, other.size)
    except Inexact as error:
        raise UsageError(f"'{of}' in '{to}' has no exact decimal form; compare in the smaller unit") from error
