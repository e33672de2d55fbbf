"""The same nights with people: whatever they order, nobody is woken for what somebody has, and nothing is forgotten."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule
from tests.support.people import people
from tests.unit.incident.test_lifecycle import Lifecycle, World, its_story_is_whole

from tillwatch.config.declared import ChainConfig
from tillwatch.config.schema import Calendar, Receiver
from tillwatch.incident.explain import Kind, Quiet, explain
from tillwatch.model.incident import Incident, IncidentState
from tillwatch.model.notice import DeliveryState, NoticeKind
from tillwatch.oncall.duty import Duty
from tillwatch.store import incidents

SPANS = st.sampled_from([timedelta(minutes=1), timedelta(minutes=30), timedelta(hours=9)])
NAGGING = {NoticeKind.REMINDER, NoticeKind.ESCALATED}


class OnCallLifecycle(Lifecycle):
    """Beside everything else: acknowledgements that run out, that are given back, and snoozes."""

    def chain(self) -> ChainConfig:
        config = people()
        ops = Receiver(id="ops", channels=("inbox",), oncall="primary")
        return replace(
            config,
            receivers=(ops, *config.receivers[1:]),
            calendar=Calendar(quiet_hours="22:00-08:00"),
        )

    @rule(data=st.data(), lasting=SPANS)
    def acknowledge_for_a_while(self, data: st.DataObject, lasting: timedelta) -> None:
        if found := self.look().open():
            self.desk.acknowledge(data.draw(st.sampled_from(found)).id, "li", lasting=lasting)

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        if found := [one for one in self.look().open() if one.state is IncidentState.ACKNOWLEDGED]:
            self.desk.unacknowledge(data.draw(st.sampled_from(found)).id, "li")

    @rule(data=st.data(), lasting=SPANS)
    def snooze(self, data: st.DataObject, lasting: timedelta) -> None:
        if found := [one for one in self.look().open() if one.state is IncidentState.OPEN]:
            self.desk.snooze(data.draw(st.sampled_from(found)).id, "li", lasting)

    @invariant()
    def all_is_well(self) -> None:
        world = self.look()
        self.what_fires_is_in_an_open_incident(world)
        with self.store.read() as connection:
            assert incidents.forgotten(connection) == []
        for incident in world.incidents.values():
            its_story_is_whole(incident, world)
            everybody_is_told_of_the_beginning_once_and_of_the_end_last(incident, world)
            if incident.state is not IncidentState.RESOLVED:
                self.it_is_folded_under_what_explains_it(incident, world)
            self.what_is_quiet_is_quiet(incident, world)

    def what_is_quiet_is_quiet(self, incident: Incident, world: World) -> None:
        """The explanation agrees with the state, and nothing that nags is on its way while somebody is on it."""
        found = explain(incident, Duty.of(self.chain()), self.clock.now())
        waiting = {one.kind for one in world.deliveries[incident.id] if one.state is DeliveryState.PENDING}
        if incident.state is IncidentState.ACKNOWLEDGED and incident.parent is None:
            assert found.quiet is Quiet.ACKNOWLEDGED
            assert not waiting & NAGGING
            assert {one.kind for one in found.coming} <= {Kind.ACKNOWLEDGEMENT_OVER, Kind.OPENING}
        if found.quiet is None:
            assert found.coming


def everybody_is_told_of_the_beginning_once_and_of_the_end_last(incident: Incident, world: World) -> None:
    sent = [one for one in world.deliveries[incident.id] if one.state is not DeliveryState.CANCELLED]
    for recipient in {(one.channel, one.person) for one in sent}:
        kinds = [one.kind for one in sent if (one.channel, one.person) == recipient]
        assert kinds.count(NoticeKind.OPENED) <= 1
        assert NoticeKind.RESOLVED not in kinds[:-1]
        assert kinds[0] in {NoticeKind.OPENED, NoticeKind.ESCALATED, NoticeKind.REMINDER}


TestOnCallLifecycle = OnCallLifecycle.TestCase
TestOnCallLifecycle.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
