"""What is wrong with people, rotas, escalations and routes although every name is right: nobody would be told."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Escalation, OncallFile, Person, Rota, Route, RoutesFile
from tillwatch.errors import Problem
from tillwatch.oncall import days
from tillwatch.oncall.duty import Duty
from tillwatch.oncall.outlook import merged

#: Gaps are looked for so far ahead.
LOOK_AHEAD = timedelta(days=30)
#: Gaps named one by one; the rest is counted.
MAX_GAPS_NAMED = 3
#: Kinds of channels that speak to a whole group: a person is only called by an address of that kind.
_GROUPS = frozenset({"wecom_bot", "dingtalk", "feishu"})


def problems(config: ChainConfig, now: datetime) -> list[Problem]:
    """Everything that would leave an incident untold, each at the thing it is about."""
    return [
        *_gaps(config, now),
        *_people(config),
        *_steps(config),
        *_overrides(config),
        *_receivers(config),
        *_routes(config.route),
    ]


def _gaps(config: ChainConfig, now: datetime) -> Iterator[Problem]:
    duty = Duty.of(config)
    for rota in config.rotas:
        if rota.may_be_empty:
            continue
        schedule = duty.schedules[rota.id]
        empty = [one for one in merged(schedule.turns(now, now + LOOK_AHEAD)) if not one.person]
        if not empty:
            continue
        zone = schedule.zone
        named = ", ".join(
            f"{one.begins.astimezone(zone):%Y-%m-%d %H:%M} to {one.ends.astimezone(zone):%m-%d %H:%M}"
            for one in empty[:MAX_GAPS_NAMED]
        )
        more = f" and {len(empty) - MAX_GAPS_NAMED} more" if len(empty) > MAX_GAPS_NAMED else ""
        yield config.problem(
            "rota",
            rota.id,
            f"nobody is on call {named}{more} within {LOOK_AHEAD.days} days; add a rotation, or say may_be_empty: true",
        )


def _people(config: ChainConfig) -> Iterator[Problem]:
    """Whoever can be called needs a channel that reaches them."""
    kinds = {one.id: one.kind for one in config.channels}
    for person in config.people:
        shared = _shared_channels(config, person.id)
        if shared is None:
            continue
        channels = dict.fromkeys((*person.channels, *shared))
        if not channels:
            yield config.problem("person", person.id, "can be called, and has no channel")
        elif not any(_reaches(person, kinds.get(channel, "")) for channel in channels):
            wanted = sorted({kinds[channel] for channel in channels if channel in kinds})
            message = f"no channel reaches them: {', '.join(channels)} speak to a group; add addresses.{wanted[0]}"
            yield config.problem("person", person.id, message)


def _reaches(person: Person, kind: str) -> bool:
    return kind not in _GROUPS or bool(person.addresses.get(kind))


def _shared_channels(config: ChainConfig, person: str) -> tuple[str, ...] | None:
    """The channels in which `person` may be called by name; None for somebody nothing ever calls."""
    rotas = {one.id for one in config.rotas if person in _members(config, one)}
    called = False
    found: list[str] = []
    for receiver in config.receivers:
        policy = next((one for one in config.escalations if one.id == receiver.escalation), None)
        targets = [step.notify for step in policy.steps] if policy else []
        direct = receiver.oncall in rotas
        if direct or any(one.person == person or one.rota in rotas for one in targets):
            called = True
            if direct or not config.person(person).channels:
                found += receiver.channels
    return tuple(found) if called else None


def _members(config: ChainConfig, rota: Rota) -> set[str]:
    members = {member for rotation in rota.rotations for member in rotation.members}
    return members | {one.person for one in config.overrides if one.rota == rota.id}


def _steps(config: ChainConfig) -> Iterator[Problem]:
    """A policy nobody uses, and steps that can reach nobody whoever is on call."""
    for policy in config.escalations:
        users = [one for one in config.receivers if one.escalation == policy.id]
        if not users:
            yield config.problem("escalation", policy.id, "no receiver uses it; its steps are never taken")
        for number in range(1, len(policy.steps) + 1):
            for receiver in users:
                if not _step_reaches(config, policy, number - 1, receiver.channels):
                    message = (
                        f"step {number} reaches nobody: neither its target nor receiver '{receiver.id}' has channels"
                    )
                    yield config.problem("escalation", policy.id, message)
        yield from _own_receiver(config, policy)


def _step_reaches(config: ChainConfig, policy: Escalation, number: int, shared: Iterable[str]) -> bool:
    target = policy.steps[number].notify
    if target.receiver:
        receiver = config.receiver(target.receiver)
        return bool(receiver.channels or receiver.oncall)
    people = [target.person] if target.person else sorted(_members(config, config.rota(target.rota)))
    return bool(tuple(shared)) or any(config.person(person).channels for person in people)


def _own_receiver(config: ChainConfig, policy: Escalation) -> Iterator[Problem]:
    """A step that tells a receiver with a policy of its own does not begin that policy."""
    for number, step in enumerate(policy.steps, 1):
        target = step.notify.receiver
        if target and config.receiver(target).escalation not in {"", policy.id}:
            message = f"step {number}: the escalation of receiver '{target}' is not taken from here; name its steps"
            yield config.problem("escalation", policy.id, message)


def _overrides(config: ChainConfig) -> Iterator[Problem]:
    for number, override in enumerate(config.overrides, 1):
        zone = config.rota(override.rota).zone or config.chain.timezone
        if days.placed(override.until, zone) <= days.placed(override.from_, zone):
            message = f"override {number} of rota '{override.rota}' ends before it begins"
            yield Problem(file=OncallFile.path, message=message)


def _receivers(config: ChainConfig) -> Iterator[Problem]:
    """A receiver whose channels come from its people alone needs people who have some."""
    for receiver in config.receivers:
        if receiver.channels or receiver.escalation or not receiver.oncall:
            continue
        members = sorted(_members(config, config.rota(receiver.oncall)))
        if not any(config.person(member).channels for member in members):
            message = f"nobody of rota '{receiver.oncall}' has a channel, and it has none of its own; it reaches nobody"
            yield config.problem("receiver", receiver.id, message)


def _routes(route: Route) -> Iterator[Problem]:
    """A route behind one that takes everything it could take."""
    for position, later in enumerate(route.routes):
        for earlier in route.routes[:position]:
            if not earlier.continue_ and set(earlier.matchers) <= set(later.matchers):
                message = f"route {_shown(later)} is never reached: {_shown(earlier)} before it takes all of it"
                yield Problem(file=RoutesFile.path, message=message)
                break
        yield from _routes(later)


def _shown(route: Route) -> str:
    return "{" + ", ".join(route.matchers) + "}"
