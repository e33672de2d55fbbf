"""The next step of an escalation: (where it stands, now) → what to do, when, and why. Pure."""

import enum
from dataclasses import dataclass, replace
from datetime import datetime

from tillwatch.config.schema import Escalation, Target
from tillwatch.model.incident import Climb


class Why(enum.StrEnum):
    """Why a step is taken, or why none is."""

    BEGINS = "begins"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    #: All steps were taken; they are taken again.
    AGAIN = "again"
    #: All rounds are over; the last step goes on, because silence would be worse.
    EXHAUSTED = "exhausted"
    NOT_YET = "not_yet"
    PAUSED = "paused"
    #: The policy left the chain directory.
    NO_POLICY = "no_policy"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """`target` is None when nothing is to be done now; `climb` is where the escalation stands afterwards."""

    climb: Climb
    why: Why
    target: Target | None = None
    #: Number of the step, from 1.
    step: int = 0


def next_step(climb: Climb, policy: Escalation | None, now: datetime) -> Decision:
    """Decide for one escalation. However long nobody looked, one step is taken, and the next waits from now.

    A policy that has become shorter goes on with its last step.
    """
    if policy is None:
        return Decision(climb=replace(climb, next_at=None), why=Why.NO_POLICY)
    if climb.next_at is None:
        return Decision(climb=climb, why=Why.PAUSED)
    if climb.next_at > now:
        return Decision(climb=climb, why=Why.NOT_YET)
    last = len(policy.steps) - 1
    over = climb.round > policy.repeat
    number = last if over else min(climb.step, last)
    wait = policy.steps[number].wait_for_ack
    if over:
        after = replace(climb, next_at=now + max(wait, climb.afterwards), taken=climb.taken + 1)
        return Decision(climb=after, why=Why.EXHAUSTED, target=policy.steps[number].notify, step=number + 1)
    ended = number == last
    after = replace(
        climb,
        step=0 if ended else number + 1,
        round=climb.round + (1 if ended else 0),
        next_at=now + wait,
        taken=climb.taken + 1,
    )
    first = Why.BEGINS if climb.taken == 0 else Why.NOT_ACKNOWLEDGED
    why = Why.AGAIN if number == 0 and climb.round > 0 else first
    return Decision(climb=after, why=why, target=policy.steps[number].notify, step=number + 1)
