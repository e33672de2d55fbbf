"""What an answer must say to count as success: many ERPs report an error inside a 200."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import AfterValidator, model_validator
from pydantic import Field as Key

from tillwatch.config.schema import Strict
from tillwatch.probers import jsonpath
from tillwatch.probers.pattern import compiled, valid_pattern

_MAX_SHOWN_CHARACTERS = 120

PatternText = Annotated[str, AfterValidator(valid_pattern)]


def _path(text: str) -> str:
    jsonpath.parse(text)
    return text


class JsonPredicate(Strict):
    """Holds when the path leads somewhere and every value there passes. `exists: false` wants it to lead nowhere."""

    path: Annotated[str, AfterValidator(_path)]
    exists: bool = True
    equals: str | None = None
    one_of: Annotated[tuple[str, ...], Key(alias="in")] = ()
    matches: PatternText = ""
    min: Decimal | None = None
    max: Decimal | None = None

    @model_validator(mode="after")
    def _nothing_to_compare_when_absent(self) -> "JsonPredicate":
        compares = (
            self.equals is not None or self.one_of or self.matches or self.min is not None or self.max is not None
        )
        if not self.exists and compares:
            raise ValueError("'exists: false' goes without equals, in, matches, min and max")
        return self


class HeaderPredicate(Strict):
    name: Annotated[str, Key(min_length=1)]
    matches: PatternText


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an answer does not pass, in both languages."""

    message: str
    message_zh: str


def check_headers(predicates: Sequence[HeaderPredicate], headers: Mapping[str, str]) -> Failure | None:
    """The first header that is missing or wrong. `headers` looks names up without regard to case."""
    for predicate in predicates:
        value = headers.get(predicate.name)
        if value is None:
            return Failure(message=f"no header '{predicate.name}'", message_zh=f"缺少响应头 {predicate.name}")
        if not compiled(predicate.matches).search(value):
            return Failure(
                message=f"header '{predicate.name}' is {_shown(value)}, which does not match '{predicate.matches}'",
                message_zh=f"响应头 {predicate.name} 为 {_shown(value)}，不匹配 {predicate.matches}",
            )
    return None


def check_body(text: str, *, matches: Sequence[str], lacks: Sequence[str]) -> Failure | None:
    """The first pattern that is missing, or there although it must not be."""
    for pattern in matches:
        if not compiled(pattern).search(text):
            return Failure(message=f"the body does not match '{pattern}'", message_zh=f"响应内容不匹配 {pattern}")
    for pattern in lacks:
        if compiled(pattern).search(text):
            return Failure(
                message=f"the body matches '{pattern}', which it must not",
                message_zh=f"响应内容匹配了不应出现的 {pattern}",
            )
    return None


def check_json(predicates: Sequence[JsonPredicate], text: str) -> Failure | None:
    """The first predicate that does not hold. Numbers are compared as decimals: 0.10 is 0.1, nothing is rounded."""
    if not predicates:
        return None
    try:
        document = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return Failure(message=f"the body is not JSON: {_shown(text)}", message_zh=f"响应内容不是 JSON：{_shown(text)}")
    for predicate in predicates:
        if failure := _check_one(predicate, document):
            return failure
    return None


def _check_one(predicate: JsonPredicate, document: object) -> Failure | None:
    path = predicate.path
    found = jsonpath.find(document, path)
    if not predicate.exists:
        if not found:
            return None
        value = _spelled(found[0])
        return Failure(
            message=f"{path} is there ({_shown(value)}), it must not be",
            message_zh=f"{path} 不应出现，实际为 {_shown(value)}",
        )
    if not found:
        return Failure(message=f"{path} is not in the body", message_zh=f"响应内容中没有 {path}")
    for item in found:
        value = _spelled(item)
        if wanted := _unmet(predicate, item, value):
            return Failure(
                message=f"{path} is {_shown(value)}, {wanted[0]} expected",
                message_zh=f"{path} 为 {_shown(value)}，应{wanted[1]}",
            )
    return None


def _unmet(predicate: JsonPredicate, item: object, value: str) -> tuple[str, str] | None:
    """What was wanted and not met, in both languages."""
    if predicate.equals is not None and not _same(item, value, predicate.equals):
        return f"'{predicate.equals}'", f"为 {predicate.equals}"
    if predicate.one_of and not any(_same(item, value, wanted) for wanted in predicate.one_of):
        choices = ", ".join(predicate.one_of)
        return f"one of {choices}", f"为 {choices} 之一"
    if predicate.matches and not compiled(predicate.matches).search(value):
        return f"a match of '{predicate.matches}'", f"匹配 {predicate.matches}"
    if predicate.min is None and predicate.max is None:
        return None
    number = _number(value)
    if number is None:
        return "a number", "为数字"
    if predicate.min is not None and number < predicate.min:
        return f"at least {predicate.min}", f"不小于 {predicate.min}"
    if predicate.max is not None and number > predicate.max:
        return f"at most {predicate.max}", f"不大于 {predicate.max}"
    return None


def _spelled(value: object) -> str:
    """A JSON value as text: true, null, numbers without binary rounding, texts as they are."""
    if isinstance(value, str):
        return value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _same(item: object, value: str, wanted: str) -> bool:
    """JSON numbers are equal as numbers; a JSON text "0123" is a code and never equals 123."""
    if value == wanted:
        return True
    is_number = isinstance(item, int | Decimal) and not isinstance(item, bool)
    return is_number and _number(value) == _number(wanted)


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _shown(text: str) -> str:
    short = text if len(text) <= _MAX_SHOWN_CHARACTERS else f"{text[:_MAX_SHOWN_CHARACTERS]}…"
    return f"'{short}'"
