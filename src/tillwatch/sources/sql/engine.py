"""One read-only engine per database. Whatever a dataset's query says, the connection cannot change a row."""

import ipaddress
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool

from tillwatch.sources.sql.options import SqlOptions

#: Connections a system may hold open: one long audit, one probe, one look-up beside them.
POOL_CONNECTIONS = 3
#: A till that is just committing holds its lock for milliseconds; longer is a stuck writer and worth saying.
SQLITE_BUSY_SECONDS = 5.0
#: A reading may stand still this long between two batches while its consumer is busy.
SLOW_READER_SECONDS = 3600
#: Where a server listens when nothing else is said.
_PORTS = {"postgresql": 5432, "mysql": 3306}


def open_engine(options: SqlOptions, *, root: Path) -> Engine:
    """Nothing is connected yet. A relative SQLite path is relative to the chain directory `root`."""
    url = options.address()
    if url.get_backend_name() == "sqlite":
        return _sqlite(url, root)
    if url.get_backend_name() == "postgresql":
        return _postgresql(url, options)
    return _mysql(url, options)


def snapshot(connection: Connection) -> None:
    """Everything read on `connection` from here to its end is one moment of the database."""
    if connection.dialect.name == "sqlite":
        # The driver begins transactions for writes only; two SELECTs would see two moments.
        connection.exec_driver_sql("BEGIN")
    elif connection.dialect.name in {"mysql", "mariadb"}:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


def sqlite_path(url: URL, root: Path) -> Path:
    return root / (url.database or "")


def database_of(url: URL, root: Path) -> str:
    """Which database a URL leads to, written in one way for every user, driver and name of this machine."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return f"sqlite:{sqlite_path(url, root).resolve()}"
    backend = "postgresql" if backend == "postgresql" else "mysql"
    host = url.host or str(url.query.get("host", ""))
    port = url.port or url.query.get("port") or _PORTS[backend]
    return f"{backend}://{'localhost' if _is_local(host) else host.lower()}:{port}/{url.database or url.username or ''}"


def _sqlite(url: URL, root: Path) -> Engine:
    path = sqlite_path(url, root)

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro",
            uri=True,
            timeout=SQLITE_BUSY_SECONDS,
            check_same_thread=False,
            isolation_level=None,
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    # No pool: a till's file may be replaced by a restore at any time, and opening it costs a millisecond.
    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _pooled(url: URL, connect_arguments: dict[str, Any], options: SqlOptions, **more: Any) -> Engine:
    return create_engine(
        url,
        connect_args=connect_arguments,
        pool_size=POOL_CONNECTIONS,
        max_overflow=0,
        pool_timeout=options.connect_timeout_seconds,
        pool_pre_ping=True,
        **more,
    )


def _postgresql(url: URL, options: SqlOptions) -> Engine:
    arguments: dict[str, Any] = {
        "connect_timeout": max(2, round(options.connect_timeout_seconds)),
        "options": f"-c statement_timeout={round(options.timeout_seconds * 1000)}",
        "application_name": "tillwatch",
        "gssencmode": "disable",
    }
    if "sslmode" not in url.query:
        # libpq's default tries a refused password a second time without TLS: two attempts where we promise one.
        arguments["sslmode"] = "disable" if _is_local(url.host) else "require"
    return _pooled(
        url,
        {name: value for name, value in arguments.items() if name not in url.query},
        options,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )


def _mysql(url: URL, options: SqlOptions) -> Engine:
    arguments = {
        "connect_timeout": round(options.connect_timeout_seconds) or 1,
        "read_timeout": round(options.timeout_seconds) or 1,
        "charset": "utf8mb4",
    }
    engine = _pooled(
        url,
        {name: value for name, value in arguments.items() if name not in url.query},
        options,
        isolation_level="REPEATABLE READ",
    )

    @event.listens_for(engine, "connect")
    def prepared(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION READ ONLY")
            # The server drops a reader it cannot write to for so long; an audit may wait for its other side.
            cursor.execute(f"SET SESSION net_write_timeout = {SLOW_READER_SECONDS}")
            # A TIMESTAMP is handed over in the session's zone, without saying which.
            cursor.execute("SET SESSION time_zone = '+00:00'")

    return engine


def _is_local(host: str | None) -> bool:
    if not host or host.startswith("/") or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
