"""The subjects of the suite: real systems of every kind, all holding the same items."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from tests.support.mariadb import MariaDb
from tests.support.odata import ODataStub, StubSet
from tests.support.postgres import Postgres

from tillwatch.clock import SystemClock
from tillwatch.lab import erp as lab_erp
from tillwatch.lab.erp import Erp
from tillwatch.sources.base import MemoryBreaker, Source
from tillwatch.sources.odata import ODataOptions, ODataSource
from tillwatch.sources.sql import SqlOptions, SqlSource
from tillwatch.sources.tryton import TrytonOptions, TrytonSource

WRONG_PASSWORD = "wr0ng-Pässwort-§7"


@dataclass(frozen=True, kw_only=True)
class Item:
    """What every subject holds. `note` tells NULL from the empty string."""

    sku: str
    name: str
    note: str | None
    price: Decimal


ITEMS = (
    Item(sku="0007", name="红富士苹果（散称）", note=None, price=Decimal("19.99")),
    Item(sku="007", name="Ａ１ full width, é, 😀", note="", price=Decimal("0.1")),
    Item(sku="7", name="quote ' \" ; -- %", note=" padded ", price=Decimal("12345678.1234")),
    Item(sku="AbC-1", name="case", note="a\nb", price=Decimal("0.3")),
    Item(sku="abc-1", name="case", note="NULL", price=Decimal("1E+2")),
    *(
        Item(sku=f"9{number:03d}", name=f"商品 {number}", note=None, price=Decimal(number) / 100)
        for number in range(12)
    ),
)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One kind of system under test. `open` takes the batch size."""

    name: str
    open: Callable[[int], Source]
    #: A source that points at nothing.
    unreachable: Callable[[], Source]
    #: A source with a wrong password, the words it must not say, and how many logins the system has seen refused.
    refusing: Callable[[MemoryBreaker], Source] | None
    refused_logins: Callable[[], int] | None
    #: Put one more item into the system.
    insert: Callable[[Item], None]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the ERP template before the first test's time limit starts to run."""
    if any("own_erp" in getattr(item, "fixturenames", ()) for item in session.items):
        lab_erp.template()


def sql_source(url: str, batch_rows: int, breaker: MemoryBreaker | None = None, **more: str) -> SqlSource:
    options = SqlOptions.model_validate(
        {
            "url": url,
            "connect_timeout_seconds": "2",
            "datasets": {
                "items": {
                    "table": "items",
                    "columns": {"sku": "sku_code", "name": "item name", "note": "note", "price": "price"},
                },
                "by_query": {"query": "SELECT sku_code AS sku, price FROM items WHERE note IS NULL"},
                "gone": {"table": "gone"},
                "moved": {"table": "items", "columns": {"sku": "sku_cod"}},
            },
            **more,
        }
    )
    return SqlSource(
        "till", options, clock=SystemClock(), breaker=breaker or MemoryBreaker(), root=Path("/"), batch_rows=batch_rows
    )


def erp_options(server: Erp, **more: object) -> TrytonOptions:
    return TrytonOptions.model_validate(
        {
            "url": server.url,
            "database": server.database,
            "user": server.user,
            "password": server.password,
            "writes": "enabled",
            "customer": "WALK-IN",
            "requests_per_minute": "60000",
            "datasets": {
                "items": {
                    "model": "product.product",
                    "where": {"default_uom.symbol": "oz"},
                    "columns": {"sku": "code", "name": "name", "note": "description", "price": "list_price_used"},
                },
                "by_query": {
                    "model": "product.product",
                    "where": {"default_uom.symbol": "oz"},
                    "columns": {"sku": "code", "price": "list_price_used"},
                },
                "gone": {"model": "product.gone", "columns": {"sku": "code"}},
                "moved": {"model": "product.product", "columns": {"sku": "cod"}},
                "orders": {"model": "sale.sale", "states": ["confirmed", "processing", "done"]},
                "stock": {
                    "model": "stock",
                    "location": "LOC-CHAOYANG",
                    "columns": {"sku": "code", "quantity": "quantity"},
                },
            },
            **more,
        }
    )


def erp_source(
    server: Erp, batch_rows: int = 1000, breaker: MemoryBreaker | None = None, **more: object
) -> TrytonSource:
    return TrytonSource(
        "erp",
        erp_options(server, **more),
        clock=SystemClock(),
        breaker=breaker or MemoryBreaker(),
        zone=ZoneInfo("Asia/Shanghai"),
        batch_rows=batch_rows,
    )


@pytest.fixture(scope="session")
def own_erp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erp]:
    """A Tryton of this suite alone, with ITEMS among its products (their unit is one nothing else uses)."""
    server = lab_erp.prepare(tmp_path_factory.mktemp("conformance-erp"), port=lab_erp.free_port())
    server.start()
    try:
        for item in ITEMS:
            erp_insert(server, item)
        yield server
    finally:
        server.stop()


def erp_insert(server: Erp, item: Item) -> None:
    rpc = server.rpc()
    (unit,) = rpc.search("product.uom", [["symbol", "=", "oz"]])
    product = {"suffix_code": item.sku, "description": item.note}
    template = {
        "name": item.name,
        "type": "goods",
        "default_uom": unit,
        "sale_uom": unit,
        "salable": True,
        "list_price": item.price,
        "products": [["create", [product]]],
    }
    rpc.create("product.template", [template])
    rpc.close()


def erp_forgiven(server: Erp, breaker: MemoryBreaker) -> TrytonSource:
    """A source with a wrong password at an ERP that remembers no earlier refusal: each one doubles its waiting."""
    server.rpc().close()
    return erp_source(server, breaker=breaker, password=WRONG_PASSWORD)


def erp_refused_logins(server: Erp) -> int:
    connection = sqlite3.connect(server.folder / f"{server.database}.sqlite", timeout=10)
    try:
        (count,) = connection.execute("SELECT count(*) FROM res_user_login_attempt").fetchone()
    finally:
        connection.close()
    return int(count)


def sqlite_subject(folder: Path) -> Subject:
    path = folder / "till.db"
    connection = sqlite3.connect(path)
    # REAL on purpose: what a till stores as a binary float must come back as the decimal it was.
    connection.execute('CREATE TABLE items (sku_code TEXT, "item name" TEXT, note TEXT, price REAL)')
    connection.commit()
    connection.close()

    def insert(item: Item) -> None:
        writer = sqlite3.connect(path)
        writer.execute("INSERT INTO items VALUES (?, ?, ?, ?)", (item.sku, item.name, item.note, float(item.price)))
        writer.commit()
        writer.close()

    for item in ITEMS:
        insert(item)
    return Subject(
        name="sqlite",
        open=lambda batch_rows: sql_source(f"sqlite:///{path}", batch_rows),
        unreachable=lambda: sql_source(f"sqlite:///{folder}/missing/till.db", 10),
        refusing=None,
        refused_logins=None,
        insert=insert,
    )


def postgresql_subject(server: Postgres) -> Subject:
    name = server.create_database()
    server.execute(
        name, 'CREATE TABLE items (sku_code varchar(20), "item name" text, note text, price numeric(31, 14))'
    )
    server.execute("postgres", "DROP ROLE IF EXISTS locked")
    server.execute("postgres", "CREATE ROLE locked LOGIN PASSWORD 'right'")
    rules = server.folder / "data" / "pg_hba.conf"
    rule = "host all locked 127.0.0.1/32 scram-sha-256\n"
    text = rules.read_text()
    if rule not in text:
        rules.write_text(rule + text)
    server.execute("postgres", "SELECT pg_reload_conf()")

    def insert(item: Item) -> None:
        with psycopg.connect(f"host=127.0.0.1 port={server.port} user=tillwatch dbname={name}") as connection:
            connection.execute(
                "INSERT INTO items VALUES (%s, %s, %s, %s)", (item.sku, item.name, item.note, item.price)
            )

    for item in ITEMS:
        insert(item)
    locked = f"postgresql://locked@127.0.0.1:{server.port}/{name}"
    return Subject(
        name="postgresql",
        open=lambda batch_rows: sql_source(server.url(name), batch_rows),
        unreachable=lambda: sql_source("postgresql://tillwatch@127.0.0.1:1/x", 10),
        refusing=lambda breaker: sql_source(locked, 10, breaker, password=WRONG_PASSWORD),
        refused_logins=lambda: (
            (server.folder / "server.log")
            .read_text(errors="replace")
            .count('password authentication failed for user "locked"')
        ),
        insert=insert,
    )


def mariadb_subject(server: MariaDb) -> Subject:
    name = server.create_database()
    columns = "sku_code varchar(20), `item name` text, note text, price decimal(31, 14)"
    server.execute(f"CREATE TABLE `{name}`.items ({columns})")
    server.execute("CREATE USER IF NOT EXISTS 'locked'@'127.0.0.1' IDENTIFIED BY 'right'")

    def insert(item: Item) -> None:
        server.execute(
            f"INSERT INTO `{name}`.items VALUES (%s, %s, %s, %s)", (item.sku, item.name, item.note, item.price)
        )

    for item in ITEMS:
        insert(item)
    return Subject(
        name="mariadb",
        open=lambda batch_rows: sql_source(server.url(name), batch_rows),
        unreachable=lambda: sql_source("mysql://tillwatch@127.0.0.1:1/x", 10),
        refusing=lambda breaker: sql_source(
            f"mariadb://locked@127.0.0.1:{server.port}/{name}", 10, breaker, password=WRONG_PASSWORD
        ),
        refused_logins=lambda: server.status("Access_denied_errors"),
        insert=insert,
    )


def tryton_subject(server: Erp) -> Subject:
    return Subject(
        name="tryton",
        open=lambda batch_rows: erp_source(server, batch_rows),
        unreachable=lambda: erp_source(server, url="http://127.0.0.1:1"),
        refusing=lambda breaker: erp_forgiven(server, breaker),
        refused_logins=lambda: erp_refused_logins(server),
        insert=lambda item: erp_insert(server, item),
    )


def odata_service(version: int) -> ODataStub:
    properties = {"sku_code": "Edm.String", "item_name": "Edm.String", "note": "Edm.String", "price": "Edm.Decimal"}
    service = ODataStub(StubSet(name="Items", key=("sku_code",), properties=properties), version=version)
    for item in ITEMS:
        odata_insert(service, item)
    return service


def odata_insert(service: ODataStub, item: Item) -> None:
    service.put("Items", {"sku_code": item.sku, "item_name": item.name, "note": item.note, "price": f"{item.price:f}"})


def odata_source(url: str, page_rows: int = 1000, breaker: MemoryBreaker | None = None, **more: object) -> ODataSource:
    columns = {"sku": "sku_code", "name": "item_name", "note": "note", "price": "price"}
    options = ODataOptions.model_validate(
        {
            "url": url,
            "page_rows": page_rows,
            "requests_per_minute": 60_000,
            "connect_timeout_seconds": "2",
            "datasets": {
                "items": {"set": "Items", "columns": columns},
                "gone": {"set": "gone", "columns": {"sku": "sku_code"}},
                "moved": {"set": "Items", "columns": {"sku": "sku_cod"}},
            },
            **more,
        }
    )
    return ODataSource("erp", options, clock=SystemClock(), breaker=breaker or MemoryBreaker(), batch_rows=page_rows)


def odata_subject(open_service: ODataStub, locked: ODataStub) -> Subject:
    locked.behaviour.user, locked.behaviour.password = "tillwatch", "right"
    return Subject(
        name=f"odata-v{open_service.version}",
        open=lambda batch_rows: odata_source(open_service.url, batch_rows),
        unreachable=lambda: odata_source("http://127.0.0.1:1/service"),
        refusing=lambda breaker: odata_source(locked.url, breaker=breaker, user="tillwatch", password=WRONG_PASSWORD),
        refused_logins=lambda: locked.refused,
        insert=lambda item: odata_insert(open_service, item),
    )


@pytest.fixture(scope="session")
def odata_v2() -> Iterator[Subject]:
    """A stub of ours, not a product: see `tests.support.odata`."""
    with odata_service(2).running() as service, odata_service(2).running() as locked:
        yield odata_subject(service, locked)


@pytest.fixture(scope="session")
def odata_v4() -> Iterator[Subject]:
    """A stub of ours, not a product: see `tests.support.odata`."""
    with odata_service(4).running() as service, odata_service(4).running() as locked:
        yield odata_subject(service, locked)


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "mariadb", "tryton", "odata_v2", "odata_v4"])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """Each test of the suite runs on every kind of system."""
    match request.param:
        case "sqlite":
            return sqlite_subject(tmp_path_factory.mktemp("till"))
        case "postgresql":
            return postgresql_subject(request.getfixturevalue("postgres"))
        case "mariadb":
            return mariadb_subject(request.getfixturevalue("mariadb"))
        case "odata_v2" | "odata_v4":
            found: Subject = request.getfixturevalue(request.param)
            return found
        case _:
            return tryton_subject(request.getfixturevalue("own_erp"))


@pytest.fixture
def opened(subject: Subject) -> Iterator[Source]:
    source = subject.open(1000)
    yield source
    source.close()
