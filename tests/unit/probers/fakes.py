"""Small stand-ins for probes, systems and sources."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from pydantic import BaseModel

from tillwatch.config.schema import Interface, Probe, System
from tillwatch.errors import Cause
from tillwatch.model.audit import Row
from tillwatch.model.incident import Severity
from tillwatch.model.probe import Outcome
from tillwatch.probers.base import OK, Finding, NoOptions, Recorder, Target
from tillwatch.probers.registry import Ready
from tillwatch.sources.base import Capabilities, Check, Reading, ReadOnly, Tail

FAILED_TCP = Finding(outcome=Outcome.FAILED, cause=Cause.TCP, message="refused", message_zh="拒绝连接")


def probe(identity: str = "erp-api", **changes: Any) -> Probe:
    values: dict[str, Any] = {
        "id": identity,
        "prober": "fake",
        "every": timedelta(seconds=15),
        "timeout": timedelta(seconds=5),
        "severity": Severity.CRITICAL,
        **changes,
    }
    return Probe(**values)


def system(identity: str = "erp", **changes: Any) -> System:
    return System(id=identity, source="fake", **changes)


def interface(identity: str = "orders-chaoyang", **changes: Any) -> Interface:
    return Interface(id=identity, from_="till", to="erp", carries="orders", **changes)


class FakeProber:
    """Returns what it is told to, in order, the last one for ever."""

    kind: ClassVar[str] = "fake"
    Options: ClassVar[type[BaseModel]] = NoOptions

    def __init__(self, *findings: Finding | BaseException | Callable[[Target, Recorder], Finding]) -> None:
        self.findings = list(findings) or [OK]
        self.calls = 0
        self.found_wrong: Sequence[str] = ()

    def problems(self, target: Target) -> Sequence[str]:  # noqa: ARG002
        return self.found_wrong

    async def measure(self, target: Target, recorder: Recorder) -> Finding:
        self.calls += 1
        await asyncio.sleep(0)  # noqa: TID251 - gives up control once, waits for nothing
        found = self.findings[0] if len(self.findings) == 1 else self.findings.pop(0)
        if isinstance(found, BaseException):
            raise found
        return found if isinstance(found, Finding) else found(target, recorder)


def ready(prober: FakeProber | None = None, **changes: Any) -> Ready:
    """A ready probe about the interface orders-chaoyang of the system erp in the shop chaoyang."""
    values: dict[str, Any] = {
        "probe": probe(),
        "options": NoOptions(),
        "system": system(name={"en": "ERP", "zh": "企业系统"}),
        "site": "chaoyang",
        **changes,
    }
    return Ready(target=Target(**values), prober=prober or FakeProber())


class FakeSource(ReadOnly):
    """Rows by dataset, and whatever check should say."""

    kind: ClassVar[str] = "fake"

    def __init__(
        self, rows: Mapping[str, Sequence[Row]] | None = None, *, checks: Sequence[Check] = (), since: bool = True
    ) -> None:
        self.id = "erp"
        self.capabilities = Capabilities(since=since)
        self.rows = rows or {}
        self.checks = list(checks)
        self.asked: list[tuple[str, datetime | None]] = []

    def check(self) -> list[Check]:
        return self.checks

    def describe(self) -> Any:
        raise NotImplementedError

    def read(
        self,
        dataset: str,
        fields: Sequence[str] | None = None,  # noqa: ARG002
        *,
        since: datetime | None = None,
        keys: object = None,  # noqa: ARG002
    ) -> Reading:
        self.asked.append((dataset, since))
        found = [row for row in self.rows[dataset] if since is None or _time(row) >= since]

        def batches() -> Iterator[list[Row]]:
            yield found

        return Reading(batches(), lambda: Tail(rows=len(found)), lambda: None)

    def close(self) -> None:
        return None


def _time(row: Row) -> datetime:
    value = row["changed_at"]
    assert isinstance(value, datetime)
    return value
