"""One session: one login however many ask, a new one when it ended, and never a second try of a refused password."""

import base64
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tillwatch.clock import ManualClock
from tillwatch.errors import AuthRefused, Cause, SchemaMismatch, SourceError, SourceRejected, SourceUnavailable
from tillwatch.sources.base import MemoryBreaker
from tillwatch.sources.http import AnswerLost
from tillwatch.sources.tryton.options import TrytonOptions
from tillwatch.sources.tryton.session import Meter, Session

PASSWORD = "right-§-密码"
LOGIN = "common.db.login"


@dataclass
class FakeTryton:
    """Answers like the real one at the paths of one version."""

    path: str = "/shop/rpc/"
    calls: Counter[str] = field(default_factory=Counter)
    sessions: set[str] = field(default_factory=set)
    #: Next answers by method, before the usual ones.
    scripted: dict[str, list[httpx.Response | Exception]] = field(default_factory=dict)
    last_parameters: list[Any] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        document = json.loads(request.content)
        method = document["method"]
        if request.url.path == "/rpc/" and method == "common.server.version":
            return httpx.Response(200, json={"id": 1, "result": "8.2"})
        if request.url.path != self.path:
            return httpx.Response(405 if self.path.endswith("/rpc/") else 404)
        self.calls[method] += 1
        if self.scripted.get(method):
            answer = self.scripted[method].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        if method == LOGIN:
            return self._login(document["params"])
        if request.headers.get("Authorization") not in self.sessions:
            return httpx.Response(401)
        if method == "common.db.logout":
            self.sessions.discard(request.headers["Authorization"])
        self.last_parameters = document["params"]
        result = {"language": "en", "company": 1} if method.endswith("get_preferences") else [7]
        return httpx.Response(200, json={"id": 1, "result": result})

    def _login(self, parameters: list[Any]) -> httpx.Response:
        if parameters[1]["password"] != PASSWORD:
            return httpx.Response(401)
        token = f"token-{self.calls[LOGIN]}"
        self.sessions.add("Session " + base64.b64encode(f"{parameters[0]}:2:{token}".encode()).decode())
        return httpx.Response(200, json={"id": 1, "result": [2, token, None]})


@pytest.fixture
def tryton() -> FakeTryton:
    return FakeTryton()


def session_with(tryton: FakeTryton, password: str = PASSWORD, breaker: MemoryBreaker | None = None) -> Session:
    options = TrytonOptions.model_validate(
        {"url": "http://erp", "database": "shop", "user": "watch", "password": password, "requests_per_minute": "6000"}
    )
    return Session(
        "erp",
        options,
        clock=ManualClock(),
        breaker=breaker or MemoryBreaker(),
        transport=httpx.MockTransport(tryton),
    )


@pytest.fixture
def session(tryton: FakeTryton) -> Iterator[Session]:
    session = session_with(tryton)
    yield session
    session.close()


def test_many_calls_share_one_login_and_carry_the_users_context(tryton: FakeTryton, session: Session) -> None:
    for _ in range(5):
        assert session.call("sale.sale", "search", [], context={"locations": [3]}) == [7]
    assert tryton.calls[LOGIN] == 1
    assert tryton.last_parameters == [[], {"language": "en", "company": 1, "locations": [3]}]


def test_threads_that_start_together_log_in_once(tryton: FakeTryton, session: Session) -> None:
    threads = [threading.Thread(target=session.call, args=("sale.sale", "search", [])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert tryton.calls[LOGIN] == 1
    assert tryton.calls["model.sale.sale.search"] == 8


def test_closing_logs_off_and_leaves_no_session_behind(tryton: FakeTryton) -> None:
    session = session_with(tryton)
    session.login()
    assert len(tryton.sessions) == 1
    session.close()
    session.close()
    assert tryton.sessions == set()


def test_a_session_that_ended_is_replaced_and_the_call_goes_on(tryton: FakeTryton, session: Session) -> None:
    session.call("sale.sale", "search", [])
    tryton.sessions.clear()
    assert session.call("sale.sale", "search", []) == [7]
    assert tryton.calls[LOGIN] == 2


def test_a_session_refused_at_once_again_is_said_and_not_tried_for_ever(tryton: FakeTryton, session: Session) -> None:
    tryton.scripted["model.sale.sale.search"] = [httpx.Response(401) for _ in range(9)]
    with pytest.raises(SourceError, match="a session opened a moment ago is refused") as failure:
        session.read("sale.sale", "search", [])
    assert failure.value.cause is Cause.SESSION
    assert tryton.calls["model.sale.sale.search"] == 2


def test_a_wrong_password_is_one_login_for_all_sessions_until_it_changes(tryton: FakeTryton) -> None:
    breaker = MemoryBreaker()
    wrong = session_with(tryton, "wrong", breaker)
    for _ in range(3):
        with pytest.raises(AuthRefused) as failure:
            wrong.read("sale.sale", "search", [])
        assert "wrong" not in str(failure.value).replace("wrong password", "")
    with pytest.raises(AuthRefused, match="not tried again"):
        session_with(tryton, "wrong", breaker).login()
    assert tryton.calls[LOGIN] == 1
    session_with(tryton, PASSWORD, breaker).login()
    assert tryton.calls[LOGIN] == 2


def test_a_refusal_inside_a_200_opens_the_breaker_too(tryton: FakeTryton, session: Session) -> None:
    asked = {"id": 1, "error": ["LoginException", ["password", "Password for watch", "password"]]}
    tryton.scripted[LOGIN] = [httpx.Response(200, json=asked)]
    for _ in range(2):
        with pytest.raises(AuthRefused):
            session.login()
    assert tryton.calls[LOGIN] == 1


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(httpx.Response(429), Cause.THROTTLE), (httpx.ReadTimeout("slow"), Cause.TIMEOUT)],
    ids=["throttled", "no answer"],
)
def test_a_login_that_reached_the_server_is_not_repeated_by_a_retry(
    tryton: FakeTryton, session: Session, answer: httpx.Response | Exception, cause: Cause
) -> None:
    tryton.scripted[LOGIN] = [answer, answer, answer]
    with pytest.raises(SourceUnavailable) as failure:
        session.read("sale.sale", "search", [])
    assert failure.value.cause is cause
    assert tryton.calls[LOGIN] == 1


def test_a_read_is_tried_again_and_a_write_is_sent_once(tryton: FakeTryton, session: Session) -> None:
    tryton.scripted["model.sale.sale.search"] = [httpx.Response(503), httpx.ReadError("gone")]
    assert session.read("sale.sale", "search", []) == [7]
    assert tryton.calls["model.sale.sale.search"] == 3
    tryton.scripted["model.sale.sale.create"] = [httpx.ReadError("gone")]
    with pytest.raises(AnswerLost):
        session.call("sale.sale", "create", [])
    assert tryton.calls["model.sale.sale.create"] == 1


def test_an_older_server_answers_under_its_older_path() -> None:
    tryton = FakeTryton(path="/shop/")
    session = session_with(tryton)
    assert session.call("sale.sale", "search", []) == [7]
    assert tryton.calls[LOGIN] == 1
    session.close()
    assert tryton.sessions == set()


def test_a_database_that_is_not_there_says_which_settings_to_check() -> None:
    session = session_with(FakeTryton(path="/other/rpc/"))
    with pytest.raises(SchemaMismatch, match=r"no database 'shop'.*check 'url' and 'database'"):
        session.login()


def test_a_method_the_user_may_not_call_is_a_matter_of_rights(tryton: FakeTryton, session: Session) -> None:
    tryton.scripted["model.sale.sale.search"] = [httpx.Response(403)]
    with pytest.raises(SourceError, match="give it the groups") as failure:
        session.call("sale.sale", "search", [])
    assert failure.value.cause is Cause.AUTHZ


@pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b'"x"', b'{"id": 1}', b'{"result": {"__class__": "Decimal"}}'])
def test_what_is_not_tryton_is_said_so(tryton: FakeTryton, session: Session, body: bytes) -> None:
    tryton.scripted["model.sale.sale.search"] = [httpx.Response(200, content=body)]
    with pytest.raises(SourceRejected, match="Tryton"):
        session.call("sale.sale", "search", [])


def test_a_meter_counts_what_one_reading_cost(session: Session) -> None:
    meter = Meter()
    session.read("sale.sale", "search", [], meter=meter)
    session.read("sale.sale", "search", [], meter=meter)
    session.read("sale.sale", "search", [])
    assert meter.requests == 2
    assert meter.bytes_read > 0


def test_nothing_printed_holds_the_password(session: Session) -> None:
    assert PASSWORD not in repr(session) + repr(session._options) + str(session._options)


def test_the_version_needs_no_login(tryton: FakeTryton, session: Session) -> None:
    assert session.version() == "8.2"
    assert tryton.calls[LOGIN] == 0
