"""Calling the action of a step, and what each way to end means for the step."""

import enum
import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tillwatch.clock import Clock
from tillwatch.errors import ActionError, OutcomeUnknown, TillwatchError
from tillwatch.model.runbook import Effect
from tillwatch.runbook import execute, template
from tillwatch.runbook.actions.base import Action, ActionContext, ActionServices, Happened, Stopped
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.plan import typed
from tillwatch.runbook.redact import Redactor
from tillwatch.runbook.snapshot import Call
from tillwatch.store.types import dumps

_LOG = logging.getLogger(__name__)

#: What a step keeps of its output; the rest belongs into the system it came from.
MAX_OUTPUT_BYTES = 65_536
MAX_ERROR_CHARACTERS = 2_000
#: Asking whether something happened is reading; it does not take longer than this.
ASK_TIMEOUT_SECONDS = 60.0


class Ended(enum.StrEnum):
    """How a call ended."""

    DONE = "done"
    #: It said no, or was told to stop; what it had done by then is in the output.
    FAILED = "failed"
    #: An effect that must not happen twice was cut off: ask before anything else.
    ASK = "ask"
    #: It may still act, or nobody can tell whether it did.
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Answer:
    ended: Ended
    output: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    retryable: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Calls actions for one run."""

    registry: Registry
    services: ActionServices
    clock: Clock
    redactor: Redactor
    run: int
    incident: int | None
    actor: str
    stop: Callable[[], bool]

    def do(self, call: Call, context: template.Context, *, key: str, seconds_left: float) -> Answer:
        """Call the action within its timeout and what is left of the run's deadline."""
        began = self.clock.monotonic()
        expired = threading.Event()
        timeout_seconds = min(call.timeout_seconds, max(0.0, seconds_left))
        try:
            action = self._approved(call)
            ctx = self._context(action, call, context, key, timeout_seconds, expired)
            output = execute.call(
                lambda: action.do(ctx), timeout_seconds=timeout_seconds, clock=self.clock, expire=expired.set
            )
            answer = Answer(ended=Ended.DONE, output=self.kept(output))
        except Exception as error:
            answer = self._failed(error, call)
        return Answer(
            ended=answer.ended,
            output=answer.output,
            error=answer.error,
            retryable=answer.retryable,
            seconds=self.clock.monotonic() - began,
        )

    def ask(self, call: Call, context: template.Context, *, key: str) -> tuple[Happened, Answer]:
        """Whether the effect happened; anything but a clear answer is `unknown`."""
        expired = threading.Event()
        try:
            action = self._approved(call)
            ctx = self._context(action, call, context, key, ASK_TIMEOUT_SECONDS, expired)
            found = execute.call(
                lambda: action.happened(ctx),
                timeout_seconds=ASK_TIMEOUT_SECONDS,
                clock=self.clock,
                expire=expired.set,
            )
        except Exception as error:
            return Happened.UNKNOWN, Answer(ended=Ended.UNKNOWN, error=self._words(error))
        ended = Ended.DONE if found.state is Happened.DONE else Ended.UNKNOWN
        reason = self.redactor.text(found.reason)
        return found.state, Answer(ended=ended, output=self.kept(found.output), error=reason)

    def kept(self, output: Mapping[str, Any]) -> dict[str, Any]:
        """The output as the journal holds it: plain JSON, without secrets, bounded."""
        text = dumps(self.redactor.document(dict(output)))
        if (size_bytes := len(text.encode("utf-8", "surrogatepass"))) > MAX_OUTPUT_BYTES:
            small = {key: value for key, value in output.items() if isinstance(value, str | int | float | bool)}
            small = {key: value[:200] if isinstance(value, str) else value for key, value in list(small.items())[:50]}
            return {**self.redactor.document(small), "cut": f"{size_bytes} bytes; only short values are kept"}
        document: dict[str, Any] = json.loads(text)
        return document

    def _approved(self, call: Call) -> Action[Any]:
        action = self.registry[call.action]
        if action.effect is not call.effect:
            raise ActionError(
                f"action '{call.action}' is '{action.effect}' now, the plan was approved with '{call.effect}'; "
                "start a new run"
            )
        return action

    def _context(
        self,
        action: Action[Any],
        call: Call,
        context: template.Context,
        key: str,
        timeout_seconds: float,
        expired: threading.Event,
    ) -> ActionContext[Any]:
        return ActionContext(
            services=self.services,
            params=typed(action, template.fill(call.arguments, context)),
            key=key,
            run=self.run,
            incident=self.incident,
            actor=self.actor,
            timeout=timedelta(seconds=timeout_seconds),
            stop=lambda: expired.is_set() or self.stop(),
        )

    def _failed(self, error: Exception, call: Call) -> Answer:
        """Only a clear no is a no: after anything else an effect that must not happen twice is asked about."""
        words = self._words(error)
        once = call.effect is Effect.ONCE
        if isinstance(error, execute.LeftBehind):
            ended = Ended.FAILED if call.effect is Effect.READ else Ended.UNKNOWN
            return Answer(ended=ended, error=words)
        if isinstance(error, Stopped):
            return Answer(ended=Ended.ASK if once else Ended.FAILED, output=self.kept(error.output), error=words)
        if isinstance(error, OutcomeUnknown | execute.TimedOut):
            return Answer(ended=Ended.ASK if once else Ended.FAILED, error=words, retryable=not once)
        if isinstance(error, TillwatchError):
            unclear = once and error.retryable
            return Answer(ended=Ended.ASK if unclear else Ended.FAILED, error=words, retryable=error.retryable)
        _LOG.error("action '%s' has a defect", call.action, exc_info=error)
        return Answer(ended=Ended.ASK if once else Ended.FAILED, error=f"defect in '{call.action}': {words}")

    def _words(self, error: Exception) -> str:
        text = str(error) or type(error).__name__
        if not isinstance(error, TillwatchError):
            text = f"{type(error).__name__}: {text}"
        return self.redactor.text(text)[:MAX_ERROR_CHARACTERS]
