"""Each action on its own: what it does, what it refuses, and how it says so."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import httpx
import psutil
import pytest
from tests.support.action_services import DIGEST, Kit, item

from tillwatch.clock import SystemClock
from tillwatch.errors import ActionError, OutcomeUnknown, RefusedError, UsageError
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.audit import Verdict
from tillwatch.model.probe import Outcome
from tillwatch.model.repair import RepairAction
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.actions.base import Happened, Stopped
from tillwatch.runbook.actions.process import matching

SLEEPER = "import time, sys; print('up', flush=True); time.sleep(60)"
STUBBORN = (
    "import signal, time, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
)


@pytest.fixture
def offender() -> Iterator[Callable[[str, str], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str, marker: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code, marker], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_probe_run_means_the_probes_of_the_system_itself(kit: Kit) -> None:
    assert kit.do("probe.run", {"system": "erp"})["failing"] == 0
    assert kit.fakes.calls == [("probes", "erp-tcp", "erp-api")]
    kit.do("probe.run", {"interface": "orders"})
    assert kit.fakes.calls[-1] == ("probes", "orders-fresh")


def test_probe_run_can_ask_for_well_and_for_failing(kit: Kit) -> None:
    with pytest.raises(ActionError, match="nothing fails"):
        kit.do("probe.run", {"system": "erp", "expect": "failing"})
    kit.fakes.outcomes["erp-api"] = Outcome.UNKNOWN
    with pytest.raises(ActionError, match="not well yet: erp-api: unknown") as raised:
        kit.do("probe.run", {"system": "erp", "expect": "ok"})
    assert raised.value.retryable
    kit.fakes.outcomes["erp-api"] = Outcome.FAILED
    assert kit.do("probe.run", {"system": "erp", "expect": "failing"})["failing"] == 1
    with pytest.raises(UsageError, match="unknown probe 'erp-tpc'; did you mean 'erp-tcp'"):
        kit.do("probe.run", {"probes": ["erp-tpc"]})
    with pytest.raises(ActionError, match="no probe watches 'till'"):
        kit.do("probe.run", {"system": "till"})


@pytest.mark.parametrize(
    ("verdict", "expect", "passes"),
    [
        ("clean", "clean", True),
        ("drift", "clean", False),
        ("drift", "any", True),
        ("inconclusive", "any", False),
        ("failed", "clean", False),
    ],
)
def test_an_audit_that_could_not_look_is_never_good(kit: Kit, verdict: str, expect: str, passes: bool) -> None:
    kit.fakes.verdict = Verdict(verdict)
    if passes:
        assert kit.do("audit.run", {"audit": "orders", "expect": expect})["verdict"] == verdict
        return
    with pytest.raises(ActionError, match=f"is {verdict}") as raised:
        kit.do("audit.run", {"audit": "orders", "expect": expect})
    assert raised.value.retryable is (verdict != "drift")


def test_a_repair_is_refused_when_it_is_not_the_one_that_was_approved(kit: Kit) -> None:
    with pytest.raises(ActionError, match="not the one that was approved"):
        kit.do("source.repair", {"plan": "1", "digest": "0" * 64})
    with pytest.raises(ActionError, match="2 documents, more than the 1 allowed"):
        kit.do("source.repair", {"plan": "1", "digest": DIGEST, "max_documents": "1"})
    kit.fakes.items = (item(1), item(2, RepairAction.CORRECT))
    with pytest.raises(ActionError, match=r"does more than source\.replay may: CY-2"):
        kit.do("source.replay", {"plan": "1", "digest": DIGEST})
    assert kit.fakes.effects == []


def test_a_repair_reports_every_document_in_one_list(kit: Kit) -> None:
    output = kit.do("source.repair", {"plan": "1", "digest": DIGEST})
    assert (output["ok"], output["failed"], output["unknown"]) == (["CY-1", "CY-2"], [], [])
    kit.fakes.result = {"ok": (item(1),), "unknown": (item(2),)}
    with pytest.raises(OutcomeUnknown, match="CY-2"):
        kit.do("source.repair", {"plan": "1", "digest": DIGEST})
    kit.fakes.result = {"ok": (), "failed": (item(2),)}
    with pytest.raises(ActionError, match="1 failed, 0 left over"):
        kit.do("source.repair", {"plan": "1", "digest": DIGEST})


def test_an_undo_says_what_still_stands_and_why(kit: Kit) -> None:
    with pytest.raises(ActionError, match="not the one that was approved"):
        kit.do("source.undo", {"plan": "1", "digest": "0" * 64})
    assert kit.fakes.effects == []
    output = kit.do("source.undo", {"plan": "1", "digest": DIGEST})
    assert (output["undone"], output["kept"]) == (["CY-1", "CY-2"], [])
    kit.fakes.undo_result = {"undone": (), "kept": (replace(item(2), reason="not taken back: it is shipped"),)}
    with pytest.raises(ActionError, match="1 documents still stand: not taken back: it is shipped"):
        kit.do("source.undo", {"plan": "1", "digest": DIGEST})
    kit.fakes.undo_result = {"undone": (), "unknown": (item(2),)}
    with pytest.raises(OutcomeUnknown, match="CY-2"):
        kit.do("source.undo", {"plan": "1", "digest": DIGEST})


def test_http_only_goes_to_addresses_of_the_chain_and_follows_nothing(kit: Kit) -> None:
    with pytest.raises(
        RefusedError, match=r"not an address of this chain; declared by systems and probes: http://erp\.test:8000"
    ):
        kit.do("http.probe", {"target": "http://169.254.169.254/"})
    with pytest.raises(RefusedError, match="not an http"):
        kit.do("http.probe", {"target": "file:///etc/passwd"})
    kit.fakes.answer = lambda _: httpx.Response(302, headers={"Location": "http://169.254.169.254/"})
    with pytest.raises(ActionError, match="answered 302, expected 200"):
        kit.do("http.probe", {"target": "http://erp.test:8000/"})
    assert len(kit.fakes.calls) == 1


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_: httpx.Request) -> httpx.Response:
        raise error

    return answer


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (raising(httpx.ConnectError("refused")), ActionError),
        (raising(httpx.ReadTimeout("late")), OutcomeUnknown),
        (lambda _: httpx.Response(502), OutcomeUnknown),
        (lambda _: httpx.Response(422, text="no"), ActionError),
    ],
)
def test_a_request_says_whether_it_may_have_happened(
    kit: Kit, answer: Callable[[httpx.Request], httpx.Response], error: type[ActionError]
) -> None:
    kit.fakes.answer = answer
    with pytest.raises(ActionError) as raised:
        kit.do("http.request", {"target": "http://erp.test:8000/x"})
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (lambda _: httpx.Response(200), Happened.DONE),
        (lambda _: httpx.Response(404), Happened.NOT_DONE),
        (lambda _: httpx.Response(503), Happened.UNKNOWN),
        (raising(httpx.ConnectError("refused")), Happened.UNKNOWN),
    ],
)
def test_whether_a_request_happened_is_looked_up_and_never_guessed(
    kit: Kit, answer: Callable[[httpx.Request], httpx.Response], state: Happened
) -> None:
    kit.fakes.answer = answer
    arguments = {"target": "http://erp.test:8000/x", "happened": {"target": "http://erp.test:8000/x/1"}}
    action = REGISTRY["http.request"]
    assert action.happened(kit.context("http.request", arguments)).state is state
    without = kit.context("http.request", {"target": "http://erp.test:8000/x"})
    assert action.happened(without).state is Happened.UNKNOWN


def test_a_service_is_started_from_its_argument_list(kit: Kit) -> None:
    kit.services = replace(kit.services, clock=SystemClock())
    assert kit.do("process.start_service", {"service": "erp"})["exit_code"] == 0
    assert (kit.folder / "started").read_text() == "x"
    with pytest.raises(UsageError, match="unknown service"):
        kit.do("process.start_service", {"service": "rm -rf /"})
    with pytest.raises(ActionError, match="ended with 3: port in use"):
        kit.do("process.start_service", {"service": "broken"})
    with pytest.raises(ActionError, match="'/no/such/program' cannot be started: No such file"):
        kit.do("process.start_service", {"service": "absent"})
    with pytest.raises(ActionError, match="service 'broken' has no 'stop'"):
        kit.do("process.stop_service", {"service": "broken"})


def test_a_start_command_that_hangs_is_ended(kit: Kit) -> None:
    kit.services = replace(kit.services, clock=SystemClock())
    with pytest.raises(Stopped, match="did not end in time and was killed"):
        kit.do("process.start_service", {"service": "slow"}, timeout=timedelta(seconds=0.2))
    with pytest.raises(Stopped):
        kit.do("process.start_service", {"service": "slow"}, stop=lambda: True)


def test_a_daemon_that_is_left_behind_does_not_hold_the_step(kit: Kit) -> None:
    kit.services = replace(kit.services, clock=SystemClock())
    kit.do("process.start_service", {"service": "daemon"}, timeout=timedelta(seconds=20))
    os.kill(int((kit.folder / "pid").read_text()), signal.SIGKILL)


def test_a_started_program_sees_no_secret_of_ours(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERP_PASSWORD", "geheim-7788")
    kit.services = replace(kit.services, clock=SystemClock())
    kit.do("process.start_service", {"service": "nosy"})
    seen = json.loads((kit.folder / "env").read_text())
    assert "ERP_PASSWORD" not in seen
    assert "PATH" in seen


def test_only_the_named_offender_is_ended(kit: Kit, offender: Callable[[str, str], subprocess.Popen[bytes]]) -> None:
    guilty, innocent = offender(SLEEPER, "tillwatch-test-offender"), offender(SLEEPER, "somebody-else")
    assert kit.do("process.offenders", {"offender": "job"})["count"] == 1
    output = kit.do("process.stop_offender", {"offender": "job"})
    assert [one["pid"] for one in output["ended"]] == [guilty.pid]
    assert not psutil.pid_exists(guilty.pid)
    assert innocent.poll() is None
    assert kit.do("process.stop_offender", {"offender": "job"})["count"] == 0


def test_force_is_used_only_where_the_list_says_so(
    kit: Kit, offender: Callable[[str, str], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tillwatch.runbook.actions.process.TERM_SECONDS", 0.3)
    polite, forced = offender(STUBBORN, "tillwatch-test-offender"), offender(STUBBORN, "tillwatch-test-stubborn")
    with pytest.raises(ActionError, match=r"still runs .*it ignores the signal, set stop: kill"):
        kit.do("process.stop_offender", {"offender": "job"})
    assert polite.poll() is None
    assert kit.do("process.stop_offender", {"offender": "stubborn"})["count"] == 1
    assert not psutil.pid_exists(forced.pid)


def test_we_are_never_an_offender_ourselves(kit: Kit) -> None:
    mine = " ".join(psutil.Process().cmdline())
    wide = kit.config.offender("job").model_copy(update={"argv_contains": mine[:20]})
    assert os.getpid() not in [one.pid for one in matching(wide)]


@pytest.fixture
def shop(kit: Kit) -> Kit:
    connection = sqlite3.connect(kit.folder / "shop.db")
    with connection:
        connection.execute("CREATE TABLE stock (sku TEXT, quantity INTEGER)")
        connection.executemany("INSERT INTO stock VALUES (?, 5)", [("0001",), ("0002",), ("0003",)])
    connection.close()
    return kit


def quantities(kit: Kit) -> list[int]:
    connection = sqlite3.connect(kit.folder / "shop.db")
    try:
        return [row[0] for row in connection.execute("SELECT quantity FROM stock ORDER BY sku")]
    finally:
        connection.close()


def test_a_named_statement_runs_bound_and_capped(shop: Kit) -> None:
    assert shop.do("sql.run", {"statement": "zero", "params": {"sku": "0002"}}) == {"count": 1}
    assert quantities(shop) == [5, 0, 5]
    with pytest.raises(ActionError, match="would change 3 rows, more than 1; nothing was changed"):
        shop.do("sql.run", {"statement": "zero-all"})
    assert quantities(shop) == [5, 0, 5]
    assert shop.do("sql.read", {"statement": "count"})["rows"] == [{"n": "3"}]


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("sql.run", {"statement": "zeor"}, "unknown statement 'zeor'; did you mean 'zero'"),
        ("sql.run", {"statement": "zero", "params": {"sku": "1 OR 1=1"}}, "'sku' does not have the form"),
        ("sql.run", {"statement": "zero"}, "takes exactly these values: sku"),
        ("sql.read", {"statement": "all"}, "returns more than 2 rows"),
        ("sql.read", {"statement": "zero-all"}, "has an effect; use sql.run"),
        ("sql.read", {"statement": "liar"}, "readonly database"),
    ],
)
def test_a_statement_out_of_bounds_is_refused(shop: Kit, name: str, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ActionError, match=message):
        shop.do(name, arguments)
    assert quantities(shop) == [5, 5, 5]


def episode(kit: Kit, state: AlertState, **labels: str) -> Episode:
    now = kit.clock.now()
    return Episode(
        id=1,
        fingerprint="f",
        source="probe",
        labels={"alertname": "InterfaceDown", **labels},
        annotations={},
        starts_at=now,
        state=state,
        ends_at=None,
        lease_until=None,
        updated_at=now,
        incident=1,
    )


def test_alert_clear_looks_again_at_what_raised_the_alert(kit: Kit) -> None:
    seen: list[int] = []

    def episodes(_connection: object, _incident: int) -> tuple[Episode, ...]:
        seen.append(1)
        state = AlertState.RESOLVED if len(seen) > 5 else AlertState.FIRING
        return (episode(kit, state, probe="erp-tcp"),)

    kit.services = replace(kit.services, episodes=episodes)
    assert kit.do("alert.clear", {"within": "1m"}, incident=1) == {"clear": True}
    assert ("probes", "erp-tcp") in kit.fakes.calls


def test_alert_clear_fails_by_name_when_the_alert_stays_and_silence_is_not_clear(kit: Kit) -> None:
    for state in (AlertState.FIRING, AlertState.SILENT):
        alive = (episode(kit, state, probe="erp-tcp"),)

        def episodes(_connection: object, _incident: int, alive: tuple[Episode, ...] = alive) -> tuple[Episode, ...]:
            return alive

        kit.services = replace(kit.services, episodes=episodes)
        with pytest.raises(ActionError, match=r"still firing after 0:00:10: InterfaceDown\(erp-tcp\)"):
            kit.do("alert.clear", {"within": "10s"}, incident=1)


def test_notify_send_wants_a_declared_channel(kit: Kit) -> None:
    text = {"zh": "好", "en": "fine"}
    with pytest.raises(UsageError, match="unknown channel 'opps'; did you mean 'ops'"):
        kit.do("notify.send", {"channels": ["opps"], "text": text})
    kit.do("notify.send", {"channels": ["ops"], "text": text})
    assert kit.fakes.effects == [("notice", "run-1-step-do", ("ops",))]
