"""A declared job that falls silent is an alert, and its return is the end of it."""

from datetime import timedelta

from tests.support.incidents import Router

from tillwatch.alerting.heartbeat import beat
from tillwatch.alerting.ingest import LISTEN_BEFORE_LAPSE_SECONDS
from tillwatch.config.schema import Heartbeat

NIGHTLY = Heartbeat(id="backup", every=timedelta(minutes=10), grace=timedelta(minutes=2), system="erp")
DUE_SECONDS = 12 * 60


def send(router: Router) -> None:
    router.fire(beat(NIGHTLY, router.clock.now()))
    router.ingest.lapse()


def test_a_job_that_reports_in_time_is_no_incident(router: Router) -> None:
    assert DUE_SECONDS > LISTEN_BEFORE_LAPSE_SECONDS
    send(router)
    for _ in range(5):
        router.clock.advance(DUE_SECONDS - 1)
        assert router.ingest.lapse() == 0
        send(router)
    assert router.incidents() == []


def test_a_job_that_is_late_is_a_critical_incident_about_its_system(router: Router) -> None:
    send(router)
    router.clock.advance(DUE_SECONDS)
    router.ingest.lapse()
    (incident,) = router.incidents()
    assert (str(incident.component), incident.severity.value) == ("system:erp", "critical")
    assert "heartbeat/backup" in incident.titles["en"]
    assert router.outbox() == [("opened", "phone", "pending")]


def test_its_return_resolves_the_incident(router: Router) -> None:
    send(router)
    router.clock.advance(DUE_SECONDS)
    router.ingest.lapse()
    router.clock.advance(60)
    send(router)
    assert router.incident().state.value == "resolved"
