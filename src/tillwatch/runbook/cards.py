"""What pages and commands show of runbooks: the file as a card, a dry run, and the parameters of a form."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tillwatch.model.text import Text


@dataclass(frozen=True, kw_only=True)
class ParamField:
    """One parameter of a runbook as a form shows it."""

    name: str
    title: Text
    #: string | integer | decimal | boolean | enum, or a kind of the inventory: system | interface | probe …
    type: str
    choices: tuple[str, ...] = ()
    default: str = ""
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class StepCard:
    """One step of a runbook file. `prose` is the author's Markdown above the block, by language."""

    id: str
    title: Text
    prose: Text
    action: str
    effect: str
    #: {"role", "count", "not_requester", "within_seconds"}, empty when the step needs no approval.
    approval: Mapping[str, object] = field(default_factory=dict)
    #: How it is taken back, or why it is not; empty for a step that only reads.
    undo: Text = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunbookCard:
    """What a runbook file says. `facts` is its first screen, by language: what, safe, duration, stop, decides."""

    id: str
    title: Text
    serves: tuple[str, ...]
    owner: str
    minutes: int
    facts: Mapping[str, Text] = field(default_factory=dict)
    prose: Text = field(default_factory=dict)
    params: tuple[ParamField, ...] = ()
    steps: tuple[StepCard, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """What one step would do, found out by reading only."""

    id: str
    title: Text
    action: str
    effect: str
    #: One sentence by language.
    summary: Text
    current: str = ""
    proposed: str = ""
    items: tuple[Mapping[str, object], ...] = ()
    items_total: int = 0
    undo: Text = field(default_factory=dict)
    approval: Mapping[str, object] = field(default_factory=dict)
    #: False when the action cannot say what it would do, or could not reach what it has to read.
    previewed: bool = True
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """The plan of a runbook with these parameters; `digest` is what an approver signs."""

    runbook: str
    params: Mapping[str, str]
    digest: str
    steps: tuple[StepPlan, ...]
    #: Parameters that are missing or wrong, by name.
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """False for a partial preview: some step could not say what it would do."""
        return not self.problems and all(step.previewed for step in self.steps)
