"""From located nodes to pydantic models: every error of a model becomes a problem at its own line and column.

The core never knows a plugin's options; it keeps them as nodes, and the plugin binds them with its own model here.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, InstanceOf, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from tillwatch.config.secrets import Secret, is_reference
from tillwatch.config.yaml import Mapping, Node, Place, Scalar, Sequence
from tillwatch.errors import Problem

__all__ = ["EMPTY", "Located", "Raw", "Secret", "bind", "did_you_mean", "scalar"]

M = TypeVar("M", bound=BaseModel)

#: More than this in one message is a wall of text, not a hint.
_MAX_NAMES_LISTED = 16
_MAX_VALUE_CHARACTERS = 60
_CLOSE_ENOUGH = 0.6
_TIMEDELTA_PART = re.compile(r"(days|seconds|microseconds)=(-?\d+)")
#: What other tools call our keys.
_OTHER_WORDS = {
    "interval": "every",
    "intervall": "every",
    "period": "every",
    "type": "prober",
    "module": "prober",
    "url": "target",
    "host": "target",
    "address": "target",
    "retries": "fail_after",
    "failure_threshold": "fail_after",
    "success_threshold": "recover_after",
    "cron": "schedule",
    "match": "matchers",
    "source": "from",
    "destination": "to",
}


class Located(dict[str, object]):
    """A mapping on its way into pydantic that still knows its node."""

    def __init__(self, values: dict[str, object], node: Mapping) -> None:
        super().__init__(values)
        self.node = node


#: A node without entries, for options nobody wrote.
EMPTY = Mapping(place=Place(file="", line=0, column=0), entries={}, keys={})

#: A field that keeps its mapping unread, for whoever knows what belongs in it.
Raw = Annotated[
    InstanceOf[Mapping],
    BeforeValidator(lambda value: value.node if isinstance(value, Located) else value),
    WithJsonSchema({"type": "object"}),
]


def scalar(node: Node | None) -> str | None:
    """The text of a scalar that is not null, else None."""
    return node.text if isinstance(node, Scalar) and not node.is_null else None


def did_you_mean(word: str, known: Iterable[str], *, what: str = "known") -> str:
    """`; did you mean 'x'?` when something is close, else the list of what there is, else nothing."""
    names = sorted(known)
    if (meant := _OTHER_WORDS.get(word.lower(), "")) in names:
        return f"; did you mean '{meant}'?"
    if close := difflib.get_close_matches(word, names, n=1, cutoff=_CLOSE_ENOUGH):
        return f"; did you mean '{close[0]}'?"
    if not names:
        return ""
    more = f" and {len(names) - _MAX_NAMES_LISTED} more" if len(names) > _MAX_NAMES_LISTED else ""
    return f"; {what}: {', '.join(names[:_MAX_NAMES_LISTED])}{more}"


def bind(node: Node, model: type[M], *, where: str = "", problems: list[Problem]) -> M | None:
    """Read `node` as `model`; None when it is wrong, with every reason appended to `problems`.

    `where` opens each message, for example `options of probe 'erp-api' (http)`. A scalar whose secret is not filled in
    (a check without secrets) is never called wrong.
    """
    prefix = f"{where}: " if where else ""
    if not isinstance(node, Mapping):
        problems.append(node.place.problem(f"{prefix}expected keys and values, found {_kind(node)}"))
        return None
    try:
        return model.model_validate(_plain(node), by_alias=True, by_name=False)
    except ValidationError as error:
        found = error.errors(include_url=False)
        unknown = {details["loc"] for details in found if details["type"] == "extra_forbidden"}
        for details in found:
            place, message = _explain(details, node, model, unknown)
            if message:
                problems.append(place.problem(prefix + message))
        return None


def _plain(node: Node) -> object:
    if isinstance(node, Mapping):
        return Located({key: _plain(value) for key, value in node.entries.items()}, node)
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    if node.is_null:
        return None
    return Secret(node.text) if node.reference else node.text


def _kind(node: Node) -> str:
    if isinstance(node, Mapping):
        return "keys and values"
    if isinstance(node, Sequence):
        return "a list"
    return "nothing" if node.is_null else f"the text {_shown(node)}"


def _shown(node: Scalar) -> str:
    text = node.reference or node.text
    return f"'{text[:_MAX_VALUE_CHARACTERS]}…'" if len(text) > _MAX_VALUE_CHARACTERS else f"'{text}'"


def _explain(
    details: ErrorDetails, root: Mapping, model: type[BaseModel], unknown: set[tuple[int | str, ...]]
) -> tuple[Place, str]:
    """Where and what, in our words.

    The message is empty when the value is a secret that is not filled in yet, or when a key is only missing because it
    is misspelt and the misspelling is reported anyway (`unknown` holds where).
    """
    parent, node, key = _walk(root, details["loc"])
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        if key == "<<":
            return _key_place(parent, key), "merge key '<<' is not allowed; write the keys out"
        allowed = _keys_of(_model_at(model, details["loc"][:-1]))
        return _key_place(parent, key), f"unknown key '{key}'{did_you_mean(key, allowed, what='keys')}"
    if kind == "missing":
        return node.place, _missing(key, parent, details["loc"][:-1], model, unknown)
    if details["loc"] and details["loc"][-1] == "[key]":
        return _key_place(parent, key), f"key {_wording(kind, context, details['msg'])}"
    if isinstance(node, Scalar) and not node.reference and is_reference(node.text):
        return node.place, ""
    return node.place, _value_message(kind, context, details["msg"], node)


def _key_place(parent: Node, key: str) -> Place:
    return parent.keys.get(key, parent.place) if isinstance(parent, Mapping) else parent.place


def _missing(
    key: str,
    parent: Node,
    location: tuple[int | str, ...],
    model: type[BaseModel],
    unknown: set[tuple[int | str, ...]],
) -> str:
    known = set(_keys_of(_model_at(model, location)))
    others = sorted(set(parent.entries) - known) if isinstance(parent, Mapping) else []
    close = difflib.get_close_matches(key, others, n=1, cutoff=_CLOSE_ENOUGH)
    if close and (*location, close[0]) in unknown:
        return ""
    return f"missing key '{key}'" + (f"; '{close[0]}' stands here, did you mean '{key}'?" if close else "")


def _walk(root: Mapping, location: tuple[int | str, ...]) -> tuple[Node, Node, str]:
    """Follow pydantic's path through the nodes: (mapping or list around it, the node or the last one there is, key)."""
    parent: Node = root
    node: Node = root
    key = ""
    for step in location:
        if isinstance(node, Mapping) and isinstance(step, str) and step in node.entries:
            parent, node, key = node, node.entries[step], step
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            parent, node = node, node.items[step]
        elif isinstance(step, str) and step != "[key]" and isinstance(node, Mapping):
            parent, key = node, step
    return parent, node, key


def _value_message(kind: str, context: dict[str, Any], message: str, node: Node) -> str:
    if isinstance(node, Scalar) and node.is_null and kind not in {"value_error"}:
        return "the value is empty; write one or remove the key"
    if kind in {"literal_error", "enum"} and isinstance(node, Scalar):
        choices = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
        hint = did_you_mean(node.text, choices, what="one of") if not node.reference else ""
        return f"{_shown(node)} is not allowed here{hint}"
    wording = _wording(kind, context, message)
    if kind in {"list_type", "tuple_type"} and isinstance(node, Scalar) and not node.reference:
        return f"expected a list; write [{node.text[:_MAX_VALUE_CHARACTERS]}]"
    if kind in {"value_error", "too_short", "too_long"}:
        return wording
    if not isinstance(node, Scalar):
        return f"{wording}, found {_kind(node)}"
    return f"{_shown(node)}: {wording}"


_WORDINGS = {
    "string_type": "expected text",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "dict_type": "expected keys and values",
    "is_instance_of": "expected keys and values",
    "list_type": "expected a list",
    "tuple_type": "expected a list",
    "int_parsing": "expected a whole number",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_parsing": "expected a number",
    "float_type": "expected a number",
    "decimal_parsing": "expected a decimal number such as 0.01",
    "decimal_type": "expected a decimal number such as 0.01",
    "finite_number": "expected a finite number",
    "bool_parsing": "expected true or false",
    "bool_type": "expected true or false",
    "zoneinfo_str": "not a time zone; write for example Asia/Shanghai",
    "literal_error": "not allowed here",
}


#: Limits, with the name of the number in pydantic's context.
_LIMITS = {
    "greater_than_equal": ("ge", "expected at least {}"),
    "greater_than": ("gt", "expected more than {}"),
    "less_than_equal": ("le", "expected at most {}"),
    "less_than": ("lt", "expected less than {}"),
    "too_short": ("min_length", "expected at least {} entry"),
    "too_long": ("max_length", "expected at most {} entries"),
    "string_too_short": ("min_length", "expected at least {} characters"),
    "string_too_long": ("max_length", "expected at most {} characters"),
    "string_pattern_mismatch": ("pattern", "does not look right; expected the form {}"),
}


def _wording(kind: str, context: dict[str, Any], message: str) -> str:
    if kind == "value_error":
        return str(context.get("error", message))
    if kind in {"literal_error", "enum"}:
        return f"expected {context.get('expected', message)}"
    if kind in _LIMITS:
        name, wording = _LIMITS[kind]
        return wording.format(_limit(context.get(name)))
    return _WORDINGS.get(kind) or message[:1].lower() + message[1:]


def _limit(value: object) -> object:
    """A limit as it is written in a file; pydantic gives durations as their Python repr."""
    if not isinstance(value, str) or not value.startswith("datetime.timedelta("):
        return value
    parts = {unit: int(number) for unit, number in _TIMEDELTA_PART.findall(value)}
    return f"{timedelta(**parts).total_seconds():g}s"


def _keys_of(model: type[BaseModel] | None) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()] if model else []


def _model_at(model: type[BaseModel], location: tuple[int | str, ...]) -> type[BaseModel] | None:
    """The model that reads the mapping at `location`, found by following annotations."""
    annotation: Any = model
    for step in location:
        if (current := _as_model(annotation)) is not None:
            fields = {field.alias or name: field.annotation for name, field in current.model_fields.items()}
            annotation = fields.get(str(step))
        else:
            arguments = [argument for argument in typing.get_args(_bare(annotation)) if argument is not Ellipsis]
            annotation = arguments[-1] if arguments else None
    return _as_model(annotation)


def _as_model(annotation: Any) -> type[BaseModel] | None:
    bare = _bare(annotation)
    return bare if isinstance(bare, type) and issubclass(bare, BaseModel) else None


def _bare(annotation: Any) -> Any:
    """`annotation` without `Annotated` and without `| None`."""
    while typing.get_origin(annotation) in {Annotated, typing.Union, types.UnionType}:
        annotation = next(argument for argument in typing.get_args(annotation) if argument is not type(None))
    return annotation
