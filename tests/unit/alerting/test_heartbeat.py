"""A declared job that falls silent is an alert, and its return is the end of it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError
from tests.support.incidents import Router

from tillwatch.alerting.heartbeat import beat
from tillwatch.alerting.ingest import LISTEN_BEFORE_LAPSE_SECONDS
from tillwatch.config.schema import Heartbeat

NIGHTLY = Heartbeat(id="backup", every=timedelta(minutes=10), grace=timedelta(minutes=2), system="erp")
DUE_SECONDS = 12 * 60
SHANGHAI = ZoneInfo("Asia/Shanghai")


def send(router: Router) -> None:
    router.fire(beat(NIGHTLY, router.clock.now(), SHANGHAI))
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


def test_a_job_with_a_schedule_is_due_at_its_next_instant_and_late_after_its_grace() -> None:
    backup = Heartbeat(id="backup", schedule="30 2 * * *", grace=timedelta(minutes=45))
    reported = datetime(2026, 11, 24, 2, 41, tzinfo=SHANGHAI)
    assert beat(backup, reported, SHANGHAI).ends_at == datetime(2026, 11, 25, 3, 15, tzinfo=SHANGHAI)
    abroad = backup.model_copy(update={"zone": ZoneInfo("Europe/Berlin")})
    assert beat(abroad, reported, SHANGHAI).ends_at == datetime(2026, 11, 24, 2, 15, tzinfo=UTC)


@pytest.mark.parametrize("due", [{}, {"every": "1h", "schedule": "0 2 * * *"}])
def test_a_job_is_due_by_an_interval_or_by_a_schedule(due: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="either every"):
        Heartbeat.model_validate({"id": "backup", **due})


def expect(router: Router, *declared: Heartbeat) -> None:
    router.ingest.expect(declared, SHANGHAI)


def test_a_job_that_never_reported_is_missing_after_its_first_due_time(router: Router) -> None:
    expect(router, NIGHTLY)
    router.clock.advance(DUE_SECONDS - 1)
    assert router.ingest.lapse() == 0
    router.clock.advance(1)
    router.ingest.lapse()
    (incident,) = router.incidents()
    assert "heartbeat/backup has never reported" in incident.titles["en"]
    send(router)
    assert router.incident().state.value == "resolved"


def test_a_restart_does_not_give_a_missing_job_more_time(router: Router) -> None:
    expect(router, NIGHTLY)
    router.clock.advance(DUE_SECONDS - 60)
    expect(router, NIGHTLY)
    router.clock.advance(60)
    assert router.ingest.lapse() == 1


def test_a_job_that_is_late_is_not_said_to_have_never_reported(router: Router) -> None:
    expect(router, NIGHTLY)
    send(router)
    expect(router, NIGHTLY)
    router.clock.advance(DUE_SECONDS)
    router.ingest.lapse()
    assert "no longer arrives" in router.incident().titles["en"]


def test_a_job_that_left_the_chain_directory_is_missed_no_more(router: Router) -> None:
    expect(router, NIGHTLY)
    router.clock.advance(DUE_SECONDS)
    router.ingest.lapse()
    assert router.incident().state.value == "open"
    expect(router)
    assert router.incident().state.value == "resolved"
    router.clock.advance(DUE_SECONDS)
    assert router.ingest.lapse() == 0


def test_a_job_that_left_before_it_was_due_raises_nothing(router: Router) -> None:
    send(router)
    expect(router)
    router.clock.advance(DUE_SECONDS)
    assert router.ingest.lapse() == 0
    assert router.incidents() == []


def test_a_job_that_is_declared_more_often_is_missed_sooner(router: Router) -> None:
    send(router)
    expect(router, NIGHTLY.model_copy(update={"every": timedelta(minutes=4)}))
    router.clock.advance(6 * 60)
    router.ingest.lapse()
    assert router.incident().state.value == "open"
