"""A run as a page shows it: each step's state and output, and the one thing it waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tillwatch.model.runbook import Run, RunState, StepRecord
from tillwatch.web.language import Texts
from tillwatch.web.views.levels import OF_STEP, Level

#: Items of one output shown; the journal has all.
MAX_ITEMS_SHOWN = 20
#: Longer single values are cut, with an ellipsis that says so.
MAX_VALUE_CHARACTERS = 400


@dataclass(frozen=True, kw_only=True)
class StepView:
    record: StepRecord
    title: str
    level: Level
    #: Output as (name, value); lists of items stand apart.
    facts: tuple[tuple[str, str], ...]
    lists: tuple[tuple[str, tuple[str, ...], int], ...]


@dataclass(frozen=True, kw_only=True)
class WaitingView:
    """What a person is asked for. `kind` is `approval` or `manual`."""

    kind: str
    step: str
    title: Mapping[str, str]
    role: str
    not_requester: bool
    ask: Mapping[str, str]
    expires_at: datetime | None


def step_views(run: Run, t: Texts) -> list[StepView]:
    views = []
    for record in run.steps:
        lists = tuple(
            (str(name), tuple(_short(item) for item in value[:MAX_ITEMS_SHOWN]), len(value))
            for name, value in record.output.items()
            if isinstance(value, list | tuple) and value
        )
        facts = tuple(
            (str(name), _short(value))
            for name, value in record.output.items()
            if not isinstance(value, list | tuple) and value not in (None, "", {})
        )
        views.append(
            StepView(
                record=record,
                title=t.name(record.title, record.id),
                level=OF_STEP[record.state],
                facts=facts,
                lists=lists,
            )
        )
    return views


def waiting_view(run: Run) -> WaitingView | None:
    kinds = {RunState.WAITING_APPROVAL: "approval", RunState.WAITING_MANUAL: "manual"}
    if run.state not in kinds:
        return None
    waiting = run.waiting
    step = str(waiting.get("step", ""))
    titles = {record.id: record.title for record in run.steps}
    ask = waiting.get("ask")
    return WaitingView(
        kind=kinds[run.state],
        step=step,
        title=titles.get(step, {}),
        role=str(waiting.get("role", "")),
        not_requester=bool(waiting.get("not_requester")),
        ask={str(key): str(text) for key, text in ask.items()} if isinstance(ask, Mapping) else {},
        expires_at=_instant(waiting.get("expires_at")),
    )


def _instant(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        parsed = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return parsed if parsed.tzinfo else None


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        text = " · ".join(f"{key}: {_short(item)}" for key, item in value.items())
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        text = ", ".join(_short(item) for item in value)
    else:
        text = str(value)
    return text if len(text) <= MAX_VALUE_CHARACTERS else text[: MAX_VALUE_CHARACTERS - 1] + "…"
