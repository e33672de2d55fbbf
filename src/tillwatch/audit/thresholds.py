"""How much drift an audit lives with: reported and counted like any other, but worth no alert. Pure."""

from collections.abc import Mapping
from decimal import Decimal

from tillwatch.audit.verdict import Counts, money
from tillwatch.config.schema import Thresholds


def judged(
    thresholds: Thresholds | None, counts: Counts, value_at_risk: Decimal, *, priced: bool = True
) -> tuple[Mapping[str, object], str]:
    """What a report keeps of its thresholds, and half a sentence for its reason; both empty without
    drift or thresholds.

    Every limit that is declared must hold. With `priced` False the money at risk is no measure of the drift, so that a
    limit of money cannot hold.
    """
    if thresholds is None or not counts.differences:
        return {}, ""
    rows, value = thresholds.rows, thresholds.value
    within = (rows is None or counts.differences <= rows) and (value is None or (priced and value_at_risk <= value))
    limits = []
    if rows is not None:
        limits.append(f"at most {rows} rows")
    if value is not None:
        limits.append(f"at most {money(value)} at risk")
    said = f"{'within' if within else 'beyond'} thresholds ({', '.join(limits)})"
    return {"rows": rows, "value": None if value is None else money(value), "within": within}, said
