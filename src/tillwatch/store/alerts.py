"""Alert episodes and the quarantine."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, delete, func, insert, literal_column, or_, select, update

from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Severity
from tillwatch.store.bulk import BulkInsert
from tillwatch.store.numbers import reserve
from tillwatch.store.tables.alerts import episodes, quarantine

#: Parameters of one statement; SQLite refuses more than 32 766.
_MAX_IN_ONE_STATEMENT = 500
_INSERT = BulkInsert(episodes, [column.name for column in episodes.c])
_ATTACH = update(episodes).where(episodes.c.id == bindparam("row")).values(incident=bindparam("to"))
#: Of one incident's live alerts so many are weighed for its title, evidence and receivers.
MAX_WEIGHED = 10
#: Of one incident's alerts so many are shown; the rest is counted. Nobody reads on, and a storm has a hundred thousand.
MAX_SHOWN = 500
#: Audits about one component; more would be a mistake in the files.
MAX_AUDITS = 1_000
#: Written out, not bound: only then do the databases see that the index of live alerts fits.
_LIVE = episodes.c.state != literal_column(f"'{AlertState.RESOLVED.value}'")
_WEIGHT = (episodes.c.rank, episodes.c.starts_at, episodes.c.id)
_KNOWN = select(episodes).where(
    episodes.c.family == bindparam("family"),
    episodes.c.fingerprint.in_(bindparam("prints", expanding=True)),
    or_(_LIVE, episodes.c.starts_at.in_(bindparam("instants", expanding=True))),
)
_COUNT_LIVE = (
    select(episodes.c.incident, func.count())
    .where(episodes.c.incident.in_(bindparam("incidents", expanding=True)), _LIVE)
    .group_by(episodes.c.incident)
)
_LIVE_OF_SMALL = (
    select(episodes).where(episodes.c.incident.in_(bindparam("incidents", expanding=True)), _LIVE).order_by(*_WEIGHT)
)
_WORST = select(episodes).where(episodes.c.incident == bindparam("of"), _LIVE).order_by(*_WEIGHT).limit(MAX_WEIGHED)
_AUDITS = (
    select(episodes)
    .where(episodes.c.incident == bindparam("of"), _LIVE, episodes.c.source == "audit")
    .order_by(*_WEIGHT)
    .limit(MAX_AUDITS)
)
#: A poison body is kept to find its sender, not to be replayed.
MAX_QUARANTINED_CHARACTERS = 65_536
#: The oldest beyond this are dropped; the count of all that ever arrived is in the metrics.
MAX_QUARANTINED = 10_000


def known(
    connection: Connection, family: str, fingerprints: Collection[str], starts: Collection[datetime]
) -> list[Episode]:
    """The episodes a batch of messages can touch: those not over, and those that began at one of `starts`."""
    found: dict[int, Episode] = {}
    for prints in _chunks(sorted(set(fingerprints))):
        for instants in _chunks(sorted(set(starts))):
            values = {"family": family, "prints": prints, "instants": instants}
            rows = connection.execute(_KNOWN, values).mappings()
            found.update({row["id"]: _episode(row) for row in rows})
    return list(found.values())


def numbers(connection: Connection, count: int) -> list[int]:
    """Numbers for episodes to `add` in this transaction."""
    return reserve(connection, episodes, count)


def add(connection: Connection, family: str, new: Sequence[Episode]) -> None:
    """Store new episodes under the numbers they carry."""
    _INSERT.run(
        connection,
        [
            {
                "id": episode.id,
                "family": family,
                "fingerprint": episode.fingerprint,
                "alertname": episode.name,
                "rank": Severity.of(episode.labels).rank,
                "labels": episode.labels,
                "starts_at": episode.starts_at,
                "incident": episode.incident,
                **_changing(episode),
            }
            for episode in new
        ],
    )


def save(connection: Connection, changed: Sequence[Episode]) -> None:
    """Store what can change of episodes that are there already."""
    if changed:
        columns: dict[str, Any] = {name: bindparam(name) for name in _changing(changed[0])}
        connection.execute(
            update(episodes).where(episodes.c.id == bindparam("row")).values(**columns),
            [{"row": episode.id, **_changing(episode)} for episode in changed],
        )


def attach(connection: Connection, placed: Mapping[int, int]) -> None:
    """Say which incident (the values) these episodes (the keys) belong to."""
    if placed:
        connection.execute(_ATTACH, [{"row": id, "to": incident} for id, incident in placed.items()])


def lapsed(connection: Connection, now: datetime, limit: int) -> list[Episode]:
    """Firing episodes whose lease has run out, the longest ago first."""
    return _query(
        connection,
        select(episodes)
        .where(episodes.c.state == AlertState.FIRING.value, episodes.c.lease_until <= now)
        .order_by(episodes.c.lease_until, episodes.c.id)
        .limit(limit),
    )


def active(connection: Connection, *, limit: int = 10_000) -> list[Episode]:
    """Everything not known to be over, newest first."""
    return _query(
        connection,
        select(episodes)
        .where(episodes.c.state != AlertState.RESOLVED.value)
        .order_by(episodes.c.starts_at.desc(), episodes.c.id.desc())
        .limit(limit),
    )


def firing(connection: Connection, names: Collection[str] | None, *, limit: int) -> list[Episode]:
    """Alerts that fire, of these names (of any when None), the oldest first."""
    query = select(episodes).where(_LIVE, episodes.c.state == AlertState.FIRING.value)
    if names is not None:
        query = query.where(episodes.c.alertname.in_(sorted(names)))
    return _query(connection, query.order_by(episodes.c.id).limit(limit))


def live(connection: Connection, incident: int) -> Iterable[Episode]:
    """Every live alert of an incident, read in parts: whoever looks for one that is different may stop early."""
    after = 0
    while True:
        query = select(episodes).where(episodes.c.incident == incident, episodes.c.id > after, _LIVE)
        part = _query(connection, query.order_by(episodes.c.id).limit(_MAX_IN_ONE_STATEMENT))
        yield from part
        if len(part) < _MAX_IN_ONE_STATEMENT:
            return
        after = part[-1].id


def latest(connection: Connection, *, limit: int, before: int | None = None) -> list[Episode]:
    """All episodes, newest first; `before` pages on from an id."""
    query = select(episodes).order_by(episodes.c.id.desc()).limit(limit)
    return _query(connection, query if before is None else query.where(episodes.c.id < before))


def of_incidents(connection: Connection, incidents: Collection[int]) -> dict[int, list[Episode]]:
    """The episodes of each incident, oldest first; of an incident with very many the MAX_SHOWN worst that live."""
    found: dict[int, list[Episode]] = {incident: [] for incident in incidents}
    counts = count_of_incidents(connection, found)
    small = sorted(id for id, count in counts.items() if count <= MAX_SHOWN)
    for chunk in _chunks(small):
        query = select(episodes).where(episodes.c.incident.in_(chunk)).order_by(episodes.c.id)
        for episode in _query(connection, query):
            assert episode.incident is not None
            found[episode.incident].append(episode)
    for incident in set(counts).difference(small):
        query = select(episodes).where(episodes.c.incident == incident)
        mine = _query(connection, query.where(_LIVE).order_by(*_WEIGHT).limit(MAX_SHOWN))
        found[incident] = mine or _query(connection, query.order_by(episodes.c.id.desc()).limit(MAX_SHOWN))
    return found


def worst(of: Iterable[Episode]) -> list[Episode]:
    """What `live_of_incidents` would find, if `of` were all the episodes of one incident."""
    live = sorted(
        (episode for episode in of if episode.is_live),
        key=lambda episode: (Severity.of(episode.labels).rank, episode.starts_at, episode.id),
    )
    audits = [episode for episode in live[MAX_WEIGHED:] if episode.source == "audit"]
    return [*live[:MAX_WEIGHED], *audits[:MAX_AUDITS]]


def live_of_incidents(connection: Connection, incidents: Collection[int]) -> dict[int, list[Episode]]:
    """The live episodes of each incident that say what it is about: the worst ones, the oldest of equal ones first.

    At most MAX_WEIGHED of one incident, and all of our own audits beside them, for their money. A storm of ten thousand
    alerts in one incident is then no slower to add to than a handful. None for an incident means that none lives.
    """
    found: dict[int, list[Episode]] = {incident: [] for incident in incidents}
    if not found:
        return found
    small = [id for id, count in _live_counts(connection, incidents).items() if count <= MAX_WEIGHED]
    for chunk in _chunks(sorted(small)):
        for row in connection.execute(_LIVE_OF_SMALL, {"incidents": chunk}).mappings():
            found[row["incident"]].append(_episode(row))
    for incident in set(found).difference(small):
        both = [*connection.execute(_WORST, {"of": incident}).mappings()]
        both += connection.execute(_AUDITS, {"of": incident}).mappings()
        found[incident] = list({row["id"]: _episode(row) for row in both}.values())
    return found


def count_of_incidents(connection: Connection, incidents: Collection[int]) -> dict[int, int]:
    """How many episodes each incident has had."""
    if not incidents:
        return {}
    query = select(episodes.c.incident, func.count()).where(episodes.c.incident.in_(sorted(incidents)))
    return {row[0]: row[1] for row in connection.execute(query.group_by(episodes.c.incident))}


def firing_names(connection: Connection, incident: int) -> list[str]:
    """The names of the alerts of an incident that fire, each once."""
    firing = (episodes.c.incident == incident, episodes.c.state == AlertState.FIRING.value)
    return sorted(connection.execute(select(episodes.c.alertname).where(*firing).distinct()).scalars())


def _live_counts(connection: Connection, incidents: Collection[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for chunk in _chunks(sorted(incidents)):
        counts.update({row[0]: row[1] for row in connection.execute(_COUNT_LIVE, {"incidents": chunk})})
    return counts


def set_aside(connection: Connection, *, source: str, reason: str, body: str, now: datetime) -> None:
    """Keep one item that could not be taken, with the reason."""
    clean = (text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode() for text in (reason, body))
    reason, body = (text[:MAX_QUARANTINED_CHARACTERS] for text in clean)
    connection.execute(insert(quarantine).values(received_at=now, source=source, reason=reason, body=body))
    newest = select(func.max(quarantine.c.id)).scalar_subquery()
    connection.execute(delete(quarantine).where(quarantine.c.id <= newest - MAX_QUARANTINED))


def quarantined(connection: Connection, *, limit: int) -> list[dict[str, Any]]:
    """What was set aside, newest first: id, received_at, source, reason, body."""
    query = select(quarantine).order_by(quarantine.c.id.desc()).limit(limit)
    return [dict(row) for row in connection.execute(query).mappings()]


def _chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (items[start : start + _MAX_IN_ONE_STATEMENT] for start in range(0, len(items), _MAX_IN_ONE_STATEMENT))


def _query(connection: Connection, query: Any) -> list[Episode]:
    return [_episode(row) for row in connection.execute(query).mappings()]


def _changing(episode: Episode) -> dict[str, Any]:
    return {
        "source": episode.source,
        "annotations": dict(episode.annotations),
        "state": episode.state.value,
        "ends_at": episode.ends_at,
        "lease_until": episode.lease_until,
        "updated_at": episode.updated_at,
        "generator_url": episode.generator_url,
        "evidence": dict(episode.evidence),
    }


def _episode(row: RowMapping) -> Episode:
    return Episode(
        id=row["id"],
        fingerprint=row["fingerprint"],
        source=row["source"],
        labels=row["labels"],
        annotations=row["annotations"],
        starts_at=row["starts_at"],
        state=AlertState(row["state"]),
        ends_at=row["ends_at"],
        lease_until=row["lease_until"],
        updated_at=row["updated_at"],
        incident=row["incident"],
        generator_url=row["generator_url"],
        evidence=row["evidence"],
    )
