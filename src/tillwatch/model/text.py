"""Localised text: one wording per language, picked by the reader's locale."""

from collections.abc import Mapping

#: Wordings by language, `en` and `zh`; either may be missing.
Text = Mapping[str, str]

LANGUAGES = ("en", "zh")


def language_of(locale: str) -> str:
    """`zh-CN`, `zh_Hans`, `zh` → `zh`; everything else reads English."""
    return "zh" if locale.lower().startswith("zh") else "en"


def pick(text: Text, locale: str, fallback: str = "") -> str:
    """The wording for `locale`, else any wording there is, else `fallback` (usually the id)."""
    language = language_of(locale)
    return text.get(language) or next((text[other] for other in LANGUAGES if text.get(other)), fallback)
