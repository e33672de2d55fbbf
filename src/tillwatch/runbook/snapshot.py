"""The plan of a run, frozen: what was approved is what runs, whatever happens to the file afterwards."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from tillwatch.model.runbook import Effect

#: Raised when the meaning of a field changes, so that an old plan is never read with a new meaning.
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Call:
    """One action with its arguments as written (templates not filled in)."""

    action: str
    effect: Effect
    arguments: dict[str, Any] = field(default_factory=dict)
    timeout_seconds: float


@dataclass(frozen=True, kw_only=True)
class PlannedCheck:
    """A reading action or a condition, tried until `within_seconds` have passed."""

    call: Call | None = None
    condition: str = ""
    message: dict[str, str] = field(default_factory=dict)
    within_seconds: float = 0.0
    every_seconds: float = 1.0


@dataclass(frozen=True, kw_only=True)
class PlannedUndo:
    call: Call
    check: PlannedCheck | None = None


@dataclass(frozen=True, kw_only=True)
class PlannedApproval:
    role: str
    count: int
    not_requester: bool
    within_seconds: float


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    id: str
    title: dict[str, str]
    call: Call
    when: str = ""
    tries: int = 1
    retry_wait_seconds: float = 1.0
    approval: PlannedApproval | None = None
    check: PlannedCheck | None = None
    undo: PlannedUndo | None = None
    #: Why the effect stays when the run is taken back, by language.
    keep: dict[str, str] = field(default_factory=dict)
    point_of_no_return: bool = False
    on_failure: Literal["undo", "human"] = "undo"
    #: A person does it: the run waits for a confirmation instead of calling the action.
    by_people: bool = False


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Everything a worker needs to run the plan to its end."""

    format: int = FORMAT
    runbook: str
    title: dict[str, str]
    source_digest: str
    params: dict[str, str]
    #: What inventory parameters name, as found in the configuration when the plan was made.
    targets: dict[str, dict[str, Any]]
    lock: str
    deadline_seconds: float
    steps: tuple[PlannedStep, ...]

    def context(self, outputs: Mapping[str, Mapping[str, object]]) -> dict[str, Mapping[str, object]]:
        """What templates see."""
        return {"p": self.params, "t": self.targets, "s": outputs}

    @property
    def digest(self) -> str:
        """What an approver signs."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = _ADAPTER.dump_python(self, mode="json")
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Snapshot":
        return _ADAPTER.validate_python(document)


_ADAPTER: TypeAdapter[Snapshot] = TypeAdapter(Snapshot)


def digest(document: object) -> str:
    """SHA-256 of the canonical JSON of `document`, 64 hex digits."""
    text = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
