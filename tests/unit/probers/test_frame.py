"""Whatever a prober does, a result comes out of it."""

import asyncio
from datetime import timedelta

import pytest
from tests.unit.probers.fakes import FakeProber, probe, ready

from tillwatch.clock import ManualClock, SystemClock
from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceUnavailable, StoreError, UsageError
from tillwatch.model.probe import Outcome, ProbeResult
from tillwatch.probers.base import (
    MAX_LOG_LINES,
    OK,
    Finding,
    Recorder,
    Target,
    Unreachable,
)
from tillwatch.probers.frame import run_one


def ran(prober: FakeProber, **changes: object) -> ProbeResult:
    return asyncio.run(run_one(ready(**changes).target, prober, clock=ManualClock()))


def test_a_finding_becomes_a_result_with_time_log_and_evidence() -> None:
    def measure(_: Target, recorder: Recorder) -> Finding:
        with recorder.timing("connect"):
            recorder.clock.sleep(0.5)
        recorder.measure("probe_ip_protocol", 4)
        recorder.evidence("answer", {"text": "hello"})
        return Finding(outcome=Outcome.DEGRADED, cause=Cause.TIMEOUT, message="slow", message_zh="慢")

    result = ran(FakeProber(measure))
    assert (result.outcome, result.cause, result.message) == (Outcome.DEGRADED, Cause.TIMEOUT, "slow")
    assert (result.seconds, result.phases) == (0.5, {"connect": 0.5})
    assert result.evidence == {"answer": {"text": "hello"}, "message_zh": "慢"}
    assert result.log[0].endswith("fake probe erp-api of system erp, timeout 5 s")
    assert result.log[-1].endswith("degraded (timeout) slow")


@pytest.mark.parametrize(
    ("raised", "outcome", "cause", "message"),
    [
        (SourceUnavailable("no route", cause=Cause.DNS), Outcome.FAILED, Cause.DNS, "no route"),
        (Unreachable("refused", "拒绝", cause=Cause.TCP), Outcome.FAILED, Cause.TCP, "refused"),
        (AuthRefused("wrong password"), Outcome.FAILED, Cause.AUTH, "wrong password"),
        (SchemaMismatch("no column x"), Outcome.FAILED, Cause.DATA, "no column x"),
        (TimeoutError("the driver gave up"), Outcome.FAILED, Cause.TIMEOUT, "timed out: the driver gave up"),
        (UsageError("no CA file"), Outcome.UNKNOWN, Cause.NONE, "no CA file"),
        (StoreError("our disk is full"), Outcome.UNKNOWN, Cause.NONE, "our disk is full"),
    ],
)
def test_an_error_has_the_cause_it_carries(raised: Exception, outcome: Outcome, cause: Cause, message: str) -> None:
    result = ran(FakeProber(raised))
    assert (result.outcome, result.cause, result.message) == (outcome, cause, message)


def test_our_own_defect_proves_nothing_about_the_target() -> None:
    result = ran(FakeProber(ZeroDivisionError("division by zero")))
    assert (result.outcome, result.cause) == (Outcome.UNKNOWN, Cause.NONE)
    assert "the fake prober itself failed (ZeroDivisionError: division by zero)" in result.message


def test_problems_of_the_target_are_told_without_measuring() -> None:
    prober = FakeProber()
    prober.found_wrong = ("target 'x' is not host:port",)
    result = ran(prober)
    assert (result.outcome, result.message, prober.calls) == (Outcome.UNKNOWN, "target 'x' is not host:port", 0)


class Hanging(FakeProber):
    async def measure(self, target: Target, recorder: Recorder) -> Finding:  # noqa: ARG002
        with recorder.timing("connect"):
            await asyncio.Event().wait()
        return OK


def test_the_deadline_is_the_frames_and_the_message_names_where_it_hung() -> None:
    target = ready(probe=probe(timeout=timedelta(milliseconds=20))).target
    result = asyncio.run(run_one(target, Hanging(), clock=SystemClock()))
    assert (result.outcome, result.cause) == (Outcome.FAILED, Cause.TIMEOUT)
    assert result.message == "no answer within 0.02 s, stuck in phase connect"
    assert result.evidence["message_zh"] == "0.02 秒内没有响应，停在 connect 阶段"
    assert 0 < result.phases["connect"] <= result.seconds


def test_cancelling_is_not_swallowed() -> None:
    async def scenario() -> None:
        task = asyncio.create_task(run_one(ready().target, Hanging(), clock=SystemClock()))
        await asyncio.sleep(0)  # noqa: TID251 - lets the task start, waits for nothing
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())


def test_secrets_are_taken_out_of_message_log_and_evidence() -> None:
    def leak(_: Target, recorder: Recorder) -> Finding:
        recorder.log("login with geheim-7788")
        recorder.evidence("body", ["token is geheim-7788", {"deep": "geheim-7788"}])
        return Finding(outcome=Outcome.FAILED, message="refused geheim-7788", message_zh="拒绝 geheim-7788")

    assert "geheim-7788" not in repr(ran(FakeProber(leak), secrets=("geheim-7788",)))


def test_an_endless_log_is_cut_and_says_so() -> None:
    def chatter(_: Target, recorder: Recorder) -> Finding:
        for number in range(MAX_LOG_LINES + 10):
            recorder.log("x" * 2000 if number == 0 else f"line {number}")
        return OK

    log = ran(FakeProber(chatter)).log
    assert len(log) == MAX_LOG_LINES + 1
    assert log[-1] == "… and 12 more lines"
    assert log[1].endswith("… (2000 characters)")


@pytest.mark.parametrize("name", ["", "9lives", "a-b", "größe", "a b"])
def test_a_measurement_with_a_name_prometheus_refuses_is_a_defect(name: str) -> None:
    with pytest.raises(ValueError, match="is not a metric or label name"):
        Recorder(ManualClock()).measure(name, 1)


def test_the_same_measurement_twice_is_one_series() -> None:
    recorder = Recorder(ManualClock())
    recorder.measure("node_load1", 1, cpu="0")
    recorder.measure("node_load1", 2, cpu="0")
    recorder.measure("node_load1", 3, cpu="1")
    assert [item.value for item in recorder.measurements] == [2, 3]
