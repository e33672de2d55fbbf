"""Texts of the pages, a file a subject, both languages side by side."""

from collections.abc import Mapping

from tillwatch.web.messages import (
    ack,
    audits,
    channels,
    errors,
    frame,
    incidents,
    oncall,
    overview,
    probes,
    runbooks,
    silences,
    timeline,
    validations,
    words,
)
from tillwatch.web.messages.text import Text

TABLES = (
    ack,
    audits,
    channels,
    errors,
    frame,
    incidents,
    oncall,
    overview,
    probes,
    runbooks,
    silences,
    timeline,
    validations,
    words,
)


def merged() -> Mapping[str, Text]:
    """All texts; a key written twice is a mistake that must not pick a winner in silence."""
    texts: dict[str, Text] = {}
    for table in TABLES:
        if twice := texts.keys() & table.MESSAGES.keys():
            raise ValueError(f"{table.__name__}: texts written twice: {', '.join(sorted(twice))}")
        texts.update(table.MESSAGES)
    return texts
