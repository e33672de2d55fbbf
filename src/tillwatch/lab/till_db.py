"""A shop's own database: what its tills sell from and write to. SQLite in WAL mode, decimals as text.

`stock.quantity` is the book quantity the ERP last sent down. A sale lowers it only when the ERP has booked it, so what
stands on the shelf is `stock.quantity` less what was sold and not yet booked; the view `shelf` says that.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tillwatch.lab.catalogue import CENT, GRAM, Shop, amount, opening_stock, products
from tillwatch.lab.orders import Line, Order, history, members

#: Longer than any transaction of the lab; a wait beyond it is a bug worth seeing.
BUSY_SECONDS = 10.0

_SCHEMA = """
CREATE TABLE products (
  sku TEXT PRIMARY KEY, barcode TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  unit TEXT NOT NULL CHECK (unit IN ('u', 'kg')));
CREATE TABLE price (
  sku TEXT PRIMARY KEY REFERENCES products, price TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE stock (
  sku TEXT PRIMARY KEY REFERENCES products, quantity TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE members (
  number TEXT PRIMARY KEY, name TEXT NOT NULL, phone TEXT NOT NULL, points INTEGER NOT NULL DEFAULT 0);
-- A batch of orders whose sold goods the ERP books as one document.
CREATE TABLE stock_bookings (id INTEGER PRIMARY KEY, done_at TEXT);
CREATE TABLE orders (
  order_ref TEXT PRIMARY KEY, till INTEGER NOT NULL, member TEXT REFERENCES members, paid_at TEXT NOT NULL,
  synced_at TEXT, stock_booking INTEGER REFERENCES stock_bookings);
CREATE INDEX orders_not_synced ON orders (paid_at) WHERE synced_at IS NULL;
CREATE INDEX orders_not_booked ON orders (paid_at) WHERE stock_booking IS NULL;
CREATE TABLE order_lines (
  order_ref TEXT NOT NULL REFERENCES orders, line INTEGER NOT NULL, sku TEXT NOT NULL REFERENCES products,
  quantity TEXT NOT NULL, unit_price TEXT NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (order_ref, line));
-- Sums in whole cents and grams: SQLite would add text decimals as floats.
CREATE VIEW order_totals AS
  SELECT o.order_ref, o.till, o.paid_at, o.synced_at,
         printf('%d.%02d', s.cents / 100, s.cents % 100) AS total,
         printf('%d.%03d', s.grams / 1000, s.grams % 1000) AS quantity
  FROM orders o JOIN (
    SELECT order_ref, SUM(CAST(ROUND(amount * 100) AS INTEGER)) AS cents,
           SUM(CAST(ROUND(quantity * 1000) AS INTEGER)) AS grams
    FROM order_lines GROUP BY order_ref) s ON s.order_ref = o.order_ref;
CREATE VIEW shelf AS
  SELECT s.sku, ROUND(s.quantity - COALESCE(SUM(l.quantity), 0), 3) AS quantity
  FROM stock s LEFT JOIN (
    SELECT l.sku, l.quantity FROM order_lines l JOIN orders o ON o.order_ref = l.order_ref
    LEFT JOIN stock_bookings b ON b.id = o.stock_booking WHERE b.done_at IS NULL) l ON l.sku = s.sku GROUP BY s.sku;
"""


def instant(moment: datetime) -> str:
    """UTC with milliseconds, so that text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


class TillDb:
    """One connection to one shop's database. Every method is one transaction."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(f"{path}: no till database; create it with lab.till_db.create")
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        self._connection.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def prices(self) -> dict[str, Decimal]:
        return {sku: Decimal(price) for sku, price in self._connection.execute("SELECT sku, price FROM price")}

    def stock(self) -> dict[str, Decimal]:
        return {sku: Decimal(quantity) for sku, quantity in self._connection.execute("SELECT sku, quantity FROM stock")}

    def shelf(self) -> dict[str, Decimal]:
        """What stands on the shelf: booked stock less what was sold since."""
        rows = self._connection.execute("SELECT sku, quantity FROM shelf")
        return {sku: Decimal(str(quantity)).quantize(GRAM) for sku, quantity in rows}

    def sell(self, order: Order) -> None:
        with self._transaction() as connection:
            _insert_order(connection, order, synced_at=None, booking=None)
            if order.member:
                points = int(order.total)
                connection.execute("UPDATE members SET points = points + ? WHERE number = ?", (points, order.member))

    def last_number(self, prefix: str) -> int:
        """The highest running number under `prefix`, for example `CY-20261124-`; 0 when there is none."""
        query = "SELECT COALESCE(MAX(CAST(substr(order_ref, ?) AS INTEGER)), 0) FROM orders WHERE order_ref GLOB ?"
        (number,) = self._connection.execute(query, (len(prefix) + 1, prefix + "*")).fetchone()
        return int(number)

    def not_synced(self, limit: int) -> list[Order]:
        """Orders the ERP does not have yet, oldest first."""
        return self._orders("synced_at IS NULL", (limit,))

    def mark_synced(self, references: Sequence[str], at: datetime) -> None:
        with self._transaction() as connection:
            rows = [(instant(at), reference) for reference in references]
            connection.executemany("UPDATE orders SET synced_at = ? WHERE order_ref = ? AND synced_at IS NULL", rows)

    def open_bookings(self) -> list[int]:
        """Batches not yet done in the ERP; orders sold since the last batch become a new one, fixed from then on."""
        with self._transaction() as connection:
            (waiting,) = connection.execute("SELECT COUNT(*) FROM orders WHERE stock_booking IS NULL").fetchone()
            if waiting:
                added = connection.execute("INSERT INTO stock_bookings (done_at) VALUES (NULL)")
                connection.execute(
                    "UPDATE orders SET stock_booking = ? WHERE stock_booking IS NULL", (added.lastrowid,)
                )
            rows = connection.execute("SELECT id FROM stock_bookings WHERE done_at IS NULL ORDER BY id").fetchall()
        return [booking for (booking,) in rows]

    def booked_orders(self, booking: int) -> list[Order]:
        return self._orders("stock_booking = ?", (booking, -1))

    def mistype(self, orders: int) -> list[str]:
        """Write a digit too many in front of a price of the newest `orders` that the ERP has; what was paid stays.

        The order's total is the sum of what was paid, so only its lines no longer add up to it. None, and nothing
        changed, when there are fewer orders whose prices are right: a price spoiled twice could not be corrected.
        """
        query = (
            "SELECT order_ref FROM orders o JOIN stock_bookings b ON b.id = o.stock_booking WHERE synced_at IS NOT NULL"
        )
        with self._transaction() as connection:
            wrong = self.mistyped()
            newest = connection.execute(
                f"{query} AND b.done_at IS NOT NULL ORDER BY paid_at DESC LIMIT ?", (orders + len(wrong),)
            )
            rows = [row for row in newest if row[0] not in wrong][:orders]
            if len(rows) < orders:
                return []
            connection.executemany(
                "UPDATE order_lines SET unit_price = '1' || unit_price WHERE order_ref = ? AND line = 1", rows
            )
        return [reference for (reference,) in rows]

    def mistyped(self) -> dict[str, list[int]]:
        """The lines, by order, whose price is not the one that was paid but for a digit in front."""
        found: dict[str, list[int]] = {}
        rows = self._connection.execute(
            "SELECT order_ref, line, quantity, unit_price, amount FROM order_lines WHERE unit_price LIKE '1_%'"
        )
        for reference, line, quantity, price, paid in rows:
            if amount(Decimal(quantity), Decimal(price)) != Decimal(paid) == amount(Decimal(quantity), _typed(price)):
                found.setdefault(reference, []).append(line)
        return found

    def correct(self) -> list[str]:
        """Take the digits too many out again; returns the orders corrected."""
        with self._transaction() as connection:
            wrong = self.mistyped()
            lines = [(reference, line) for reference, numbers in wrong.items() for line in numbers]
            connection.executemany(
                "UPDATE order_lines SET unit_price = substr(unit_price, 2) WHERE order_ref = ? AND line = ?", lines
            )
        return sorted(wrong)

    def close_booking(self, booking: int, at: datetime) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE stock_bookings SET done_at = ? WHERE id = ?", (instant(at), booking))

    def take_over(self, stock: Mapping[str, Decimal], prices: Mapping[str, Decimal], at: datetime) -> tuple[int, int]:
        """Store what the ERP sent down; returns how many stock and price rows changed."""
        old_stock, old_prices = self.stock(), self.prices()
        moved = [(str(new), instant(at), sku) for sku, new in stock.items() if old_stock.get(sku, new) != new]
        repriced = [(str(new), instant(at), sku) for sku, new in prices.items() if old_prices.get(sku, new) != new]
        if moved or repriced:
            with self._transaction() as connection:
                connection.executemany("UPDATE stock SET quantity = ?, updated_at = ? WHERE sku = ?", moved)
                connection.executemany("UPDATE price SET price = ?, updated_at = ? WHERE sku = ?", repriced)
        return len(moved), len(repriced)

    def _orders(self, condition: str, arguments: tuple[int, ...]) -> list[Order]:
        columns = "order_ref, till, paid_at, COALESCE(member, '')"
        query = f"SELECT {columns} FROM orders WHERE {condition} ORDER BY paid_at LIMIT ?"
        heads = self._connection.execute(query, arguments).fetchall()
        return [
            Order(
                reference=reference,
                till=till,
                paid_at=datetime.fromisoformat(paid_at),
                member=member,
                lines=self._lines(reference),
            )
            for reference, till, paid_at, member in heads
        ]

    def _lines(self, reference: str) -> tuple[Line, ...]:
        query = "SELECT sku, quantity, unit_price FROM order_lines WHERE order_ref = ? ORDER BY line"
        return tuple(
            Line(sku=sku, quantity=Decimal(quantity), unit_price=Decimal(price))
            for sku, quantity, price in self._connection.execute(query, (reference,))
        )


def _typed(price: str) -> Decimal:
    """The price without its first digit."""
    rest = price[1:]
    return Decimal(f"0{rest}" if rest.startswith(".") else rest)


def create(path: Path, shop: Shop, at: datetime) -> None:
    """A new shop database as it stands before the demo: full catalogue, opening stock, members, the orders before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(_SCHEMA)
        connection.execute("BEGIN")
        _fill(connection, shop, instant(at))
        connection.execute("COMMIT")
    finally:
        connection.close()


def _fill(connection: sqlite3.Connection, shop: Shop, at: str) -> None:
    catalogue = products()
    connection.executemany(
        "INSERT INTO products VALUES (?, ?, ?, ?)", [(p.sku, p.barcode, p.name, p.unit) for p in catalogue]
    )
    connection.executemany(
        "INSERT INTO price VALUES (?, ?, ?)", [(p.sku, str(p.list_price.quantize(CENT)), at) for p in catalogue]
    )
    connection.executemany(
        "INSERT INTO stock VALUES (?, ?, ?)", [(p.sku, str(opening_stock(shop, p)), at) for p in catalogue]
    )
    connection.executemany("INSERT INTO members (number, name, phone) VALUES (?, ?, ?)", members(shop))
    # Opening stock is as of today: what was sold before is already booked.
    connection.execute("INSERT INTO stock_bookings VALUES (0, ?)", (at,))
    for order in history(shop):
        _insert_order(connection, order, synced_at=at, booking=0)


def _insert_order(connection: sqlite3.Connection, order: Order, *, synced_at: str | None, booking: int | None) -> None:
    connection.execute(
        "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)",
        (order.reference, order.till, order.member or None, instant(order.paid_at), synced_at, booking),
    )
    connection.executemany(
        "INSERT INTO order_lines VALUES (?, ?, ?, ?, ?, ?)",
        [
            (order.reference, number, line.sku, str(line.quantity), str(line.unit_price), str(line.amount))
            for number, line in enumerate(order.lines, 1)
        ],
    )
