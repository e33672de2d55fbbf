"""Runbooks as cards: what a page or a list shows of a file."""

from collections.abc import Mapping

from tillwatch.config.bind import did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.cards import ParamField, RunbookCard, StepCard
from tillwatch.runbook.document import Param, Runbook, Step
from tillwatch.runbook.inventory import choices


def find(books: Mapping[str, Runbook], runbook: str) -> Runbook:
    """Raises UsageError with a suggestion."""
    if runbook not in books:
        raise UsageError(f"unknown runbook '{runbook}'{did_you_mean(runbook, books)}")
    return books[runbook]


def card(book: Runbook, config: ChainConfig, registry: Registry) -> RunbookCard:
    head = book.head
    minutes = {"zh": f"约 {head.minutes} 分钟", "en": f"about {head.minutes} minutes"}
    return RunbookCard(
        id=book.id,
        title=head.title.text(),
        serves=head.serves,
        owner=head.owner,
        minutes=head.minutes,
        facts={
            "what": head.what.text(),
            "safe": head.safe.text(),
            "duration": minutes,
            "stop": head.stop.text(),
            "decides": head.decides.text(),
        },
        prose=book.prose,
        params=tuple(_field(name, param, config) for name, param in head.params.items()),
        steps=tuple(_step(step, registry) for step in book.steps),
    )


def _field(name: str, param: Param, config: ChainConfig) -> ParamField:
    return ParamField(
        name=name,
        title=param.title.text(),
        type="enum" if param.enum and param.type == "string" else param.type,
        choices=choices(param, config),
        default=param.default or "",
        required=param.default is None,
    )


def _step(step: Step, registry: Registry) -> StepCard:
    spec = step.spec
    rule = spec.approve
    approval: dict[str, object] = {}
    if rule is not None:
        approval = {
            "role": rule.role,
            "count": rule.count,
            "not_requester": rule.not_ == "requester",
            "within_seconds": rule.within.total_seconds(),
        }
    undo: dict[str, str] = {}
    if spec.undo is not None and spec.undo.do:
        undo = {"zh": f"用 {spec.undo.do} 撤销", "en": f"taken back by {spec.undo.do}"}
    elif spec.undo is not None and spec.undo.keep is not None:
        undo = {"zh": f"不撤销：{spec.undo.keep.zh}", "en": f"kept: {spec.undo.keep.en}"}
    elif spec.point_of_no_return:
        undo = {"zh": "不可撤销", "en": "cannot be taken back"}
    return StepCard(
        id=spec.id,
        title=step.title,
        prose=step.prose,
        action=spec.do,
        effect=registry[spec.do].effect.value,
        approval=approval,
        undo=undo,
    )
