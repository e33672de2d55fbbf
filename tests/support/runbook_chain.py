"""A small chain with runbooks whose actions work on files, so that every effect can be counted and every crash placed."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tillwatch.clock import Clock, ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import ActionError
from tillwatch.model.runbook import Effect
from tillwatch.runbook.actions import alert, manual, wait
from tillwatch.runbook.actions.base import (
    Action,
    ActionContext,
    ActionServices,
    Happened,
    Occurrence,
    Output,
    Params,
    PlanReport,
)
from tillwatch.runbook.actions.registry import Registry
from tillwatch.runbook.desk import RunbookDesk
from tillwatch.store.db import Database

CHAIN = """
chain: {id: demo, name: Demo, timezone: Asia/Shanghai, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
sites: [{id: shop, name: Shop}]
systems:
  - {id: erp, site: shop, source: tryton, url: "http://127.0.0.1:8000", password: "${env:ERP_PASSWORD}"}
channels: [{id: ops, kind: webhook, url: "http://127.0.0.1:9/hook"}]
services: [{id: erp, start: [sleep, "0"]}]
"""
ROUTES = """
route: {receiver: ops, group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
receivers: [{id: ops, channels: [ops]}]
"""
HEAD = """---
id: {id}
title: {{zh: 测试, en: Test}}
serves: [{serves}]
owner: us
role: oncall
minutes: 1
what: {{zh: 坏, en: broken}}
safe: {{zh: 是, en: yes}}
stop: {{zh: 可以, en: yes}}
decides: {{zh: 我们, en: us}}
lock: "{lock}"
{more}
---
"""
SECRET = "geheim-7788"
#: Short, so that a dead worker is noticed within a test.
LEASE = timedelta(seconds=1)


def markdown(*steps: str, id: str = "test", serves: str = "Test", lock: str = "target", more: str = "") -> str:
    """A runbook file with these step blocks."""
    text = HEAD.format(id=id, serves=serves, lock=lock, more=more)
    for step in steps:
        text += f"\n## 步骤 / Step\n\nWhat it does.\n\n```step\n{step.strip()}\n```\n"
    return text


class World:
    """A folder: `values/NAME` hold state, `log` every effect in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "values").mkdir(parents=True, exist_ok=True)

    def note(self, *words: object) -> None:
        with (self.folder / "log").open("a", encoding="utf-8") as log:
            log.write(json.dumps([os.getpid(), *words]) + "\n")

    def log(self) -> list[list[object]]:
        path = self.folder / "log"
        return [json.loads(line)[1:] for line in path.read_text().splitlines()] if path.exists() else []

    def count(self, *words: object) -> int:
        return sum(entry[: len(words)] == list(words) for entry in self.log())

    def get(self, name: str) -> str | None:
        path = self.folder / "values" / name
        return path.read_text() if path.exists() else None

    def set(self, name: str, value: str) -> None:
        (self.folder / "values" / name).write_text(value)

    def crash_if(self, point: str) -> None:
        """Die here, once, if the test placed a crash at this point."""
        path = self.folder / "crash"
        if path.exists() and path.read_text() == point:
            path.unlink()
            os.kill(os.getpid(), signal.SIGKILL)

    def block_if(self, point: str) -> None:
        path = self.folder / "block"
        if path.exists() and path.read_text() == point:
            path.unlink()
            self.note("blocked", point)
            os.kill(os.getpid(), signal.SIGSTOP)


class SetParams(Params):
    name: str
    value: str = ""
    error: str = ""
    retryable: bool = False


class _Set(Action[SetParams]):
    Params: ClassVar[type[Params]] = SetParams

    def __init__(self, world: World) -> None:
        self.world = world

    def plan(self, ctx: ActionContext[SetParams]) -> PlanReport:
        before = self.world.get(ctx.params.name)
        return PlanReport(summary={"en": "set", "zh": "设置"}, current=str(before), proposed=ctx.params.value)


class Set(_Set):
    """Idempotent: the same value again changes nothing."""

    name: ClassVar[str] = "test.set"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT

    def do(self, ctx: ActionContext[SetParams]) -> Output:
        name = ctx.params.name
        self.world.note("begin", ctx.key)
        self.world.crash_if(f"mid:{ctx.key}")
        self.world.block_if(f"mid:{ctx.key}")
        if ctx.params.error:
            raise ActionError(ctx.params.error, retryable=ctx.params.retryable)
        self.world.set(name, ctx.params.value)
        self.world.crash_if(f"late:{ctx.key}")
        self.world.note("end", ctx.key)
        return {"name": name, "value": ctx.params.value}


class Once(_Set):
    """Must not happen twice: adds a line to a ledger, and can look there whether it did."""

    name: ClassVar[str] = "test.once"
    effect: ClassVar[Effect] = Effect.ONCE

    def do(self, ctx: ActionContext[SetParams]) -> Output:
        self.world.note("begin", ctx.key)
        self.world.crash_if(f"mid:{ctx.key}")
        self.world.note("ledger", ctx.params.name)
        self.world.set(ctx.params.name, "booked")
        self.world.crash_if(f"late:{ctx.key}")
        return {"booked": ctx.params.name}

    def happened(self, ctx: ActionContext[SetParams]) -> Occurrence:
        self.world.note("asked", ctx.key)
        if self.world.get("happened") == "unknown":
            return Occurrence(state=Happened.UNKNOWN, reason="the ledger does not answer")
        if self.world.get(ctx.params.name) == "booked":
            return Occurrence(state=Happened.DONE, output={"booked": ctx.params.name})
        return Occurrence(state=Happened.NOT_DONE)


class Is(_Set):
    """Reads: succeeds when the value is as given."""

    name: ClassVar[str] = "test.is"

    def do(self, ctx: ActionContext[SetParams]) -> Output:
        self.world.crash_if(f"mid:{ctx.key}")
        found = self.world.get(ctx.params.name)
        if found != ctx.params.value:
            raise ActionError(f"{ctx.params.name} is {found}, not {ctx.params.value}")
        return {"value": found}


class Hold(_Set):
    """Works until told to stop, or for ever when `value` is deaf."""

    name: ClassVar[str] = "test.hold"
    effect: ClassVar[Effect] = Effect.IDEMPOTENT

    #: Called while it holds, so that a test can act in the middle.
    during: ClassVar[Callable[[], None] | None] = None

    def do(self, ctx: ActionContext[SetParams]) -> Output:
        self.world.note("begin", ctx.key)
        while ctx.params.value == "deaf" or not ctx.stop():
            if (during := type(self).during) is not None:
                during()
            ctx.services.clock.sleep(0.1)
            if self.world.get("release") is not None:
                break
        raise ActionError("let go")


def registry(world: World) -> Registry:
    actions: list[Action[Any]] = [
        Set(world),
        Once(world),
        Is(world),
        Hold(world),
        manual.Manual(),
        alert.Clear(),
        wait.WaitFor(),
    ]
    return Registry(actions)


def write_chain(folder: Path, *runbooks: str) -> None:
    for name in ("alerts", "runbooks", "probes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tillwatch.yaml").write_text(CHAIN)
    (folder / "alerts" / "routes.yaml").write_text(ROUTES)
    for text in runbooks:
        id = next(line.removeprefix("id: ") for line in text.splitlines() if line.startswith("id: "))
        (folder / "runbooks" / f"{id}.md").write_text(text)


def read_chain(folder: Path) -> ChainConfig:
    return load(folder, environment={"ERP_PASSWORD": SECRET})


def make_desk(
    folder: Path, database: Database, clock: Clock, *, observe: Callable[[int, str], None] = lambda *_: None
) -> RunbookDesk:
    services = ActionServices(config=read_chain(folder), database=database, clock=clock)
    return RunbookDesk(services, registry=registry(World(folder / "world")), observe=observe)


@dataclass(kw_only=True)
class Bench:
    """A desk on a temporary chain; write runbooks first, then open."""

    folder: Path
    database: Database
    clock: ManualClock
    desk: RunbookDesk

    @property
    def world(self) -> World:
        return World(self.folder / "world")


@pytest.fixture
def bench(tmp_path: Path, sqlite_database: Database, clock: ManualClock) -> Callable[..., Bench]:
    """`bench(*runbooks)` opens a desk on SQLite with these files."""

    def opened(*runbooks: str) -> Bench:
        folder = tmp_path / "chain"
        write_chain(folder, *runbooks)
        desk = make_desk(folder, sqlite_database, clock)
        return Bench(folder=folder, database=sqlite_database, clock=clock, desk=desk)

    return opened
