"""Regular expressions from configuration: RE2, whose time is linear in the text whatever the pattern says."""

from functools import lru_cache
from typing import Protocol, cast

import re2

#: RE2 refuses a pattern that would compile to more than this.
MAX_PATTERN_MEMORY_BYTES = 8 * 1024 * 1024


class Pattern(Protocol):
    def search(self, text: str) -> object | None: ...


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Pattern:
    """Raises ValueError with RE2's own reason."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_PATTERN_MEMORY_BYTES
    try:
        return cast(Pattern, re2.compile(pattern, options))
    except re2.error as error:
        reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
        raise ValueError(f"'{pattern}' is not an RE2 pattern: {reason}") from error


def valid_pattern(pattern: str) -> str:
    """For pydantic: the pattern itself when it compiles; an empty one means none."""
    if pattern:
        compiled(pattern)
    return pattern
