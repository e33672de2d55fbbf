"""What programs send: names, texts and parameters, bounded before anything is done with them."""

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tillwatch.web.handling import MAX_ID, MAX_PAGE_SIZE, MAX_TEXT_CHARACTERS
from tillwatch.web.render import MAX_ACTOR_CHARACTERS

#: Printable on one line; a name ends up in logs, messages and pages.
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
Actor = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_ACTOR_CHARACTERS, pattern=_ONE_LINE)
]
LongText = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00]*$")
]
OptionalText = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00]*$")
]
#: A span as people write it: 30m, 2h, 1d.
Lasting = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,6}(m|h|d))+$", max_length=24)]
Name = Annotated[str, StringConstraints(max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Id = Annotated[int, Field(ge=1, le=MAX_ID)]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE)]
Params = Annotated[dict[Annotated[str, StringConstraints(max_length=64)], LongText], Field(max_length=50)]


class Body(BaseModel):
    """An unknown key is a mistake worth telling, not one to skip."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ActorBody(Body):
    actor: Actor


class AcknowledgeBody(ActorBody):
    """`for`: so long, for example 2h; after that the escalation goes on. For good when left out."""

    lasting: Annotated[Lasting | None, Field(alias="for")] = None


class GiveBackBody(ActorBody):
    reason: OptionalText = ""


class SnoozeBody(ActorBody):
    lasting: Annotated[Lasting, Field(alias="for")]
    reason: OptionalText = ""


class NoteBody(ActorBody):
    text: LongText


class AssignBody(ActorBody):
    assignee: Actor


class ResolveBody(ActorBody):
    reason: LongText


class PlanBody(Body):
    params: Params = {}
    incident: Id | None = None


class StartBody(ActorBody):
    runbook: Name
    params: Params = {}
    incident: Id | None = None


class ApproveBody(ActorBody):
    role: Name
    decision: Literal["approve", "reject"] = "approve"
    #: Of the plan that was looked at; a vote for another one is refused. Left out, it is the plan as it is now.
    digest: Annotated[str, StringConstraints(max_length=128, pattern=r"^[0-9a-f]*$")] = ""


class ConfirmBody(ActorBody):
    step: Name
    text: LongText
    #: False when it could not be done: the step then counts as failed.
    done: bool = True


class ResumeBody(ActorBody):
    #: What a person found out about the step nobody knows the outcome of; without it a failed step is tried again.
    decision: Literal["", "done", "retry", "undo"] = ""


class SignOff(ActorBody):
    reason: LongText
