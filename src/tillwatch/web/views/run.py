"""A run as a page shows it: each step's state and output, and the one thing it waits for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tillwatch.model.runbook import Run, RunState, StepRecord
from tillwatch.runbook.cards import StepPlan
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
    #: How many approvals are needed, and what exactly is signed.
    count: int = 1
    digest: str = ""
    #: What the step would do now, found out when the run came to it.
    preview: StepPlan | None = None


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
    if isinstance(ask, Mapping) and isinstance(ask.get("ask"), Mapping):
        ask = ask["ask"]
    count = waiting.get("count")
    return WaitingView(
        kind=kinds[run.state],
        step=step,
        title=titles.get(step, {}),
        role=str(waiting.get("role", "")),
        not_requester=bool(waiting.get("not_requester")),
        ask=_texts(ask),
        expires_at=_instant(waiting.get("expires_at")),
        count=count if isinstance(count, int) else 1,
        digest=str(waiting.get("digest", "")),
        preview=_preview(waiting.get("preview"), step, titles.get(step, {})),
    )


def _preview(value: object, step: str, title: Mapping[str, str]) -> StepPlan | None:
    """The preview a run stored when it began to wait: JSON, so nothing is taken for granted."""
    if not isinstance(value, Mapping):
        return None
    items = value.get("items")
    rows = tuple(item for item in items if isinstance(item, Mapping)) if isinstance(items, list | tuple) else ()
    total = value.get("items_total")
    return StepPlan(
        id=step,
        title=title,
        action=str(value.get("action", "")),
        effect=str(value.get("effect", "")),
        summary=_texts(value.get("summary")),
        current=str(value.get("current", "")),
        proposed=str(value.get("proposed", "")),
        items=rows,
        items_total=total if isinstance(total, int) else len(rows),
        previewed=bool(value.get("previewed", True)),
        error=str(value.get("error", "")),
    )


def _texts(value: object) -> Mapping[str, str]:
    return {str(language): str(text) for language, text in value.items()} if isinstance(value, Mapping) else {}


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
