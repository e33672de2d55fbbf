"""One tree of errors. The class is the meaning; `retryable` tells callers whether trying again can help.

TillwatchError
├── ConfigError            the chain directory is wrong; carries every problem, not the first        exit 2
│   └── RunbookError       a runbook file is wrong
├── UsageError             the caller asked for something that does not exist or makes no sense      exit 2
├── RefusedError           policy, approval or a kill switch says no                                 exit 4
├── UnavailableError       something we depend on is not there; trying again can help                exit 3
│   ├── StoreError         our own database: full, locked, unreachable
│   └── SourceUnavailable  a business system: network, timeout, throttled, 5xx
├── SourceError            a business system answered, and the answer is no                          exit 3
│   ├── AuthRefused        credentials refused: never tried twice
│   ├── SourceRejected     the system refused this one request for a business reason
│   └── SchemaMismatch     a declared dataset or column is not there
├── DeliveryError          a channel refused a message, or could not be reached
└── ActionError            a runbook action failed
    └── OutcomeUnknown     nobody can tell whether it happened; a person decides
"""

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Cause(enum.StrEnum):
    """Why a check or a call did not succeed: the first stage that failed."""

    NONE = ""
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    TIMEOUT = "timeout"
    AUTH = "auth"
    AUTHZ = "authz"
    SESSION = "session"
    THROTTLE = "throttle"
    APPLICATION = "application"
    DATA = "data"
    EXPIRY = "expiry"
    BACKLOG = "backlog"
    CALENDAR = "calendar"
    SATURATION = "saturation"


class TillwatchError(Exception):
    """Anything we raise on purpose."""

    retryable = False
    exit_code = 3


@dataclass(frozen=True, kw_only=True, order=True)
class Problem:
    """One thing wrong in one file, in words a person can act on."""

    file: str
    line: int = 0
    column: int = 0
    message: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ConfigError(TillwatchError):
    """The chain directory is wrong. `problems` holds all of them, ordered by file and line."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class RunbookError(ConfigError):
    """A runbook file is wrong."""


class UsageError(TillwatchError):
    """The caller asked for something that does not exist or makes no sense."""

    exit_code = 2


class RefusedError(TillwatchError):
    """Policy, a missing approval or a kill switch says no."""

    exit_code = 4


class UnavailableError(TillwatchError):
    """Something we depend on is not there now; trying again can help."""

    retryable = True


class StoreError(UnavailableError):
    """Our own database is full, locked or unreachable. What was not stored was not acknowledged."""


class SourceUnavailable(UnavailableError):
    """A business system cannot be reached, timed out or throttles us."""

    def __init__(self, message: str, *, cause: Cause, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.cause = cause
        self.retry_after_seconds = retry_after_seconds


class SourceError(TillwatchError):
    """A business system answered, and the answer is no."""

    cause: Cause = Cause.APPLICATION


class AuthRefused(SourceError):
    """Credentials were refused. Never tried again until they change or an operator re-arms the source."""

    cause = Cause.AUTH


class SourceRejected(SourceError):
    """The system refused this one request for a business reason; its own words are in the message."""

    cause = Cause.APPLICATION


class SchemaMismatch(SourceError):
    """A declared dataset, table or column is not there."""

    cause = Cause.DATA


class DeliveryError(TillwatchError):
    """A channel refused a message or could not be reached."""

    def __init__(
        self, message: str, *, retryable: bool, code: str = "", retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.code = code
        self.retry_after_seconds = retry_after_seconds


class ActionError(TillwatchError):
    """A runbook action failed."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class OutcomeUnknown(ActionError):
    """Nobody can tell whether the effect happened; a person decides, we never repeat it blindly."""
