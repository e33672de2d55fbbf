"""The shape of a runbook file: front matter and step blocks, as pydantic models, and the parsed whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, model_validator
from pydantic import Field as Key

from tillwatch.config.bind import EMPTY, Raw
from tillwatch.config.schema import Strict
from tillwatch.config.values import Duration, Id
from tillwatch.config.yaml import Node, Scalar, Sequence
from tillwatch.model.runbook import Effect

#: Kinds of parameters that must name something the chain declares; never free text.
INVENTORY = ("site", "system", "interface", "probe", "audit", "validation", "service", "offender", "channel")
TYPES = ("string", "integer", "decimal", "boolean", *INVENTORY)


class Both(Strict):
    """Wording in both languages; a runbook speaks to whoever is on call."""

    zh: Annotated[str, Key(min_length=1)]
    en: Annotated[str, Key(min_length=1)]

    def text(self) -> dict[str, str]:
        return {"zh": self.zh, "en": self.en}


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class Param(Strict):
    """One parameter. `from` proposes a value out of the incident; the value is then checked like a typed one."""

    type: Literal[
        "string",
        "integer",
        "decimal",
        "boolean",
        "site",
        "system",
        "interface",
        "probe",
        "audit",
        "validation",
        "service",
        "offender",
        "channel",
    ]
    title: Both
    enum: tuple[str, ...] = ()
    pattern: str = ""
    minimum: int | None = None
    maximum: int | None = None
    default: str | None = None
    #: `incident.id`, `incident.component`, `incident.offender` (of the allow-list, found among the top processes),
    #: `alert.labels.NAME` or `alert.evidence.NAME`; the first that is there wins.
    from_: Annotated[tuple[str, ...], BeforeValidator(_one_or_many), Key(alias="from")] = ()


class Limits(Strict):
    """A runbook may only lower what the engine allows."""

    deadline: Duration = timedelta(hours=1)
    max_runs_per_day: Annotated[int, Key(ge=1, le=1000)] = 20


class DoneWhen(Strict):
    """The run succeeds only when the incident's alerts are clear."""

    alert_clear: bool
    within: Duration = timedelta(minutes=5)


class FrontMatter(Strict):
    """The head of a runbook file. The five answers a person needs at three in the morning come first."""

    id: Id
    title: Both
    serves: Annotated[tuple[str, ...], Key(min_length=1)]
    #: Serves these alerts only where their interface carries one of these (orders, stock, …); empty = everywhere else.
    carries: tuple[str, ...] = ()
    owner: Annotated[str, Key(min_length=1)]
    role: Annotated[str, Key(min_length=1)]
    minutes: Annotated[int, Key(ge=1, le=1440)]
    #: What is broken.
    what: Both
    #: Is it safe to run?
    safe: Both
    #: How to stop it, and what happens then.
    stop: Both
    #: Who decides when this does not help.
    decides: Both
    params: Annotated[dict[str, Param], Key(default_factory=dict)]
    #: The target only one run may hold.
    lock: Annotated[str, Key(min_length=1)]
    limits: Limits = Limits()
    #: It starts by itself for an incident it serves that nobody is on, unless the calendar forbids it. Steps that ask
    #: for approval wait for it as in any run.
    automatic: bool = False
    done_when: DoneWhen | None = None


class Approve(Strict):
    """Nothing happens until `count` people with `role` have signed the plan; after `within` the run expires."""

    role: Annotated[str, Key(min_length=1)]
    count: Annotated[int, Key(ge=1, le=5)] = 1
    not_: Annotated[Literal["requester"] | None, Key(alias="not")] = None
    within: Duration = timedelta(minutes=30)


class Retry(Strict):
    """Only errors that can pass by themselves are tried again."""

    times: Annotated[int, Key(ge=1, le=10)]
    wait: Duration = timedelta(seconds=1)


class Verify(Strict):
    """How a step shows that it worked: a reading action, or a condition on outputs, tried until `within`."""

    do: str = ""
    with_: Annotated[Raw, Key(alias="with")] = EMPTY
    assert_: Annotated[str, Key(alias="assert")] = ""
    #: What to tell the person when the condition does not hold.
    message: Both | None = None
    within: Duration = timedelta(0)
    every: Duration = timedelta(seconds=1)
    timeout: Duration | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Verify":
        if bool(self.do) == bool(self.assert_):
            raise ValueError("verify has either 'do' (a reading action) or 'assert' (a condition)")
        return self


class Undo(Strict):
    """How to take a step back: an action with its own check, or the reason why its effect is kept."""

    do: str = ""
    with_: Annotated[Raw, Key(alias="with")] = EMPTY
    verify: Verify | None = None
    timeout: Duration | None = None
    keep: Both | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Undo":
        if self.do and self.keep:
            raise ValueError("undo has either 'do' (an action) or 'keep' (why the effect stays), not both")
        return self


def _none(value: Any) -> Any:
    return {} if value == "none" else value


class StepSpec(Strict):
    """One ```step block."""

    id: Annotated[str, Key(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
    do: Annotated[str, Key(min_length=1)]
    with_: Annotated[Raw, Key(alias="with")] = EMPTY
    #: The action declares its effect; writing it here only asserts what the author believes.
    effect: Effect | None = None
    timeout: Duration | None = None
    when: str = ""
    retry: Retry | None = None
    approve: Approve | None = None
    verify: Verify | None = None
    #: `none` must be said aloud, together with point_of_no_return.
    undo: Annotated[Undo | None, BeforeValidator(_none)] = None
    point_of_no_return: bool = False
    #: What a failure of this step does: take the run back, or leave everything and call a person.
    on_failure: Literal["undo", "human"] = "undo"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step block with the heading and prose above it, by language."""

    spec: StepSpec
    node: Node
    title: Mapping[str, str]
    prose: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Runbook:
    """One linted runbook. `source_digest` is the SHA-256 of the file's bytes."""

    id: str
    file: str
    head: FrontMatter
    steps: tuple[Step, ...]
    prose: Mapping[str, str]
    source_digest: str


def plain(node: Node) -> Any:
    """A node as dictionaries, lists and text; null stays None."""
    if isinstance(node, Scalar):
        return None if node.is_null else node.text
    if isinstance(node, Sequence):
        return [plain(item) for item in node.items]
    return {key: plain(value) for key, value in node.entries.items()}
