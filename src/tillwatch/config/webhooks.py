"""What `webhooks:` of `alerts/routes.yaml` declares: how the alerts of another system are read out of what it posts."""

import re
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema, model_validator
from pydantic import Field as Key

from tillwatch.config.strict import Strict
from tillwatch.config.values import Every, Id, LabelName, Text
from tillwatch.errors import UsageError

#: More steps than any alert is nested.
MAX_STEPS = 16
MAX_PATH_CHARACTERS = 512
MAX_MAPPED = 64

_STEP = re.compile(r"""\.([^.\[\]"\s]+)|\[(\d{1,6})\]|\["([^"]+)"\]""")


@dataclass(frozen=True, kw_only=True)
class JsonPath:
    """Steps from a value to one inside it: names of an object, positions in a list."""

    steps: tuple[str | int, ...]
    #: From the whole body, not from the item.
    from_body: bool


def parse_path(text: str) -> JsonPath:
    """`$.a.b[0]["c d"]` from the item, `$body.status` from the whole body. Raises UsageError."""
    root = "$body" if re.match(r"\$body(?=[.\[]|$)", text) else "$"
    if not text.startswith(root) or len(text) > MAX_PATH_CHARACTERS:
        raise UsageError(f"'{text[:60]}' is not a path; write for example $.alerts[0].labels")
    steps: list[str | int] = []
    position = len(root)
    while position < len(text):
        step = _STEP.match(text, position)
        if step is None:
            wrong = text[position : position + 20]
            raise UsageError(f"""'{text}' is not a path: at '{wrong}'; steps are .name, [0] and ["any name"]""")
        name, index, quoted = step.groups()
        steps.append(int(index) if index is not None else name or quoted)
        position = step.end()
    if len(steps) > MAX_STEPS:
        raise UsageError(f"'{text[:60]}' has {len(steps)} steps; at most {MAX_STEPS}")
    return JsonPath(steps=tuple(steps), from_body=root == "$body")


def is_path(text: str) -> bool:
    """Texts that begin with one `$` are paths; `$$` stands for a dollar sign that is meant."""
    return text.startswith("$") and not text.startswith("$$")


def _path(text: str) -> str:
    try:
        parse_path(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


def _path_or_text(text: str) -> str:
    return _path(text) if is_path(text) else text


PathText = Annotated[str, AfterValidator(_path), WithJsonSchema({"type": "string", "examples": ["$.alerts"]})]
PathOrText = Annotated[
    str, AfterValidator(_path_or_text), WithJsonSchema({"type": "string", "examples": ["$.host.name", "critical"]})
]


class Mapped(Strict):
    """A value taken from the item, in other words where `map` has them."""

    from_: Annotated[PathOrText, Key(alias="from")]
    map: Annotated[dict[str, str], Key(max_length=MAX_MAPPED)] = {}
    #: When there is nothing at the path, or `map` is given and has no word for it.
    default: str = ""


def _mapped(value: Any) -> Any:
    return {"from": value} if isinstance(value, str) else value


def _either(schema: type[Mapped]) -> dict[str, Any]:
    shape = schema.model_json_schema(by_alias=True)
    return {"anyOf": [{"type": "string"}, shape]}


MappedText = Annotated[Mapped, BeforeValidator(_mapped), WithJsonSchema(_either(Mapped))]
Labels = Annotated[dict[LabelName, MappedText], Key(max_length=MAX_MAPPED)]


class Ended(Strict):
    """The alert is over when the value at `path`, as text and whatever its case, is one of `values`."""

    path: PathText
    values: Annotated[tuple[str, ...], Key(min_length=1, max_length=MAX_MAPPED)]


class Webhook(Strict):
    """Another system's webhook, received at POST /hooks/generic/ID."""

    id: Id
    name: Text = {}
    #: Where the alerts are: a list, or a single object.
    items: PathText = "$"
    #: Objects whose every entry becomes a label (an annotation); what is declared one by one wins over them.
    labels_from: PathText | None = None
    annotations_from: PathText | None = None
    labels: Labels = {}
    #: Labels without which an item is set aside, besides alertname: a test message names no host.
    required: tuple[LabelName, ...] = ()
    annotations: Labels = {}
    #: Without it nothing of this source ever ends by a message; then give a `lease`.
    resolved: Ended | None = None
    #: Only when the message about the end carries the same start; else the start is the receipt.
    starts_at: PathText | None = None
    ends_at: PathText | None = None
    #: Of times written without one; the chain's when not given.
    zone: ZoneInfo | None = None
    url: PathOrText = ""
    #: An alert that is not repeated for so long counts as silent: neither firing nor over.
    lease: Every | None = None

    @model_validator(mode="after")
    def _has_a_name(self) -> "Webhook":
        if "alertname" not in self.labels and self.labels_from is None:
            raise ValueError("labels has no alertname; write for example alertname: $.trigger.name")
        return self
