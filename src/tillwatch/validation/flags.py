"""How a row that a source sorted out says which rules it may break, of those that look at other rows too."""

from tillwatch.config.validations import Rule


def flag_of(rule: Rule) -> str:
    """Beside the fields of a row. No field is called so."""
    return f"?{rule.name}"
