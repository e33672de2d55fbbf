"""The short way for alerts never leaves a sender waiting for a store that says nothing."""

from concurrent.futures import Future

import pytest
from tests.support.web_client import Browser
from tests.support.web_world import World, _Ingest

from tillwatch.alerting.ingest import IngestReceipt
from tillwatch.web import intake


def test_a_store_that_says_nothing_is_answered_503_in_time(bad_night: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "ANSWER_SECONDS", 0.05)
    late: Future[IngestReceipt] = Future()
    monkeypatch.setattr(_Ingest, "submit_v2", lambda _self, _body: late)
    answer = Browser(bad_night).post("/api/v2/alerts", content=b"[]")
    assert answer.status_code == 503
    assert "send again" in answer.text
    # What the store says afterwards troubles nobody.
    late.set_result(bad_night.receipt)
