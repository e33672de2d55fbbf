"""What a run found, by a field that says what kind of row it is: a family of products, a means of payment."""

from dataclasses import dataclass, field
from decimal import Decimal

from tillwatch.audit.value import EXACT
from tillwatch.audit.verdict import money
from tillwatch.model.audit import Difference

#: Categories counted; a field with more values is no category, and what comes after counts among the others.
MAX_COUNTED = 10_000
#: Categories kept in a report, those with most money and rows first.
MAX_KEPT = 50


@dataclass(kw_only=True)
class _Group:
    rows: int = 0
    value_at_risk: Decimal = Decimal(0)

    def add(self, rows: int, value_at_risk: Decimal) -> None:
        self.rows += rows
        self.value_at_risk = EXACT.add(self.value_at_risk, value_at_risk)

    def document(self) -> dict[str, object]:
        return {"rows": self.rows, "value_at_risk": money(self.value_at_risk)}


@dataclass(kw_only=True)
class Categories:
    """Counts every difference of a run, also those a report does not keep. `name` empty: nothing is counted."""

    name: str
    _groups: dict[str, _Group] = field(default_factory=dict)
    _others: _Group = field(default_factory=_Group)

    def add(self, difference: Difference) -> None:
        if not self.name:
            return
        # The left side is the side of truth, so its word goes first.
        sides = (difference.key, difference.left or {}, difference.right or {})
        category = next((text for side in sides if (text := side.get(self.name))), "")
        group = self._groups.get(category)
        if group is None:
            group = self._others
            if len(self._groups) < MAX_COUNTED:
                group = self._groups[category] = _Group()
        group.add(1, difference.value_at_risk)

    def document(self) -> dict[str, object]:
        """For the report's evidence: JSON values only. Empty when there is nothing to tell."""
        if not self._groups:
            return {}
        ranked = sorted(self._groups.items(), key=lambda item: (-item[1].value_at_risk, -item[1].rows, item[0]))
        others, left_out = _Group(rows=self._others.rows, value_at_risk=self._others.value_at_risk), ranked[MAX_KEPT:]
        for _, group in left_out:
            others.add(group.rows, group.value_at_risk)
        found: dict[str, object] = {
            "field": self.name,
            "groups": [{"category": category, **group.document()} for category, group in ranked[:MAX_KEPT]],
        }
        if others.rows:
            found["others"] = others.document()
        return found
