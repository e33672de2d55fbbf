"""Reasons in the reader's language. Reasons are made, stored and searched in English; here is their Chinese. Pure.

A reason may be several sentences, joined by "; ", and a value in one may be a sentence itself: both are translated
piece by piece. What is not ours, an error of a server for example, stays as it is.
"""

import re
from functools import cache

from tillwatch.audit.phrases import PHRASES
from tillwatch.model.audit import AuditReport
from tillwatch.model.text import language_of

_JOINT, _JOINT_ZH = "; ", "；"
#: A value: the shortest that fits, and never across a joint.
_VALUE = r"((?:(?!; ).)+?)"
#: Sentences in sentences, deeper than any reason is made.
_MAX_DEPTH = 6


def reason(text: str, locale: str) -> str:
    """`text` as a reader of `locale` has it."""
    return chinese(text) if language_of(locale) == "zh" else text


def how(report: AuditReport, locale: str) -> str:
    """Why the audit was compared as it was, in the words the run itself found when it had them."""
    told = report.evidence.get("strategy_reason_zh") if language_of(locale) == "zh" else None
    return str(told) if told else reason(report.strategy_reason, locale)


def chinese(text: str, depth: int = _MAX_DEPTH) -> str:
    """The Chinese of a reason, as far as it is made of sentences of ours."""
    parts = text.split(_JOINT)
    said: list[str] = []
    while parts:
        piece, taken = parts[0], 1
        for length in range(len(parts), 0, -1):
            if (found := _sentence(_JOINT.join(parts[:length]), depth)) is not None:
                piece, taken = found, length
                break
        said.append(piece)
        parts = parts[taken:]
    return _JOINT_ZH.join(said)


def _sentence(text: str, depth: int) -> str | None:
    if depth <= 0:
        return None
    if (fixed := PHRASES.get(text)) is not None:
        return fixed
    for pattern, words in _patterns():
        if found := pattern.fullmatch(text):
            return words.format(*(chinese(value, depth - 1) for value in found.groups()))
    return None


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Those with values, the ones that say most first: `{} as {}` fits nearly everything."""
    found = [(english, words) for english, words in PHRASES.items() if "{}" in english]
    found.sort(key=lambda one: (len(one[0].replace("{}", "")), -one[0].count("{}")), reverse=True)
    return tuple(
        (re.compile(_VALUE.join(map(re.escape, english.split("{}"))), re.DOTALL), words) for english, words in found
    )
