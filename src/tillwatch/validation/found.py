"""What a run has found so far: every finding counted, the first of each rule kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tillwatch.audit.canonical import printable
from tillwatch.config.validations import Rule
from tillwatch.model.text import Text
from tillwatch.model.validation import Finding, ValidationVerdict


@dataclass(kw_only=True)
class Found:
    """Findings by rule."""

    keep: int
    counts: dict[str, int]
    findings: dict[str, list[Finding]] = field(default_factory=dict)

    def add(self, rule: Rule, key: Mapping[str, str | None], value: str | None, problem: Text) -> None:
        self.counts[rule.name] += 1
        kept = self.findings.setdefault(rule.name, [])
        if len(kept) < self.keep:
            kept.append(
                Finding(
                    rule=rule.name,
                    key={name: None if part is None else printable(part) for name, part in key.items()},
                    field=", ".join(rule.names),
                    value=None if value is None else printable(value),
                    problem={language: printable(words) for language, words in problem.items()},
                )
            )

    def forget(self) -> None:
        """The reading is done once more."""
        self.counts = dict.fromkeys(self.counts, 0)
        self.findings = {}

    def listed(self) -> tuple[Finding, ...]:
        """In the order of the rules."""
        return tuple(finding for rule in self.counts for finding in self.findings.get(rule, ()))


def decide(counts: Mapping[str, int]) -> tuple[ValidationVerdict, str]:
    """The verdict of a run that went through, and why."""
    broken = {rule: count for rule, count in counts.items() if count}
    if not broken:
        return ValidationVerdict.CLEAN, "every row keeps every rule"
    return ValidationVerdict.INVALID, ", ".join(f"{rule}: {count}" for rule, count in broken.items())
