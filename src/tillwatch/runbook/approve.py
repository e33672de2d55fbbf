"""Approvals: people sign one exact plan; a vote for anything else counts for nothing."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tillwatch.errors import RefusedError
from tillwatch.runbook.snapshot import PlannedApproval, PlannedStep, digest
from tillwatch.store.run_records import Vote

APPROVE = "approve"
REJECT = "reject"


class Standing(enum.StrEnum):
    OPEN = "open"
    GRANTED = "granted"
    REJECTED = "rejected"


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How a vote stands, and a sentence that says why."""

    standing: Standing
    approvals: int
    reason: str


def signed_digest(plan_digest: str, step: PlannedStep, arguments: object) -> str:
    """What a vote on `step` binds to: the whole plan, and the arguments of this step with every value filled in."""
    return digest({"plan": plan_digest, "step": step.id, "arguments": arguments})


def tally(rule: PlannedApproval, votes: Sequence[Vote], *, signed: str, requester: str) -> Tally:
    """Count the votes for `signed`. One rejection ends it; approvals count by distinct people."""
    valid = [vote for vote in votes if vote.digest == signed and vote.role == rule.role]
    for vote in valid:
        if vote.decision == REJECT:
            words = f": {vote.reason}" if vote.reason else ""
            return Tally(standing=Standing.REJECTED, approvals=0, reason=f"refused by {vote.actor}{words}")
    people = {vote.actor for vote in valid if vote.decision == APPROVE}
    if rule.not_requester:
        people.discard(requester)
    standing = Standing.GRANTED if len(people) >= rule.count else Standing.OPEN
    names = f" by {', '.join(sorted(people))}" if people else ""
    return Tally(standing=standing, approvals=len(people), reason=f"{len(people)} of {rule.count} approvals{names}")


def admit(waiting: Mapping[str, Any], *, actor: str, role: str, decision: str, requester: str) -> None:
    """Whether this person may vote on what the run waits for. Raises RefusedError with the reason."""
    if decision not in {APPROVE, REJECT}:
        raise RefusedError(f"'{decision}' is no decision; say approve or reject")
    if not actor.strip():
        raise RefusedError("an approval needs a name; sign in or pass --actor NAME")
    if role != waiting["role"]:
        raise RefusedError(f"this step is approved by role '{waiting['role']}', not '{role}'")
    if decision == APPROVE and waiting.get("not_requester") and actor == requester:
        raise RefusedError(f"{requester} asked for this run; a second person has to approve it")
