"""HTTP towards the systems of this chain: an address must be one the chain directory declares."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import Field as Key

from tillwatch.config.declared import ChainConfig
from tillwatch.config.yaml import Mapping as Table
from tillwatch.config.yaml import Node, Scalar
from tillwatch.errors import ActionError, OutcomeUnknown, RefusedError
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions.base import (
    Action,
    ActionContext,
    Happened,
    Occurrence,
    Output,
    Params,
    PlanReport,
)

#: An answer we look at is small; more is not read.
MAX_BODY_BYTES = 65_536
MAX_EXCERPT_CHARACTERS = 500
_PORTS = {"http": 80, "https": 443}


class ProbeParams(Params):
    target: str
    expect: tuple[int, ...] = (200,)
    contains: str = ""


class ProbeHttp(Action[ProbeParams]):
    """GET an address of the chain and look at status and body."""

    name: ClassVar[str] = "http.probe"
    Params: ClassVar[type[Params]] = ProbeParams
    default_timeout: ClassVar[timedelta] = timedelta(seconds=10)

    def plan(self, ctx: ActionContext[ProbeParams]) -> PlanReport:
        allowed(ctx.params.target, ctx.services.config)
        return PlanReport(
            summary={"zh": f"读取 {ctx.params.target}", "en": f"GET {ctx.params.target}"},
            proposed=f"{ctx.params.expect}",
        )

    def do(self, ctx: ActionContext[ProbeParams]) -> Output:
        return look(ctx, ctx.params)


class RequestParams(Params):
    method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST"
    target: str
    json_body: Annotated[dict[str, str], Key(alias="json", default_factory=dict)]
    expect: tuple[int, ...] = (200, 201, 202, 204)
    #: How to find out whether it happened when the answer was lost.
    happened: ProbeParams | None = None


class RequestHttp(Action[RequestParams]):
    """Send one request with the step's key as Idempotency-Key. Never sent twice without asking `happened`."""

    name: ClassVar[str] = "http.request"
    effect: ClassVar[Effect] = Effect.ONCE
    Params: ClassVar[type[Params]] = RequestParams
    default_timeout: ClassVar[timedelta] = timedelta(seconds=30)

    def plan(self, ctx: ActionContext[RequestParams]) -> PlanReport:
        params = ctx.params
        allowed(params.target, ctx.services.config)
        return PlanReport(
            summary={
                "zh": f"发送 {params.method} {params.target}",
                "en": f"send {params.method} {params.target}",
            },
            proposed=f"Idempotency-Key: {ctx.key}",
            items=tuple({"field": key, "value": value} for key, value in params.json_body.items())[:20],
            items_total=len(params.json_body),
        )

    def do(self, ctx: ActionContext[RequestParams]) -> Output:
        params = ctx.params
        allowed(params.target, ctx.services.config)
        try:
            status, text = _send(ctx, params.method, params.target, json=params.json_body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ActionError(f"{params.target} cannot be reached ({_words(error)}); nothing was sent") from error
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"{params.target}: sent, but no answer ({_words(error)})") from error
        if status not in params.expect:
            message = f"{params.target} answered {status}, expected {_list(params.expect)}: {text}"
            # A 5xx may come from after the effect.
            raise OutcomeUnknown(message) if status >= 500 else ActionError(message)
        return {"status": status, "body": text}

    def happened(self, ctx: ActionContext[RequestParams]) -> Occurrence:
        question = ctx.params.happened
        if question is None:
            return Occurrence(state=Happened.UNKNOWN, reason="the step does not say how to find out ('happened')")
        allowed(question.target, ctx.services.config)
        try:
            status, text = _send(ctx, "GET", question.target)
        except httpx.HTTPError as error:
            return Occurrence(state=Happened.UNKNOWN, reason=f"{question.target} does not answer ({_words(error)})")
        if status in question.expect and question.contains in text:
            return Occurrence(state=Happened.DONE, output={"status": status, "found": True})
        if status >= 500:
            return Occurrence(state=Happened.UNKNOWN, reason=f"{question.target} answered {status}")
        return Occurrence(state=Happened.NOT_DONE, reason=f"{question.target} answered {status}")


def look(ctx: ActionContext[ProbeParams], params: ProbeParams) -> dict[str, object]:
    """One GET. Raises ActionError (retryable) when it is not as expected."""
    allowed(params.target, ctx.services.config)
    try:
        status, text = _send(ctx, "GET", params.target)
    except httpx.HTTPError as error:
        raise ActionError(f"{params.target} does not answer: {_words(error)}", retryable=True) from error
    if status not in params.expect:
        raise ActionError(f"{params.target} answered {status}, expected {_list(params.expect)}", retryable=True)
    if params.contains not in text:
        raise ActionError(f"{params.target} answered without '{params.contains}'", retryable=True)
    return {"status": status, "body": text[:MAX_EXCERPT_CHARACTERS]}


def _send(
    ctx: ActionContext[ProbeParams] | ActionContext[RequestParams],
    method: str,
    target: str,
    json: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    headers = {"Idempotency-Key": ctx.key, "User-Agent": "tillwatch-runbook"}
    # No redirects: an allowed address must not be able to send us to another one.
    with (
        httpx.Client(
            transport=ctx.services.transport,
            timeout=max(0.1, ctx.timeout.total_seconds()),
            follow_redirects=False,
            trust_env=False,
        ) as client,
        client.stream(method, target, headers=headers, json=dict(json) if json else None) as response,
    ):
        body = b""
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) >= MAX_BODY_BYTES:
                break
        return response.status_code, body[:MAX_BODY_BYTES].decode("utf-8", "replace")


def allowed(target: str, config: ChainConfig) -> None:
    """Raises RefusedError unless scheme, host and port of `target` stand in the chain directory."""
    wanted = _origin(target)
    if wanted is None:
        raise RefusedError(f"'{target}' is not an http(s) address")
    known = set(_origins(config))
    if wanted not in known:
        names = ", ".join(f"{scheme}://{host}:{port}" for scheme, host, port in sorted(known)) or "none"
        raise RefusedError(f"'{target}' is not an address of this chain; declared by systems and probes: {names}")


def _origins(config: ChainConfig) -> Iterator[tuple[str, str, int]]:
    nodes: Iterable[Node] = [system.options for system in config.systems]
    texts = [probe.target for probe in config.probes]
    texts += [
        value.text
        for node in nodes
        if isinstance(node, Table)
        for value in node.entries.values()
        if isinstance(value, Scalar)
    ]
    for text in texts:
        if (origin := _origin(text)) is not None:
            yield origin


def _origin(text: str) -> tuple[str, str, int] | None:
    try:
        parts = urlsplit(text)
        if parts.scheme in _PORTS and parts.hostname:
            return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        return None
    return None


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
