"""The story driver believes only what the API shows, says what did not happen, and starts nothing twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import ActionError, Cause, SourceRejected, SourceUnavailable
from tillwatch.lab.api import Api
from tillwatch.lab.layout import Lab, Ports
from tillwatch.lab.story import Driver, Fault, Told

LAB = Lab(root=Path("/nowhere"), ports=Ports(erp=1, inbox=2, server=3, prometheus=4))
LINK = {"id": "erp-restart", "url": "/runbooks/erp-restart?incident=7", "params": {"service": "erp"}}


class Chain(Api):
    """A chain that breaks when told to and heals when its runbook has run; a test spoils one part of it."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:3", clock=ManualClock())
        self.broken = False
        self.incident_state = ""
        self.runs: list[dict[str, Any]] = []
        self.posted: list[str] = []
        self.links = [LINK]
        self.page_text = "service: erp"
        self.run_ends_as = "succeeded"
        self.open_incidents = 1
        self.lose_first_answer = False
        self.heals = True
        self.votes = 0
        self.asks_for = "approval"
        self.worker_is_slow = False
        self.lose_vote_answer = False

    def break_down(self, _: Lab) -> None:
        self.broken, self.incident_state = True, "open"

    def get(self, path: str) -> Any:
        if path == "/api/v1/incidents?state=open":
            there = self.open_incidents if self.incident_state == "open" else 0
            return [{"incident": 7, "component": "system:erp"}] * there
        if path == "/api/v1/incidents/7":
            alerts = [{"alertname": "InterfaceDown"}]
            return {"state": self.incident_state, "title": "ERP", "alerts": alerts, "runbooks": self.links}
        if path == "/api/v1/runs?incident=7":
            return list(reversed(self.runs))
        assert path.startswith("/api/v1/runs/")
        seen = dict(self.runs[-1])
        if self.worker_is_slow and self.votes:
            # The vote is stored; the worker, killed meanwhile, moves on only now.
            self.worker_is_slow = False
            self._finish()
        return seen

    def page(self, path: str) -> str:
        assert path == LINK["url"]
        return self.page_text

    def post(self, path: str, body: Any, *, repeat: bool = False) -> Any:  # noqa: ARG002 - the real one's shape
        self.posted.append(path)
        if path == "/api/v1/runs":
            run = {"run": len(self.runs) + 1, "state": f"waiting_{self.asks_for}", "final": False, "reason": ""}
            self.runs.append(run | {"waiting": {"step": "start", "role": "operator"}})
            if self.lose_first_answer:
                self.lose_first_answer = False
                raise SourceUnavailable("the connection broke", cause=Cause.TCP)
            return self.runs[-1]
        if path.endswith("/confirm"):
            self._finish()
        if path.endswith("/approve"):
            assert body["role"] == "operator"
            self.votes += 1
            if self.votes > 1 and self.worker_is_slow:
                raise SourceRejected("demo-manager has voted on this plan already")
            if self.lose_vote_answer:
                self.lose_vote_answer = False
                raise SourceUnavailable("the connection broke", cause=Cause.TCP)
            if self.worker_is_slow:
                return {}
            self._finish()
        return {}

    def _finish(self) -> None:
        self.runs[-1] |= {"state": self.run_ends_as, "final": True, "waiting": {}}
        if self.heals:
            self.broken, self.incident_state = False, "resolved"

    def healthy(self, *_: object) -> None:
        if self.broken:
            raise ActionError("the ERP is down")


class Stage:
    """One telling, with everything it said and whether the fault was cleaned up."""

    def __init__(self, chain: Chain, *, message: int = 7, evidence: Callable[[], None] = lambda: None) -> None:
        self.chain = chain
        self.cleaned = 0
        self.said: list[str] = []
        self.stages: list[str] = []
        self.fault = Fault(
            name="erp-down",
            component="system:erp",
            alertname="InterfaceDown",
            runbook="erp-restart",
            inject=chain.break_down,
            clean=self._clean,
            healthy=chain.healthy,
            evidence=lambda *_: evidence(),
            by_hand=lambda _: chain.posted.append("by hand"),
            repeatable=True,
        )
        self._message = message

    def _clean(self, _: Lab) -> None:
        self.cleaned += 1

    def tell(self) -> Told:
        inbox = [{"message": {"title": "ERP", "incident": {"incident": self._message}}}]
        clock = self.chain._clock
        driver = Driver(LAB, self.chain, clock=clock, say=self.said.append, inbox=lambda: inbox, at=self.stages.append)
        return driver.tell(self.fault)


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_a_story_goes_from_fault_to_clean_recheck_and_runs_the_runbook_twice(chain: Chain) -> None:
    stage = Stage(chain)
    told = stage.tell()
    assert told.incident["state"] == "resolved"
    assert [run["state"] for run in told.runs] == ["succeeded", "succeeded"]
    assert stage.stages == ["incident", "run", "approved", "run", "approved"]
    assert stage.cleaned == 1


def test_what_a_person_does_by_hand_is_done_before_the_step_is_confirmed(chain: Chain) -> None:
    chain.asks_for = "manual"
    stage = Stage(chain)
    assert stage.tell().incident["state"] == "resolved"
    by_hand = [what for what in chain.posted if what in {"by hand", "/api/v1/runs/1/confirm"}]
    assert by_hand == ["by hand", "/api/v1/runs/1/confirm", "by hand"]


def test_a_stored_vote_is_not_given_again_while_the_worker_is_away(chain: Chain) -> None:
    chain.worker_is_slow = True
    stage = Stage(chain)
    assert stage.tell().incident["state"] == "resolved"
    assert stage.stages == ["incident", "run", "approved", "run", "approved"]
    assert chain.votes == 2, "one for each run"


def test_a_vote_whose_answer_was_lost_is_given_again(chain: Chain) -> None:
    chain.lose_vote_answer = True
    assert Stage(chain).tell().incident["state"] == "resolved"
    assert chain.votes == 3


def test_a_lost_answer_does_not_start_a_second_run(chain: Chain) -> None:
    chain.lose_first_answer = True
    Stage(chain).tell()
    assert chain.posted.count("/api/v1/runs") == 2, "one for each of the two intended runs"


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        ({"open_incidents": 2}, "2 open incidents about system:erp; there must be one"),
        ({"open_incidents": 0}, "waited 120 s in vain for the incident"),
        ({"links": []}, "incident 7 suggests no runbook, not erp-restart"),
        ({"page_text": "service:"}, "does not show the parameters service filled in"),
        ({"run_ends_as": "needs_human"}, "run 1 ended as needs_human"),
        ({"heals": False}, "waited 120 s in vain for the incident to be resolved"),
    ],
)
def test_what_does_not_happen_is_named_and_the_fault_is_cleaned_up(
    chain: Chain, spoil: dict[str, object], expected: str
) -> None:
    for name, value in spoil.items():
        setattr(chain, name, value)
    stage = Stage(chain)
    with pytest.raises((ActionError, SourceUnavailable), match=expected):
        stage.tell()
    assert stage.cleaned == 1


def test_a_notification_about_something_else_does_not_count(chain: Chain) -> None:
    with pytest.raises(SourceUnavailable, match="in vain for the notification"):
        Stage(chain, message=8).tell()


def test_wrong_evidence_is_quoted(chain: Chain) -> None:
    def wrong() -> None:
        raise ActionError("injected 3, the audit says 2")

    with pytest.raises(ActionError, match="in vain for the evidence: injected 3, the audit says 2"):
        Stage(chain, evidence=wrong).tell()


def test_nothing_is_injected_into_a_chain_that_is_already_broken(chain: Chain) -> None:
    chain.broken = True
    stage = Stage(chain)
    with pytest.raises(ActionError, match="in vain for a healthy start: the ERP is down"):
        stage.tell()
    assert stage.cleaned == 0
    assert "injecting erp-down" not in stage.said
