"""The integration between shops and ERP: orders up, sold stock booked, stock and prices down.

Run as `python -m tillwatch.lab.sync --lab DIR`.
Its faults are asked for through the lab's control file; without them every order arrives exactly once, also when the
worker or the ERP is killed at any point.
"""

import argparse
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from tillwatch.clock import Clock, SystemClock
from tillwatch.errors import AuthRefused, SourceRejected, SourceUnavailable
from tillwatch.lab import faults, posting
from tillwatch.lab.catalogue import SHOPS, Shop
from tillwatch.lab.faults import Injected, OrderFault
from tillwatch.lab.layout import Lab
from tillwatch.lab.orders import Order
from tillwatch.lab.till_db import TillDb
from tillwatch.lab.tryton_rpc import TrytonRpc

#: Orders in one round trip; a longer backlog takes several rounds.
ORDERS_PER_ROUND = 20
RETRY_SECONDS = 2.0

Log = Callable[[str], None]


class Sync:
    """One session on the ERP and one connection per shop. Raises what the RPC raises; `run` decides what that means."""

    def __init__(self, lab: Lab, rpc: TrytonRpc, *, log: Log) -> None:
        self._lab = lab
        self._rpc = rpc
        self._log = log
        self._tills = {shop.id: TillDb(lab.till(shop)) for shop in SHOPS}
        self._directory: posting.Directory | None = None

    def close(self) -> None:
        self._rpc.close()
        for till in self._tills.values():
            till.close()

    def push(self, shop: Shop, now: datetime) -> int:
        """Post the oldest unsynced orders of a shop; returns how many are now marked as synced."""
        till = self._tills[shop.id]
        orders = till.not_synced(ORDERS_PER_ROUND)
        if not orders:
            return 0
        dropped, to_post = self._spoil(shop, orders)
        posted = self._post(to_post)
        done = [*dropped, *posted]
        till.mark_synced(done, now)
        if posted:
            self._log(f"{shop.id}: {len(posted)} orders up to {posted[-1]}")
        return len(done)

    def book(self, shop: Shop, now: datetime) -> int:
        """Book sold goods in the ERP, each order once; returns how many batches were booked."""
        till, directory = self._tills[shop.id], self._connected()
        open_bookings = till.open_bookings()
        for booking in open_bookings:
            reference = f"{shop.prefix}STOCK-{booking:05d}"
            posting.book_sold(self._rpc, directory, shop, reference, till.booked_orders(booking))
            till.close_booking(booking, now)
        return len(open_bookings)

    def pull(self, shop: Shop, now: datetime) -> None:
        """Take over the ERP's stock and prices."""
        stock, prices = posting.read_stock_and_prices(self._rpc, self._connected(), shop)
        moved, repriced = self._tills[shop.id].take_over(stock, prices, now)
        if moved or repriced:
            self._log(f"{shop.id}: {moved} stock and {repriced} price rows down")

    def _connected(self) -> posting.Directory:
        if not self._rpc.logged_in:
            self._rpc.login(self._lab.erp.user, self._lab.erp.password)
        if self._directory is None:
            self._directory = posting.read_directory(self._rpc)
        return self._directory

    def _spoil(self, shop: Shop, orders: Sequence[Order]) -> tuple[list[str], list[Order]]:
        """Apply the faults asked for: the dropped references, and the orders to post as they will be posted."""
        request = faults.asked(self._lab.faults)
        if request is None or request.shop != shop.id:
            return [], list(orders)
        done = list(faults.recorded(self._lab.injected, request.id))
        by_reference = {item.reference: item.kind for item in done}
        dropped: list[str] = []
        to_post: list[Order] = []
        for order in orders:
            kind = by_reference.get(order.reference)
            if kind is None and (kind := faults.next_fault(request, shop.id, done)) is not None:
                # Recorded before it happens: a worker killed in between repeats the same fault on the same order.
                done.append(Injected(request=request.id, kind=kind, reference=order.reference))
                faults.record(self._lab.injected, done[-1])
                self._log(f"{shop.id}: fault {kind} on {order.reference}")
            if kind is OrderFault.DROP:
                dropped.append(order.reference)
            else:
                to_post.append(posting.with_wrong_quantity(order) if kind is OrderFault.WRONG_QUANTITY else order)
        return dropped, to_post

    def _post(self, orders: Sequence[Order]) -> list[str]:
        if not orders:
            return []
        directory = self._connected()
        try:
            posting.post_sales(self._rpc, directory, orders)
            return [order.reference for order in orders]
        except SourceRejected:
            # One bad order must not hold back the others: each by itself, the refused ones stay unsynced and are seen.
            posted: list[str] = []
            for order in orders:
                try:
                    posting.post_sales(self._rpc, directory, [order])
                    posted.append(order.reference)
                except SourceRejected as error:
                    self._log(f"the ERP refuses {order.reference}: {error}")
            return posted


class Rounds:
    """When what is due: orders in every round, stock and prices more seldom."""

    def __init__(self, lab: Lab, sync: Sync, clock: Clock) -> None:
        self._pace = lab.pace
        self._sync = sync
        self._clock = clock
        self._pull_at = self._book_at = clock.monotonic()

    def round(self) -> None:
        """One round over all shops. Raises what the ERP says; the next round takes up what this one left."""
        self._push()
        if self._clock.monotonic() >= self._book_at:
            for shop in SHOPS:
                # Pulled right after, so that till and ERP differ for no longer than one round trip.
                if self._sync.book(shop, self._clock.now()):
                    self._sync.pull(shop, self._clock.now())
                # Booking takes a second; orders do not wait for it.
                self._push()
            self._book_at = self._clock.monotonic() + self._pace.book_seconds
        if self._clock.monotonic() >= self._pull_at:
            for shop in SHOPS:
                self._sync.pull(shop, self._clock.now())
            self._pull_at = self._clock.monotonic() + self._pace.pull_seconds

    def _push(self) -> None:
        for shop in SHOPS:
            self._sync.push(shop, self._clock.now())


def run(lab: Lab, clock: Clock, log: Log) -> None:
    """Work for ever. Only refused credentials end the worker: they are never hammered."""
    rounds = Rounds(lab, Sync(lab, TrytonRpc(lab.erp.url, lab.erp.database), log=log), clock)
    while True:
        try:
            rounds.round()
            clock.sleep(lab.pace.sync_seconds)
        except (SourceUnavailable, SourceRejected, sqlite3.OperationalError) as error:
            log(f"trying again in {RETRY_SECONDS:g} s: {error}")
            clock.sleep(RETRY_SECONDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tillwatch.lab.sync", description=__doc__)
    parser.add_argument("--lab", type=Path, required=True)
    clock = SystemClock()

    def log(text: str) -> None:
        print(f"{clock.now().isoformat(timespec='milliseconds')} {text}", flush=True)  # noqa: T201 - the process's log

    try:
        run(Lab.load(parser.parse_args().lab), clock, log)
    except AuthRefused as error:
        log(f"stopped: {error}; correct the credentials, then start the worker again")
    return 1


if __name__ == "__main__":
    sys.exit(main())
