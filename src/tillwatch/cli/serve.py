"""`tillwatch serve`: the server. It stops on SIGTERM or Ctrl-C; what was under way is journaled and taken up again."""

import contextlib
import dataclasses
import gc
import ipaddress
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import structlog
import typer
import uvicorn
from fastapi import FastAPI

from tillwatch.app import App, build
from tillwatch.app.reload import Reloader
from tillwatch.cli.context import config, say
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UnavailableError, UsageError
from tillwatch.web.app import create_app
from tillwatch.web.server import WebServer
from tillwatch.web.switch import Switch

#: Requests beyond this wait in the kernel; more at once would only make all of them slow.
MAX_CONNECTIONS = 1000
#: How long open requests (live pages among them) may take to end when the server stops.
GRACE_SECONDS = 5
#: Asked of every caller when the server listens beyond this machine.
TOKEN_VARIABLE = "TILLWATCH_TOKEN"


def serve(
    ctx: typer.Context,
    port: Annotated[int | None, typer.Option("--port", help="Instead of listen.port.", min=0, max=65535)] = None,
) -> None:
    """Run probes, audits, alerts, runbooks and pages until stopped.

    SIGHUP, or POST /-/reload, takes over a changed chain directory; one with a problem changes nothing.
    """
    chain = _listening(config(ctx), port)
    _log_to_stderr()
    door = _bound(chain)
    token = _token(os.environ)
    app = build(chain)

    def application(of: App) -> FastAPI:
        return create_app(dataclasses.replace(of.services, token=token, reload=reloader))

    reloader = Reloader(
        app,
        read=lambda: _listening(config(ctx), port),
        show=lambda after: web.turn_to(application(after)),
        say=say,
    )
    try:
        web = Switch(application(app))
        settings = uvicorn.Config(
            web,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
            limit_concurrency=MAX_CONNECTIONS,
        )
        app.start()
        # What is there now stays for good; without this every full collection walks through it and stops the ingest.
        gc.freeze()
        # Before anybody hears of us: a reload asked for at once must not end the process.
        _on_hangup(reloader)
        host, bound_port = door.getsockname()[:2]
        say(f"tillwatch: {chain.chain.id} on http://{_spelled(host)}:{bound_port}/")
        WebServer(web, settings).run(sockets=[door])
    finally:
        reloader.stop()
        door.close()


def _on_hangup(reloader: Reloader) -> None:
    """SIGHUP reloads, as daemons do. On a thread: the signal comes in the middle of the server's own work."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(
            signal.SIGHUP, lambda *_: threading.Thread(target=reloader.quietly, name="reload", daemon=True).start()
        )


def _token(environment: Mapping[str, str]) -> str:
    """The token itself, or the first line of the file that `…_FILE` names, as containers hand secrets over."""
    path = environment.get(f"{TOKEN_VARIABLE}_FILE", "")
    if not path:
        return environment.get(TOKEN_VARIABLE, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{TOKEN_VARIABLE}_FILE: {path} cannot be read: {error}") from error


def _listening(chain: ChainConfig, port: int | None) -> ChainConfig:
    if port is None:
        return chain
    return dataclasses.replace(chain, listen=chain.listen.model_copy(update={"port": port}))


def _bound(chain: ChainConfig) -> socket.socket:
    """The listening socket, bound before anything else starts, so that a second server on the port does no harm."""
    host, port = chain.listen.host, chain.listen.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as undo:
            door = undo.enter_context(socket.socket(family, kind, protocol))
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            door.bind(address)
            # Refuse now: without listening a second bind to the port would succeed as well.
            door.listen(MAX_CONNECTIONS)
            undo.pop_all()
    except OSError as error:
        raise UnavailableError(
            f"cannot listen on {host}:{port}: {error.strerror or error}; is another server running there? "
            "Change listen in tillwatch.yaml, or give --port"
        ) from error
    return door


def _spelled(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host


def _log_to_stderr() -> None:
    """One JSON object a line when read by a program, words for people on a terminal."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    people = sys.stderr.isatty()
    rendering: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"))]
        if people
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    )
    structlog.configure(
        processors=[*shared, *rendering],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
