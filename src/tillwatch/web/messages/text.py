"""One wording in every language of the pages: a text without its twin cannot be written."""

from typing import NamedTuple


class Text(NamedTuple):
    """Placeholders are `{name}`; a test keeps them equal in both languages."""

    en: str
    zh: str
