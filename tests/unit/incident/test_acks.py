"""Acknowledging by the link of a message, from the message to the timeline."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from tests.support.incidents import GROUP_WAIT, Router, alert
from tests.support.people import people

from tillwatch.incident.acks import KEY, AckLinks, AckState, Opened, signer
from tillwatch.model.ack import LINK_LASTS
from tillwatch.model.incident import IncidentState
from tillwatch.model.notice import DeliveryRecord
from tillwatch.store import incidents, links, outbox
from tillwatch.store.db import Database

LI = "李娜"


@dataclass
class Night:
    """An incident of the ERP that people have been told of, and the links of their messages."""

    router: Router
    links: AckLinks
    secret: bytes

    def fire(self, severity: str = "critical", *, over: bool = False) -> None:
        now = self.router.clock.now()
        one = alert("InterfaceDown", now, severity=severity, system="erp", summary="refused", cause="tcp")
        self.router.fire(replace(one, ends_at=now) if over else one)
        self.router.clock.advance(GROUP_WAIT.total_seconds())

    def sent(self) -> list[DeliveryRecord]:
        with self.router.database.read() as connection:
            return outbox.deliveries(connection, 1)

    def token(self, position: int = 0) -> str:
        """The link of a message that is worded now."""
        with self.router.database.read() as connection:
            document = incidents.document(connection, 1)
        return signer(self.secret)(self.sent()[position], document, self.router.clock.now())

    def open(self, token: str) -> Opened:
        return self.links.open(token, self.router.clock.now())

    def press(self, token: str, *, name: str = "", seen: int | None = None) -> Opened:
        version = self.router.incident().version if seen is None else seen
        return self.links.acknowledge(token, seen=version, name=name, now=self.router.clock.now())

    def entries(self) -> list[tuple[str, str]]:
        with self.router.database.read() as connection:
            return [(one.kind, one.actor) for one in incidents.timeline(connection, 1)]


@pytest.fixture
def night(make_router: Callable[..., Router], database: Database) -> Night:
    router = make_router(database, people())
    secret = links.signing_key(database, KEY, router.clock.now())
    made = Night(
        router=router, links=AckLinks(router.config, database=database, desk=router.desk, secret=secret), secret=secret
    )
    made.fire()
    return made


def _of(night: Night, person: str) -> int:
    return next(number for number, one in enumerate(night.sent()) if one.person == person)


def test_opening_a_link_shows_the_incident_and_changes_nothing(night: Night) -> None:
    token, before = night.token(), night.entries()
    for _ in range(5):
        opened = night.open(token)
    assert opened.state is AckState.READY
    assert opened.incident == night.router.incident()
    assert night.router.incident().state is IncidentState.OPEN
    assert night.entries() == before


def test_pressing_acknowledges_in_the_name_of_the_person_the_message_was_for(night: Night) -> None:
    opened = night.press(night.token(_of(night, "li")), name="eve")
    assert opened.done
    assert opened.state is AckState.USED
    assert night.router.incident().acknowledged_by == LI
    assert ("acknowledged", LI) in night.entries()


def test_a_message_to_nobody_in_particular_takes_the_name_that_is_typed_and_says_by_which_channel(night: Night) -> None:
    position = _of(night, "")
    channel = night.sent()[position].channel
    assert night.press(night.token(position), name=" 王芳 ").done
    assert night.router.incident().acknowledged_by == f"王芳（渠道 {channel}）"


def test_a_link_works_once_and_then_says_by_whom_and_when_it_was_used(night: Night) -> None:
    token = night.token(_of(night, "li"))
    night.press(token)
    used_at = night.router.clock.now()
    night.router.clock.advance(60)
    again = night.press(token)
    assert (again.state, again.done, again.used) == (AckState.USED, False, links.Use(at=used_at, actor=LI))
    night.router.desk.unacknowledge(1, LI)
    assert night.press(token).state is AckState.USED
    assert night.router.incident().state is IncidentState.OPEN


def test_of_many_presses_at_once_one_acknowledges(night: Night) -> None:
    token, version = night.token(_of(night, "li")), night.router.incident().version
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: night.press(token, seen=version), range(8)))
    assert sum(one.done for one in results) == 1
    assert [kind for kind, _ in night.entries()].count("acknowledged") == 1


def test_what_was_not_seen_is_not_acknowledged(night: Night) -> None:
    token, seen = night.token(), night.router.incident().version
    now = night.router.clock.now()
    night.router.fire(alert("SyncStale", now, severity="critical", system="erp", summary="stale"))
    opened = night.press(token, seen=seen)
    assert (opened.state, opened.moved, opened.done) == (AckState.READY, True, False)
    assert night.router.incident().state is IncidentState.OPEN
    assert night.press(token, seen=night.router.incident().version).done


def test_when_somebody_else_is_on_it_a_link_says_so(night: Night) -> None:
    token = night.token(_of(night, "li"))
    night.router.desk.acknowledge(1, "王伟")
    opened = night.press(token)
    assert (opened.state, opened.done) == (AckState.TAKEN, False)
    assert night.router.incident().acknowledged_by == "王伟"


def test_after_the_incident_was_given_back_only_newer_links_work(night: Night) -> None:
    old = night.token(_of(night, "li"))
    night.router.clock.advance(10)
    night.router.desk.acknowledge(1, "王伟")
    night.router.desk.unacknowledge(1, "王伟")
    opened = night.press(old)
    assert (opened.state, opened.since) == (AckState.OUTDATED, night.router.clock.now())
    night.router.clock.advance(1)
    assert night.open(night.token(_of(night, "li"))).state is AckState.READY


def test_a_raised_severity_outdates_the_links_of_the_milder_messages(
    make_router: Callable[..., Router], sqlite_database: Database
) -> None:
    router = make_router(sqlite_database, people())
    acks = AckLinks(router.config, database=sqlite_database, desk=router.desk, secret=b"k" * 32)
    night = Night(router=router, links=acks, secret=b"k" * 32)
    night.fire("warning")
    token = night.token()
    night.router.clock.advance(1)
    now = night.router.clock.now()
    night.router.fire(alert("SyncStale", now, severity="critical", system="erp", summary="stale"))
    assert night.press(token).state is AckState.OUTDATED


def test_a_link_expires(night: Night) -> None:
    token = night.token()
    night.router.clock.advance(LINK_LASTS.total_seconds() - 1)
    assert night.open(token).state is AckState.READY
    night.router.clock.advance(1)
    assert night.press(token).state is AckState.EXPIRED
    assert night.router.incident().state is IncidentState.OPEN


def test_when_the_incident_is_over_there_is_nothing_to_acknowledge(night: Night) -> None:
    token = night.token()
    night.fire(over=True)
    assert night.press(token).state is AckState.RESOLVED
    assert night.token() == ""


def test_a_link_of_another_installation_shows_nothing_of_any_incident(night: Night) -> None:
    with night.router.database.read() as connection:
        document = incidents.document(connection, 1)
    token = signer(b"another" * 5)(night.sent()[0], document, night.router.clock.now())
    for opened in (night.open(token), night.press(token)):
        assert opened == Opened(state=AckState.FOREIGN)


def test_a_link_does_not_fit_another_message_that_got_its_number(night: Night) -> None:
    with night.router.database.read() as connection:
        document = incidents.document(connection, 1)
    other = replace(night.sent()[0], key="1:opened:1:inbox:somebody")
    token = signer(night.secret)(other, document, night.router.clock.now())
    assert night.open(token).state is AckState.FOREIGN


def test_nothing_is_signed_while_somebody_is_on_it(night: Night) -> None:
    night.router.desk.acknowledge(1, "王伟", lasting=timedelta(minutes=5))
    assert night.token() == ""
