"""Which language a reader gets, and the texts in it."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from tillwatch.web.messages import merged

LANGUAGE_COOKIE = "tillwatch_lang"
ENGLISH = "en"
CHINESE = "zh-CN"
_TEXTS = merged()
#: Keys of localised names in the chain directory.
_SHORT: Mapping[str, str] = {ENGLISH: "en", CHINESE: "zh"}


def negotiate(asked: str | None, remembered: str | None, chain_locale: str) -> str:
    """`?lang=` wins, then the cookie, then the chain's own locale."""
    for wish in (asked, remembered, chain_locale):
        if wish and (known := canonical(wish)):
            return known
    return ENGLISH


def canonical(language: str) -> str | None:
    """`zh`, `zh-CN`, `zh_Hans` are Chinese, `en`, `en-GB` English; anything else is None."""
    short = re.split(r"[-_]", language.strip().lower())[0]
    return {"en": ENGLISH, "zh": CHINESE}.get(short)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """One language: `t("key", name=…)`. A key with `n` picks `key.one` when it exists and n is 1."""

    language: str

    def __call__(self, key: str, **values: object) -> str:
        if values.get("n") == 1 and f"{key}.one" in _TEXTS:
            key = f"{key}.one"
        text = _TEXTS[key]
        return (text.en if self.language == ENGLISH else text.zh).format(**values)

    def loosely(self, key: str, values: Mapping[str, str]) -> str:
        """For data of others: a placeholder without a value stays empty instead of failing the page."""
        text = _TEXTS[key]
        return (text.en if self.language == ENGLISH else text.zh).format_map(defaultdict(str, values))

    def has(self, key: str) -> bool:
        return key in _TEXTS

    def or_raw(self, prefix: str, word: str) -> str:
        """The text for a word of a growing vocabulary, or the word itself: an unknown word is shown, never hidden."""
        key = f"{prefix}.{word}"
        return self(key) if self.has(key) else word

    def name(self, names: Mapping[str, str], fallback: str) -> str:
        """A localised name of the chain directory, in this language, else any, else the id."""
        short = _SHORT[self.language]
        return names.get(short) or names.get(self.language) or next((text for text in names.values() if text), fallback)


@cache
def texts(language: str) -> Texts:
    return Texts(language=language)
