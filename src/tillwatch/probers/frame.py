"""What surrounds every measurement: the deadline, the clock, the log, and turning any error into a result."""

import asyncio

from tillwatch.clock import Clock
from tillwatch.errors import Cause, SourceError, SourceUnavailable, TillwatchError
from tillwatch.model.probe import Outcome, ProbeResult
from tillwatch.probers.base import Finding, Prober, Recorder, Target, Unreachable
from tillwatch.probers.scrub import scrub


async def run_one(target: Target, prober: Prober, *, clock: Clock) -> ProbeResult:
    """Run `prober` once against `target` and always return a result, unless we are cancelled.

    1. A finding is taken as it is.
    2. Running out of time is failed/timeout, and the message names the phase we were stuck in.
    3. `SourceUnavailable` and `SourceError` are failed with their own cause.
    4. Anything else is a fault of ours and says nothing about the target: unknown, which raises no alert by itself;
       the rule ProbeUnknown catches a probe that stays so.
    """
    recorder = Recorder(clock, secrets=target.secrets)
    started_at, begun = clock.now(), clock.monotonic()
    where = f" on {target.probe.target}" if target.probe.target else ""
    system = f" of system {target.system.id}" if target.system else ""
    recorder.log(f"{prober.kind} probe {target.probe.id}{system}{where}, timeout {target.timeout_seconds:g} s")
    finding = await _measured(target, prober, recorder)
    seconds = max(0.0, clock.monotonic() - begun)
    recorder.log(f"{finding.outcome}{f' ({finding.cause})' if finding.cause else ''} {finding.message}".rstrip())
    if finding.message_zh:
        recorder.evidence("message_zh", finding.message_zh)
    return ProbeResult(
        probe=target.probe.id,
        outcome=finding.outcome,
        started_at=started_at,
        seconds=seconds,
        cause=finding.cause,
        message=scrub(finding.message, target.secrets),
        phases=dict(recorder.phases),
        measurements=recorder.measurements,
        log=recorder.finished_log(),
        evidence=dict(recorder.facts),
    )


async def _measured(target: Target, prober: Prober, recorder: Recorder) -> Finding:
    if problems := prober.problems(target):
        return Finding(outcome=Outcome.UNKNOWN, message="; ".join(problems))
    deadline = asyncio.timeout(target.timeout_seconds)
    try:
        async with deadline:
            return await prober.measure(target, recorder)
    except TimeoutError as error:
        if deadline.expired():
            return _timed_out(target, recorder)
        # A timeout of the operating system or of a driver, earlier than ours.
        return Finding(
            outcome=Outcome.FAILED, cause=Cause.TIMEOUT, message=f"timed out: {error}", message_zh=f"超时：{error}"
        )
    except Unreachable as error:
        return Finding(
            outcome=Outcome.FAILED, cause=error.cause, message=str(error), message_zh=scrub(error.message_zh)
        )
    except (SourceUnavailable, SourceError) as error:
        return Finding(outcome=Outcome.FAILED, cause=error.cause, message=str(error))
    except TillwatchError as error:
        # Our own store or our own files: it says nothing about the target.
        return Finding(outcome=Outcome.UNKNOWN, message=str(error))
    except Exception as error:
        recorder.log(f"the prober failed: {type(error).__name__}: {error}")
        return Finding(
            outcome=Outcome.UNKNOWN,
            message=f"the {prober.kind} prober itself failed ({type(error).__name__}: {error}); report this",
            message_zh=f"{prober.kind} 探测程序自身出错（{type(error).__name__}：{error}），请反馈",
        )


def _timed_out(target: Target, recorder: Recorder) -> Finding:
    stuck = f", stuck in phase {recorder.current_phase}" if recorder.current_phase else ""
    stuck_zh = f"，停在 {recorder.current_phase} 阶段" if recorder.current_phase else ""
    seconds = f"{target.timeout_seconds:g}"
    return Finding(
        outcome=Outcome.FAILED,
        cause=Cause.TIMEOUT,
        message=f"no answer within {seconds} s{stuck}",
        message_zh=f"{seconds} 秒内没有响应{stuck_zh}",
    )
