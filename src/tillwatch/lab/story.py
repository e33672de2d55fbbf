"""One story, driven to its end through the public API: fault → incident → notification → runbook → clean re-check.

1. Wait for a steady state: no open incident about the story's component, its checks are fine.
2. Inject the fault.
3. Wait for the one incident about it, and see that its evidence is exactly the fault.
4. See the notification in the lab's own inbox, and the runbook link open with its parameters filled in.
5. Plan, start, approve and confirm as asked, until the run has ended.
6. Wait until the incident is resolved, check again, and see that running it once more changes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tillwatch.clock import Clock
from tillwatch.errors import ActionError, SourceRejected, SourceUnavailable
from tillwatch.lab.api import Api
from tillwatch.lab.layout import Lab

#: A loaded machine with two cores; on an idle one every wait is a few seconds.
STEADY_SECONDS = 120.0
DETECT_SECONDS = 120.0
RUN_SECONDS = 180.0
RESOLVE_SECONDS = 120.0
#: Between two looks that cost the systems something, such as an audit.
CHECK_SECONDS = 1.0
#: Where a test may kill the server: the incident is open, the run is started, a step is approved.
STAGES = ("incident", "run", "approved")
REQUESTER = "demo"
#: The second person where a runbook asks for one.
APPROVER = "demo-manager"

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What a story breaks, and how it is told from everything else that may go wrong meanwhile."""

    name: str
    #: The component of the incident it must open.
    component: str
    alertname: str
    runbook: str
    inject: Callable[[Lab], None]
    #: Takes away what the fault left behind, whatever became of the story.
    clean: Callable[[Lab], None] = lambda _: None
    #: Raises ActionError while the system is not fine; asked before the fault and after the incident is resolved.
    healthy: Callable[[Lab, Api], None] = lambda _, __: None
    #: Raises ActionError while the incident does not show exactly what was injected.
    evidence: Callable[[Lab, Api], None] = lambda _, __: None
    #: What a person does in the systems before confirming a step that asks for it.
    by_hand: Callable[[Lab], None] = lambda _: None
    #: May the runbook run a second time at once, to show that it changes nothing?
    repeatable: bool = False


@dataclass(frozen=True, kw_only=True)
class Told:
    """How the story went."""

    fault: str
    incident: Mapping[str, Any]
    runs: tuple[Mapping[str, Any], ...]
    seconds: Mapping[str, float] = field(default_factory=dict)


class Driver:
    """Drives one story. `at` is called with the name of each stage; a test kills the server there."""

    def __init__(
        self,
        lab: Lab,
        api: Api,
        *,
        clock: Clock,
        say: Say,
        inbox: Callable[[], Sequence[Mapping[str, Any]]],
        at: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._lab = lab
        self._api = api
        self._clock = clock
        self._say = say
        self._inbox = inbox
        self._at = at
        self._asked: set[tuple[int, str, str]] = set()
        self._answered: set[tuple[int, str, str]] = set()
        self._by_hand: Callable[[Lab], None] = lambda _: None

    def tell(self, fault: Fault) -> Told:
        """Raises SourceUnavailable or ActionError saying which part of the story did not happen."""
        self._by_hand = fault.by_hand
        self._say("waiting until everything is fine")
        self._satisfied("a healthy start", lambda: fault.healthy(self._lab, self._api), STEADY_SECONDS)
        self._api.until("no open incident", lambda: self._open(fault) is None or None, seconds=STEADY_SECONDS)
        started = self._clock.monotonic()
        self._say(f"injecting {fault.name}")
        fault.inject(self._lab)
        try:
            incident = self._api.until("the incident", lambda: self._open(fault), seconds=DETECT_SECONDS)
            detected = self._clock.monotonic()
            self._say(f"incident {incident} is open: {self._document(incident)['title']}")
            self._at("incident")
            self._satisfied("the evidence", lambda: fault.evidence(self._lab, self._api), DETECT_SECONDS)
            self._notified(incident)
            link = self._runbook_link(fault, incident)
            runs = [self._run(link, incident)]
            self._resolved(fault, incident)
            resolved = self._clock.monotonic()
            if fault.repeatable:
                self._say("running the runbook once more: nothing may happen twice")
                runs.append(self._run(link, incident))
                self._satisfied("nothing done twice", lambda: fault.healthy(self._lab, self._api), RESOLVE_SECONDS)
        finally:
            fault.clean(self._lab)
        return Told(
            fault=fault.name,
            incident=self._document(incident),
            runs=tuple(runs),
            seconds={"detected": detected - started, "resolved": resolved - started},
        )

    def _open(self, fault: Fault) -> int | None:
        """The open incident about the fault. More than one about the same component is a broken promise."""
        found = [item for item in self._api.get("/api/v1/incidents?state=open") if item["component"] == fault.component]
        if len(found) > 1:
            raise ActionError(f"{len(found)} open incidents about {fault.component}; there must be one")
        if not found:
            return None
        names = {alert["alertname"] for alert in self._document(found[0]["incident"])["alerts"]}
        return int(found[0]["incident"]) if fault.alertname in names else None

    def _document(self, incident: int) -> dict[str, Any]:
        document: dict[str, Any] = self._api.get(f"/api/v1/incidents/{incident}")
        return document

    def _satisfied(self, what: str, check: Callable[[], None], seconds: float) -> None:
        """Wait until `check` raises no more; its last words end up in the error."""
        why = ""

        def look() -> bool | None:
            nonlocal why
            try:
                check()
            except ActionError as error:
                why = str(error)
                return None
            return True

        try:
            self._api.until(what, look, seconds=seconds, every_seconds=CHECK_SECONDS)
        except SourceUnavailable as error:
            raise ActionError(f"{error}{': ' if why else ''}{why}") from error

    def _notified(self, incident: int) -> None:
        def arrived() -> str | None:
            for stored in self._inbox():
                about = stored["message"].get("incident") or {}
                if about.get("incident") == incident:
                    return str(stored["message"].get("title", ""))
            return None

        self._say(f"notification received: {self._api.until('the notification', arrived, seconds=DETECT_SECONDS)}")

    def _runbook_link(self, fault: Fault, incident: int) -> dict[str, Any]:
        """The suggested runbook, whose page shows the parameters already filled in."""
        links = {link["id"]: link for link in self._document(incident)["runbooks"]}
        if fault.runbook not in links:
            raise ActionError(f"incident {incident} suggests {sorted(links) or 'no runbook'}, not {fault.runbook}")
        link: dict[str, Any] = links[fault.runbook]
        path = str(link["url"]).removeprefix(self._api.url)
        page = self._api.page(path)
        empty = [name for name, value in link["params"].items() if str(value) not in page]
        if empty:
            raise ActionError(f"{path} does not show the parameters {', '.join(empty)} filled in")
        self._say(f"runbook {self._api.url}{path}")
        return link

    def _run(self, link: Mapping[str, Any], incident: int) -> dict[str, Any]:
        request = {"params": dict(link["params"]), "incident": incident}
        self._api.post(f"/api/v1/runbooks/{link['id']}/plan", request, repeat=True)
        run = int(self._start(link["id"], request, incident)["run"])
        self._say(f"run {run} of {link['id']}")
        self._at("run")
        document = self._api.until("the end of the run", lambda: self._step(run), seconds=RUN_SECONDS)
        if document["state"] != "succeeded":
            raise ActionError(f"run {run} ended as {document['state']}: {document['reason']}")
        self._say(f"run {run} succeeded")
        return document

    def _start(self, runbook: str, request: Mapping[str, object], incident: int) -> dict[str, Any]:
        """Start it once: when the answer is lost, look whether the run exists before asking again."""
        known = {item["run"] for item in self._api.get(f"/api/v1/runs?incident={incident}")}
        body = {"runbook": runbook, "actor": REQUESTER, **request}

        def started() -> dict[str, Any] | None:
            new = [item for item in self._api.get(f"/api/v1/runs?incident={incident}") if item["run"] not in known]
            if new:
                return dict(new[0])
            try:
                return dict(self._api.post("/api/v1/runs", body))
            except SourceUnavailable:
                return None

        return self._api.until("the run to start", started, seconds=RUN_SECONDS)

    def _step(self, run: int) -> dict[str, Any] | None:
        """Do what the run asks of a person, once; its document once it has ended."""
        document: dict[str, Any] = self._api.get(f"/api/v1/runs/{run}")
        if document["state"] in {"waiting_approval", "waiting_manual"}:
            # The answer stands before the run moves on: a worker that was killed meanwhile moves on later.
            question = (run, document["state"], str(document["waiting"]["step"]))
            if question not in self._answered and self._answer(run, document, again=question in self._asked):
                self._answered.add(question)
                if document["state"] == "waiting_approval":
                    self._at("approved")
            self._asked.add(question)
        return document if document["final"] else None

    def _answer(self, run: int, document: Mapping[str, Any], *, again: bool) -> bool:
        """Approve or confirm. False when nobody knows whether it arrived: then it is asked `again`."""
        waiting = document["waiting"]
        try:
            if document["state"] == "waiting_approval":
                self._say(f"approving step {waiting['step']} as {waiting['role']}")
                vote = {"actor": APPROVER, "role": waiting["role"], "decision": "approve"}
                self._api.post(f"/api/v1/runs/{run}/approve", vote)
            else:
                self._by_hand(self._lab)
                self._say(f"confirming step {waiting['step']}")
                done = {"actor": APPROVER, "step": waiting["step"], "text": "done in the lab"}
                self._api.post(f"/api/v1/runs/{run}/confirm", done)
        except SourceUnavailable:
            return False
        except SourceRejected:
            # Refused the second time: the first had arrived.
            if not again:
                raise
        return True

    def _resolved(self, fault: Fault, incident: int) -> None:
        def closed() -> bool | None:
            return True if self._document(incident)["state"] == "resolved" else None

        self._api.until("the incident to be resolved", closed, seconds=RESOLVE_SECONDS)
        self._satisfied("a clean re-check", lambda: fault.healthy(self._lab, self._api), RESOLVE_SECONDS)
        self._say(f"incident {incident} is resolved")
