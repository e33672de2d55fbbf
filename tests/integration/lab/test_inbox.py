"""The inbox keeps what it got, once, and shows it safely."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tillwatch.clock import ManualClock
from tillwatch.lab import inbox


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    server = inbox.server(tmp_path / "inbox.db", 0, ManualClock())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def post(url: str, document: object, key: str) -> httpx.Response:
    return httpx.post(f"{url}/hook", json=document, headers={"Idempotency-Key": key}, trust_env=False)


def test_a_message_is_stored_and_shown(url: str) -> None:
    assert post(url, {"title": "ERP 无法连接", "body": "三次失败"}, "a").status_code == 200
    (stored,) = httpx.get(f"{url}/messages", trust_env=False).json()
    assert stored["message"]["title"] == "ERP 无法连接"
    assert "ERP 无法连接" in httpx.get(url, trust_env=False).text


def test_a_repeat_is_counted_and_not_stored_twice(url: str) -> None:
    for _ in range(3):
        assert post(url, {"title": "x"}, "same").is_success
    (stored,) = httpx.get(f"{url}/messages", trust_env=False).json()
    assert stored["repeats"] == 2


def test_what_is_not_json_is_refused_and_not_stored(url: str) -> None:
    assert httpx.post(f"{url}/hook", content=b"hello", trust_env=False).status_code == 400
    assert httpx.get(f"{url}/messages", trust_env=False).json() == []


def test_markup_in_a_message_is_shown_as_text(url: str) -> None:
    post(url, {"title": "<script>alert(1)</script>", "url": "javascript:alert(1)"}, "b")
    page = httpx.get(url, trust_env=False).text
    assert "<script>" not in page
    assert 'href="javascript' not in page


def test_an_oversize_message_is_refused(url: str) -> None:
    response = httpx.post(f"{url}/hook", content=b"[" + b" " * inbox.MAX_BODY_BYTES + b"]", trust_env=False)
    assert response.status_code == 413
