"""The lab's own message inbox: a webhook receiver that keeps and shows what it got.

Run as `python -m tillwatch.lab.inbox --lab DIR`.

`POST /hook` stores (a repeat of an Idempotency-Key is answered 200 and counted, not stored twice), `GET /` shows a
page, `GET /messages` answers JSON, oldest first.
"""

import argparse
import html
import json
import sqlite3
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tillwatch.clock import Clock, SystemClock
from tillwatch.lab.layout import Lab
from tillwatch.lab.till_db import instant

#: A notification is a few kilobytes; more is not one.
MAX_BODY_BYTES = 1_048_576
MAX_SHOWN = 200

_SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY, received_at TEXT NOT NULL, key TEXT UNIQUE, repeats INTEGER NOT NULL DEFAULT 0,
  body TEXT NOT NULL);
"""
_PAGE = """<!doctype html><html lang="zh"><meta charset="utf-8"><meta http-equiv="refresh" content="3">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>收件箱 Inbox</title>
<style>body{font:16px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}
article{border-top:1px solid #8886;padding:.8rem 0}time{color:#888}pre{white-space:pre-wrap;font:inherit;margin:.3rem 0}
</style><h1>收件箱 Inbox</h1>"""


class Inbox:
    """The stored messages; safe for the server's threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    def store(self, key: str | None, body: str, received_at: str) -> bool:
        """Keep a message; False when its key was seen before."""
        with self._lock:
            added = self._connection.execute(
                "INSERT INTO messages (received_at, key, body) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
                (received_at, key, body),
            )
            if added.rowcount == 0:
                self._connection.execute("UPDATE messages SET repeats = repeats + 1 WHERE key = ?", (key,))
            return added.rowcount > 0

    def messages(self) -> list[dict[str, Any]]:
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, received_at, key, repeats, body FROM messages ORDER BY id DESC LIMIT ?", (MAX_SHOWN,)
            ).fetchall()
        return [
            {"id": row, "received_at": at, "key": key, "repeats": repeats, "message": json.loads(body)}
            for row, at, key, repeats, body in reversed(rows)
        ]

    def page(self) -> str:
        """Newest first, readable without knowing any format."""
        return _PAGE + "".join(_article(message) for message in reversed(self.messages()))


def _article(stored: dict[str, Any]) -> str:
    document = stored["message"] if isinstance(stored["message"], dict) else {}
    title = html.escape(str(document.get("title") or "(no title)"))
    body = html.escape(str(document.get("body") or json.dumps(stored["message"], ensure_ascii=False)))
    url = str(document.get("url") or "")
    link = f'<a href="{html.escape(url, quote=True)}">{html.escape(url)}</a>' if url.startswith("http") else ""
    return f"<article><time>{stored['received_at']}</time> <b>{title}</b><pre>{body}</pre>{link}</article>"


class _Handler(BaseHTTPRequestHandler):
    inbox: Inbox
    clock: Clock

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            return self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "text/plain", "too large\n")
        body = self.rfile.read(length).decode("utf-8", "replace")
        try:
            json.loads(body)
        except ValueError:
            return self._answer(HTTPStatus.BAD_REQUEST, "text/plain", "not JSON\n")
        self.inbox.store(self.headers.get("Idempotency-Key"), body, instant(self.clock.now()))
        return self._answer(HTTPStatus.OK, "text/plain", "stored\n")

    def do_GET(self) -> None:
        if self.path == "/messages":
            return self._answer(
                HTTPStatus.OK, "application/json", json.dumps(self.inbox.messages(), ensure_ascii=False)
            )
        if self.path == "/":
            return self._answer(HTTPStatus.OK, "text/html", self.inbox.page())
        return self._answer(HTTPStatus.NOT_FOUND, "text/plain", "not here\n")

    def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{content_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def server(path: Path, port: int, clock: Clock) -> ThreadingHTTPServer:
    """A server on loopback over the inbox at `path`; `serve_forever` runs it. Port 0 takes a free one."""
    handler = type("Handler", (_Handler,), {"inbox": Inbox(path), "clock": clock})
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> None:
    parser = argparse.ArgumentParser(prog="tillwatch.lab.inbox", description=__doc__)
    parser.add_argument("--lab", type=Path, required=True)
    lab = Lab.load(parser.parse_args().lab)
    server(lab.inbox, lab.ports.inbox, SystemClock()).serve_forever()


if __name__ == "__main__":
    main()
