"""The machine we run on, as a system: it has no rows, but probes, incidents and runbooks need a name for it."""

import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from tillwatch.errors import SchemaMismatch
from tillwatch.sources.base import Capabilities, Check, CheckOutcome, Description, Reading, ReadOnly


class HostOptions(BaseModel):
    """Options of a `host` system: none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class HostSource(ReadOnly):
    """Always there while we are; what it is like is the host prober's business."""

    kind: ClassVar[str] = "host"
    capabilities = Capabilities()

    def __init__(self, system: str) -> None:
        self.id = system

    def check(self) -> list[Check]:
        return [Check(name="here", outcome=CheckOutcome.OK)]

    def describe(self) -> Description:
        return Description(
            system=self.id,
            product=platform.system(),
            version=platform.release(),
            datasets={},
            capabilities=self.capabilities,
        )

    def read(
        self,
        dataset: str,
        fields: Sequence[str] | None = None,  # noqa: ARG002
        *,
        since: datetime | None = None,  # noqa: ARG002
        keys: Sequence[Mapping[str, str]] | None = None,  # noqa: ARG002
    ) -> Reading:
        raise SchemaMismatch(f"system {self.id!r} is a host and has no datasets, so no dataset {dataset!r}")

    def close(self) -> None:
        return None
