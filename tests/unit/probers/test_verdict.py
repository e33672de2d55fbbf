"""Which alert stands after a result."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.probers.fakes import interface, probe, ready

from tillwatch.errors import Cause
from tillwatch.model.alert import Alert
from tillwatch.model.incident import Severity
from tillwatch.model.probe import Outcome, ProbeResult, ProbeState, ProbeStatus
from tillwatch.probers.registry import Ready
from tillwatch.probers.threshold import advance
from tillwatch.probers.verdict import ALERT_NAMES, retired, verdict

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
K, D, F, U = Outcome.OK, Outcome.DEGRADED, Outcome.FAILED, Outcome.UNKNOWN
Run = tuple[Outcome, Cause]


def result(number: int, run: Run) -> ProbeResult:
    outcome, cause = run
    return ProbeResult(
        probe="erp-api",
        outcome=outcome,
        cause=cause,
        started_at=START + timedelta(seconds=15 * number),
        seconds=0.5,
        message="" if outcome is K else f"{cause} trouble",
        phases={"connect": 0.1},
        log=("0.000s looked",),
        evidence={"message_zh": "出错"} if outcome is F else {},
    )


def play(*runs: Run, watched: Ready | None = None) -> tuple[ProbeState, list[tuple[Alert, ...]]]:
    watched = watched or ready(probe=probe(fail_after=2, recover_after=2))
    spec = watched.target.probe
    state, batches = ProbeState(probe=spec.id), []
    for number, run in enumerate(runs):
        counted = result(number, run)
        step = advance(state, counted, fail_after=spec.fail_after, recover_after=spec.recover_after)
        decided = verdict(step, counted, watched)
        state = decided.state
        batches.append(decided.alerts)
    return state, batches


def spelled(alerts: tuple[Alert, ...]) -> list[str]:
    return [f"{'-' if alert.ends_at else '+'}{alert.name}" for alert in alerts]


def test_every_cause_has_a_name() -> None:
    assert set(ALERT_NAMES) == set(Cause)


def test_an_alert_is_raised_at_the_threshold_resent_while_failing_and_ended_by_recovery() -> None:
    _, batches = play((F, Cause.TCP), (F, Cause.TCP), (F, Cause.TCP), (K, Cause.NONE), (K, Cause.NONE), (K, Cause.NONE))
    assert [spelled(batch) for batch in batches] == [
        [],
        ["+InterfaceDown"],
        ["+InterfaceDown"],
        [],
        ["-InterfaceDown"],
        [],
    ]
    starts = {alert.starts_at for batch in batches for alert in batch}
    assert starts == {START + timedelta(seconds=15)}
    assert batches[4][0].ends_at == START + timedelta(seconds=60)


def test_the_labels_identify_and_never_change_while_it_fires() -> None:
    watched = ready(
        probe=probe(fail_after=1, interface="orders-chaoyang"), interface=interface(name={"en": "Orders", "zh": "订单"})
    )
    _, batches = play((F, Cause.DNS), (F, Cause.TIMEOUT), watched=watched)
    labels = {
        "alertname": "InterfaceDown",
        "severity": "critical",
        "probe": "erp-api",
        "system": "erp",
        "interface": "orders-chaoyang",
        "site": "chaoyang",
    }
    assert [alert.labels for batch in batches for alert in batch] == [labels, labels]


def test_labels_that_do_not_apply_are_left_out() -> None:
    _, batches = play((F, Cause.SATURATION), watched=ready(probe=probe(fail_after=1), system=None, site=""))
    assert batches[0][0].labels == {"alertname": "HostSaturated", "severity": "critical", "probe": "erp-api"}


def test_when_the_cause_moves_the_old_alert_ends_and_the_new_starts_in_one_batch() -> None:
    state, batches = play((F, Cause.TCP), (F, Cause.TCP), (F, Cause.APPLICATION), (F, Cause.APPLICATION))
    assert [spelled(batch) for batch in batches[2:]] == [
        ["-InterfaceDown", "+ApplicationFailing"],
        ["+ApplicationFailing"],
    ]
    assert batches[3][0].starts_at == START + timedelta(seconds=30)
    assert state.alertname == "ApplicationFailing"
    assert state.since == START + timedelta(seconds=15)


def test_a_result_that_decides_nothing_leaves_what_stands_and_its_words_alone() -> None:
    state, batches = play((F, Cause.TCP), (F, Cause.TCP), (U, Cause.NONE), (K, Cause.NONE))
    assert batches[2:] == [(), ()]
    assert state.alert_labels["alertname"] == "InterfaceDown"
    assert play((U, Cause.NONE), (U, Cause.NONE))[1] == [(), ()]


def test_a_certificate_that_ends_soon_warns_at_once_although_the_probe_succeeds() -> None:
    _, batches = play((D, Cause.EXPIRY), (F, Cause.TCP), (D, Cause.EXPIRY), (K, Cause.NONE))
    assert [spelled(batch) for batch in batches] == [
        ["+CertificateExpiring"],
        [],
        ["+CertificateExpiring"],
        ["-CertificateExpiring"],
    ]
    assert batches[0][0].labels["severity"] == Severity.WARNING


def test_a_certificate_that_has_ended_takes_the_severity_of_the_probe() -> None:
    _, batches = play((D, Cause.EXPIRY), (F, Cause.EXPIRY), (F, Cause.EXPIRY))
    assert [(spelled((alert,))[0], alert.labels["severity"]) for alert in batches[2]] == [
        ("-CertificateExpiring", "warning"),
        ("+CertificateExpiring", "critical"),
    ]


def test_slowness_alone_raises_nothing() -> None:
    assert play((D, Cause.TIMEOUT), (D, Cause.TIMEOUT), (D, Cause.TIMEOUT))[1] == [(), (), ()]


def test_labels_changed_in_the_files_end_the_old_alert_under_its_old_labels() -> None:
    state, _ = play((F, Cause.TCP), (F, Cause.TCP))
    moved = ready(probe=probe(fail_after=2, severity=Severity.WARNING), site="haidian")
    counted = result(2, (F, Cause.TCP))
    decided = verdict(advance(state, counted, fail_after=2, recover_after=2), counted, moved)
    old, new = decided.alerts
    assert (old.labels["severity"], old.labels["site"], old.ends_at) == ("critical", "chaoyang", counted.started_at)
    assert (new.labels["severity"], new.labels["site"], new.ends_at) == ("warning", "haidian", None)


def test_the_words_are_in_both_languages_and_the_evidence_holds_the_log() -> None:
    _, batches = play((F, Cause.TCP), (F, Cause.TCP))
    alert = batches[1][0]
    assert alert.annotations == {
        "summary": "ERP cannot be reached: tcp trouble",
        "summary_zh": "企业系统无法连接：出错",
        "cause": "tcp",
    }
    assert alert.evidence["probe"] == "erp-api"
    assert alert.evidence["log"] == ["0.000s looked"]
    assert alert.evidence["phases"] == {"connect": 0.1}
    assert alert.evidence["cause"] == "tcp"
    assert alert.source == "probe"


def test_a_late_result_decides_nothing() -> None:
    state, _ = play((F, Cause.TCP), (F, Cause.TCP))
    late = replace(result(0, (K, Cause.NONE)), started_at=START - timedelta(seconds=1))
    decided = verdict(advance(state, late, fail_after=2, recover_after=1), late, ready())
    assert (decided.state, decided.alerts) == (state, ())


def test_a_probe_that_left_the_files_ends_its_alert_with_that_reason() -> None:
    state, _ = play((F, Cause.TCP), (F, Cause.TCP))
    alert = retired(state, START + timedelta(hours=1))
    assert alert.ends_at == START + timedelta(hours=1)
    assert alert.labels == state.alert_labels
    assert alert.annotations["summary"] == "probe 'erp-api' is no longer configured"


runs = st.lists(st.tuples(st.sampled_from([K, D, F, U]), st.sampled_from(list(Cause))), max_size=40)


@given(runs, st.integers(1, 4), st.integers(1, 4))
def test_at_most_one_alert_stands_every_end_has_its_start_and_failing_never_stands_alone(
    played: list[Run], fail_after: int, recover_after: int
) -> None:
    watched = ready(probe=probe(fail_after=fail_after, recover_after=recover_after))
    state, standing = ProbeState(probe="erp-api"), set[str]()
    for number, run in enumerate(played):
        counted = result(number, run)
        step = advance(state, counted, fail_after=fail_after, recover_after=recover_after)
        decided = verdict(step, counted, watched)
        state = decided.state
        for alert in decided.alerts:
            if alert.ends_at is None:
                standing.add(alert.fingerprint)
            else:
                standing.remove(alert.fingerprint)
        assert len(standing) <= 1
        if state.status is ProbeStatus.FAILING:
            assert len(standing) == 1
        assert bool(standing) == bool(state.alert_labels)
