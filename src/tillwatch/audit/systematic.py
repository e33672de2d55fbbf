"""What many differences have in common: all rows off by the same step in the same field have one cause. Pure.

A wrong time zone, a unit, or a price list moved by a cent shows as thousands of differences; said in one sentence it is
one fault to mend, and no row to repair.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from tillwatch.audit.canonical import FieldType, Rule
from tillwatch.model.audit import Difference
from tillwatch.model.text import Text

#: Fewer rows that are off alike may be so by chance.
MIN_ROWS = 5

Step = timedelta | Decimal


def hint(differences: Iterable[Difference], rules: Sequence[Rule]) -> Text:
    """One sentence for each language; empty when the differing rows have no step in common.

    The step is what the right side shows more than the left.
    """
    kinds = {rule.name: rule.type for rule in rules}
    field, rows = "", 0
    step: Step | None = None
    for row in differences:
        if row.left is None or row.right is None or len(row.fields) != 1:
            return {}
        (name,) = row.fields
        found = _step(kinds[name], row.left.get(name), row.right.get(name))
        if found is None or (rows and (name, found) != (field, step)):
            return {}
        field, step, rows = name, found, rows + 1
    if rows < MIN_ROWS or step is None:
        return {}
    by = _spoken(step)
    return {
        "en": f"all {rows} differing rows differ by {by} in {field}: one cause, not single rows",
        "zh": f"全部 {rows} 行差异都是 {field} 相差 {by}：是同一个原因，而不是个别行的问题",
    }


def _step(kind: FieldType, left: str | None, right: str | None) -> Step | None:
    """None where a step means nothing."""
    if left is None or right is None:
        return None
    try:
        if kind is FieldType.TIMESTAMP:
            return datetime.fromisoformat(right) - datetime.fromisoformat(left)
        if kind in (FieldType.DECIMAL, FieldType.INTEGER):
            return Decimal(right) - Decimal(left)
    except (ValueError, InvalidOperation):
        # A value that could not be read is shown as it is.
        return None
    return None


def _spoken(step: Step) -> str:
    if isinstance(step, Decimal):
        return f"{step:+f}"
    sign = "-" if step < timedelta(0) else "+"
    seconds = abs(step) / timedelta(seconds=1)
    if seconds % 3600 == 0:
        return f"{sign}{seconds / 3600:g} h"
    return f"{sign}{seconds / 60:g} min" if seconds % 60 == 0 else f"{sign}{seconds:f}".rstrip("0").rstrip(".") + " s"
