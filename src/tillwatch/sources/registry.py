"""From the systems of a chain directory to sources: options checked all at once, each source opened once and shared."""

import threading
from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from tillwatch.clock import Clock
from tillwatch.config.bind import bind, did_you_mean
from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import System
from tillwatch.errors import ConfigError, Problem, TillwatchError, UsageError
from tillwatch.sources.base import Breaker, MemoryBreaker, Source
from tillwatch.sources.host import HostOptions, HostSource
from tillwatch.sources.odata import ODataOptions, ODataSource
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.tryton import TrytonOptions, TrytonSource

#: Every kind of source, with the model of its options.
OPTIONS: dict[str, type[BaseModel]] = {
    "host": HostOptions,
    "odata": ODataOptions,
    "sql": SqlOptions,
    "tryton": TrytonOptions,
}

M = TypeVar("M", bound=BaseModel)
_Open = Callable[[], Source]


class Sources:
    """One source a system, opened when first asked for, shared by everybody after that: one session, one budget."""

    def __init__(self, openers: dict[str, _Open]) -> None:
        self._openers = openers
        self._lock = threading.Lock()
        self._open: dict[str, Source] = {}

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(self._openers)

    def get(self, system: str) -> Source:
        """Raises UsageError for a system the chain does not have."""
        if system not in self._openers:
            raise UsageError(f"there is no system {system!r}{did_you_mean(system, self._openers, what='systems')}")
        with self._lock:
            if system not in self._open:
                self._open[system] = self._openers[system]()
            return self._open[system]

    def close(self) -> None:
        """Log off everywhere. Every source is closed even when one fails; then the first failure is raised."""
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        failures: list[TillwatchError] = []
        for source in opened:
            try:
                source.close()
            except TillwatchError as error:
                failures.append(error)
        if failures:
            raise failures[0]


def problems(config: ChainConfig) -> list[Problem]:
    """What is wrong with the options of all systems, without connecting to any."""
    found: list[Problem] = []
    for system in config.systems:
        _bound(system, found)
    return found


def build(config: ChainConfig, *, clock: Clock, breakers: Breaker | None = None) -> Sources:
    """Nothing is connected yet. Raises ConfigError with every problem of every system."""
    breaker = breakers or MemoryBreaker()
    found: list[Problem] = []
    openers: dict[str, _Open] = {}
    for system in config.systems:
        options = _bound(system, found)
        if options is not None:
            openers[system.id] = _opener(config, system.id, options, clock, breaker)
    if found:
        raise ConfigError(found)
    return Sources(openers)


def _bound(system: System, found: list[Problem]) -> BaseModel | None:
    model = OPTIONS.get(system.source)
    if model is None:
        hint = did_you_mean(system.source, OPTIONS, what="kinds")
        found.append(
            system.options.place.problem(f"system {system.id!r}: unknown kind of source {system.source!r}{hint}")
        )
        return None
    return bind(system.options, model, where=f"system {system.id!r} ({system.source})", problems=found)


def _opener(config: ChainConfig, system: str, options: BaseModel, clock: Clock, breaker: Breaker) -> _Open:
    if isinstance(options, SqlOptions):
        return lambda: SqlSource(system, options, clock=clock, breaker=breaker, root=config.root)
    if isinstance(options, TrytonOptions):
        return lambda: TrytonSource(system, options, clock=clock, breaker=breaker, zone=config.chain.timezone)
    if isinstance(options, ODataOptions):
        return lambda: ODataSource(system, options, clock=clock, breaker=breaker)
    return lambda: HostSource(system)
