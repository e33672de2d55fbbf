"""What a prober is: it measures one target once and says what it found. Everything else is the frame's work."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from pydantic import BaseModel

from tillwatch.clock import Clock
from tillwatch.config.schema import Interface, Probe, Strict, System
from tillwatch.errors import Cause, SourceUnavailable
from tillwatch.model.probe import Measurement, Outcome
from tillwatch.probers.scrub import scrub
from tillwatch.sources.base import Source

#: A log is read by a person at night and stored with every failing result.
MAX_LOG_LINES = 200
MAX_LOG_CHARACTERS = 500
#: Host probes on machines with many disks and cores stay below this; more is a prober gone wrong.
MAX_MEASUREMENTS = 5_000

_METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class NoOptions(Strict):
    """For probers that take none."""


class Unreachable(SourceUnavailable):
    """The target could not be reached, said in both languages."""

    def __init__(self, message: str, message_zh: str, *, cause: Cause) -> None:
        super().__init__(message, cause=cause)
        self.message_zh = message_zh


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one measurement means. The messages are one sentence each: what is wrong, with the numbers."""

    outcome: Outcome
    cause: Cause = Cause.NONE
    message: str = ""
    #: The same in Chinese, for pages and notifications; the message stands in when a remote system's own words are all
    #: there is.
    message_zh: str = ""


OK = Finding(outcome=Outcome.OK)


@dataclass(frozen=True, kw_only=True)
class Target:
    """Everything a prober may know about what it looks at."""

    probe: Probe
    #: The validated options of this probe, an instance of the prober's own `Options`.
    options: BaseModel
    system: System | None = None
    interface: Interface | None = None
    #: The id of the site this probe speaks about, empty for the whole chain.
    site: str = ""
    #: The live connection of `system`, None when it has none.
    source: Source | None = None
    #: URLs of other systems, to compare clocks with.
    peers: Sequence[str] = ()
    #: Values that must never be seen in a log, a message or evidence.
    secrets: Sequence[str] = field(default=(), repr=False)

    @property
    def timeout_seconds(self) -> float:
        return self.probe.timeout.total_seconds()


class Recorder:
    """Collects phases, measurements, evidence and the debug log of one run. Not thread safe: belongs to one run."""

    def __init__(self, clock: Clock, *, secrets: Sequence[str] = ()) -> None:
        self.clock = clock
        self.phases: dict[str, float] = {}
        self.lines: list[str] = []
        self.facts: dict[str, object] = {}
        #: The phase that is open now; after a timeout it says where we were stuck.
        self.current_phase = ""
        self._measurements: dict[tuple[str, tuple[tuple[str, str], ...]], Measurement] = {}
        self._secrets = secrets
        self._started = clock.monotonic()
        self._lines_dropped = 0

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Time a phase; the time is kept also when it fails. The same name adds up (redirects, retries)."""
        outer, self.current_phase = self.current_phase, name
        begun = self.clock.monotonic()
        try:
            yield
        except BaseException:
            self.phase(name, self.clock.monotonic() - begun)
            raise
        self.phase(name, self.clock.monotonic() - begun)
        self.current_phase = outer

    def phase(self, name: str, seconds: float) -> None:
        self.phases[name] = self.phases.get(name, 0.0) + max(0.0, seconds)

    def measure(self, name: str, value: float, **labels: str) -> None:
        """Keep one number under a Prometheus name. The same name and labels again replace it."""
        for word in (name, *labels):
            if not _METRIC_NAME.fullmatch(word):
                raise ValueError(f"'{word}' is not a metric or label name; use ASCII letters, digits and underscores")
        key = (name, tuple(sorted(labels.items())))
        if key in self._measurements or len(self._measurements) < MAX_MEASUREMENTS:
            self._measurements[key] = Measurement(name=name, value=float(value), labels=labels)

    def log(self, text: str) -> None:
        """One line of the debug log, stamped with the seconds since the start of the run."""
        if len(self.lines) >= MAX_LOG_LINES:
            self._lines_dropped += 1
            return
        seconds = self.clock.monotonic() - self._started
        # Some more than is kept, so that a secret at the edge is still seen whole.
        line = scrub(text[: 4 * MAX_LOG_CHARACTERS], self._secrets)
        if len(text) > MAX_LOG_CHARACTERS:
            line = f"{line[:MAX_LOG_CHARACTERS]}… ({len(text)} characters)"
        self.lines.append(f"{seconds:7.3f}s {line}")

    def evidence(self, key: str, value: object) -> None:
        """A JSON value that goes into the incident."""
        self.facts[key] = _scrubbed(value, self._secrets)

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        return tuple(self._measurements.values())

    def finished_log(self) -> tuple[str, ...]:
        more = (f"… and {self._lines_dropped} more lines",) if self._lines_dropped else ()
        return (*self.lines, *more)


class Prober(Protocol):
    """Looks once. It neither retries, nor waits for a deadline, nor counts: the frame does.

    A prober may raise `SourceUnavailable` and `SourceError`, which carry their cause; the frame turns them, a timeout
    and any other error into a result. It must let `asyncio.CancelledError` through and give back what it opened.
    """

    kind: ClassVar[str]
    Options: ClassVar[type[BaseModel]]

    def problems(self, target: Target) -> Sequence[str]:
        """What is wrong with `target` that can be known without looking: each a sentence with the remedy."""
        ...

    async def measure(self, target: Target, recorder: Recorder) -> Finding: ...


def _scrubbed(value: object, secrets: Sequence[str]) -> object:
    if isinstance(value, str):
        return scrub(value, secrets)
    if isinstance(value, Mapping):
        return {str(key): _scrubbed(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item, secrets) for item in value]
    return value
