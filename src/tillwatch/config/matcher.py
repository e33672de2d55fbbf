"""Label matchers in Alertmanager's spelling: `severity="critical"`, `site!="hq"`, `alertname=~"Sync.*"`, `x!~"y"`."""

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import re2

from tillwatch.errors import UsageError

#: A longer matcher is generated nonsense; RE2 then keeps matching linear in the label's length.
MAX_MATCHER_CHARACTERS = 2_048

_SHAPE = re.compile(r"\s*([^\s=!~\"',{}]+)\s*(=~|!~|!=|=)\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"n": "\n", '"': '"', "\\": "\\"}


class Operator(enum.StrEnum):
    EQUAL = "="
    NOT_EQUAL = "!="
    REGEX = "=~"
    NOT_REGEX = "!~"


@dataclass(frozen=True, kw_only=True)
class Matcher:
    """One condition on one label; a label that is not there counts as the empty text, as in Alertmanager."""

    name: str
    operator: Operator
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        found = labels.get(self.name, "")
        if self.operator in {Operator.EQUAL, Operator.NOT_EQUAL}:
            return (found == self.value) is (self.operator is Operator.EQUAL)
        # RE2 has no catastrophic patterns; regular expressions are anchored at both ends.
        return bool(re2.fullmatch(self.value, found)) is (self.operator is Operator.REGEX)

    def __str__(self) -> str:
        escaped = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{self.operator}"{escaped}"'


def parse_matcher(text: str) -> Matcher:
    """One matcher. Raises UsageError that says what is wrong with it."""
    if len(text) > MAX_MATCHER_CHARACTERS:
        raise UsageError(f"a matcher of {len(text)} characters; at most {MAX_MATCHER_CHARACTERS}")
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        raise UsageError(f"""'{text}' is not a matcher; write for example severity="critical" or site=~"cy|hd\"""")
    name, operator, value = shape.groups()
    if value[:1] in {"=", "~", "!"}:
        raise UsageError(f"'{text}': the operators are =, !=, =~ and !~")
    matcher = Matcher(name=name, operator=Operator(operator), value=_value(value, text))
    if matcher.operator in {Operator.REGEX, Operator.NOT_REGEX}:
        _check_regex(matcher.value, text)
    return matcher


def matches_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    return all(matcher.matches(labels) for matcher in matchers)


def _value(written: str, text: str) -> str:
    if not written.startswith('"'):
        if '"' in written or "," in written:
            raise UsageError(f"'{text}': put the value in double quotes")
        return written
    if not (quoted := _QUOTED.fullmatch(written)):
        raise UsageError(f"'{text}': the value has no closing quote, or text after it")
    return _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[0]), quoted[1])


def _check_regex(pattern: str, text: str) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise UsageError(f"'{text}': not a regular expression: {reason}") from error
