"""Which runbook helps: from the alerts of an incident to links with the parameters filled in."""

from collections.abc import Mapping, Sequence

from tillwatch.config.declared import ChainConfig
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Component, RunbookLink
from tillwatch.runbook.document import Runbook
from tillwatch.runbook.inventory import proposals, resolve


def suggest(
    books: Mapping[str, Runbook], config: ChainConfig, component: Component, episodes: Sequence[Episode], incident: int
) -> tuple[RunbookLink, ...]:
    """One link for each runbook that serves a firing alert, in the order of the alerts.

    Only values that pass the runbook's own checks are filled in; what is missing a person types into the form.
    """
    links: dict[str, RunbookLink] = {}
    for episode in episodes:
        if episode.state is AlertState.RESOLVED:
            continue
        name = episode.labels.get("alertname", "")
        for book in _serving(books, name, _carried(config, episode)):
            if book.id not in links:
                found = proposals(
                    book.head.params,
                    incident=incident,
                    component=component,
                    episodes=episodes,
                    config=config,
                    serves=book.head.serves,
                )
                known = resolve(book.head.params, found, config)
                params = {key: value for key, value in found.items() if key in known.params}
                links[book.id] = RunbookLink(id=book.id, url=link(book.id, incident), params=params)
    return tuple(links.values())


def _serving(books: Mapping[str, Runbook], alert: str, carried: str) -> list[Runbook]:
    """Those written for what the interface carries; where there is none, those written for everything."""
    those = [book for book in books.values() if alert in book.head.serves]
    return [book for book in those if carried in book.head.carries] or [book for book in those if not book.head.carries]


def _carried(config: ChainConfig, episode: Episode) -> str:
    """What the interface of an alert carries; empty when it names none of ours."""
    name = episode.labels.get("interface", "")
    return next((one.carries for one in config.interfaces if one.id == name), "")


def link(runbook: str, incident: int) -> str:
    """The page that shows the runbook with the incident's parameters."""
    return f"/runbooks/{runbook}?incident={incident}"
