"""Tell a channel something, once, through the same durable outbox as every other message."""

from typing import ClassVar

from sqlalchemy import Connection

from tillwatch.errors import ActionError
from tillwatch.model.notice import Notice, NoticeKind
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions.base import Action, ActionContext, Output, Params, PlanReport, needed
from tillwatch.runbook.document import Both


class SendParams(Params):
    channels: tuple[str, ...]
    text: Both


class Send(Action[SendParams]):
    """Enqueues under the step's key, so the same step never tells twice; the outbox sends and reports delivery."""

    name: ClassVar[str] = "notify.send"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT
    Params: ClassVar[type[Params]] = SendParams

    def plan(self, ctx: ActionContext[SendParams]) -> PlanReport:
        channels = ", ".join(_channels(ctx))
        text = ctx.params.text
        return PlanReport(
            summary={"zh": f"通知 {channels}：{text.zh}", "en": f"tell {channels}: {text.en}"}, proposed=text.en
        )

    def do(self, ctx: ActionContext[SendParams]) -> Output:
        enqueue = needed(ctx.services.enqueue, "outbox")
        channels = _channels(ctx)
        database = ctx.services.database

        def job(connection: Connection) -> None:
            notice = Notice(
                kind=NoticeKind.MESSAGE,
                incident=ctx.incident,
                channels=channels,
                not_before=database.now(connection),
                text=ctx.params.text.text(),
                origin=ctx.key,
            )
            enqueue(connection, notice)

        database.write(job)
        return {"channels": list(channels), "origin": ctx.key}


def _channels(ctx: ActionContext[SendParams]) -> tuple[str, ...]:
    if not ctx.params.channels:
        raise ActionError("notify.send names no channel; add channels: [ID]")
    return tuple(ctx.services.config.channel(channel).id for channel in ctx.params.channels)
