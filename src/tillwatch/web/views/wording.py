"""The sentence of the overview in words."""

from collections.abc import Mapping, Sequence

from tillwatch.config.declared import ChainConfig
from tillwatch.model.alert import Episode
from tillwatch.web.formats import Formats
from tillwatch.web.language import Texts
from tillwatch.web.views.incident import incident_view
from tillwatch.web.views.overview import Sentence


def said(
    sentence: Sentence, episodes: Mapping[int, Sequence[Episode]], config: ChainConfig, t: Texts, f: Formats
) -> tuple[str, str]:
    """(the answer, what to add in smaller print)."""
    checked = t("sentence.checked", ago=f.ago(sentence.checked_at)) if sentence.checked_at else ""
    since = f.clock(sentence.since) if sentence.since else ""
    if sentence.incident is not None:
        view = incident_view(sentence.incident, episodes.get(sentence.incident.id, ()), config, t)
        key = "sentence.incident_shops" if view.shops else "sentence.incident"
        main = t(key, headline=view.headline, since=since, n=len(view.shops))
        more = t("sentence.more", n=sentence.n) if sentence.n else ""
        return main, t("sentences").join(part for part in (more, checked) if part)
    if sentence.key == "sentence.no_checks":
        return t(sentence.key), t("sentence.no_checks_fix")
    main = t(sentence.key, n=sentence.n, shops=sentence.shops, hub=_system_name(config, sentence.hub, t), since=since)
    return main, checked


def _system_name(config: ChainConfig, system: str | None, t: Texts) -> str:
    return next((t.name(item.name, item.id) for item in config.systems if item.id == system), "")
