"""The demo starts every process, keeps the server alive, and leaves nothing behind; the server here is a stand-in."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tillwatch.clock import SystemClock
from tillwatch.errors import UsageError
from tillwatch.lab import demo, erp, fleet, service
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.daemon import Daemon
from tillwatch.lab.demo import Demo
from tillwatch.lab.layout import Lab, Pace
from tillwatch.lab.orders import Order
from tillwatch.lab.till_db import TillDb

CLOCK = SystemClock()
DEADLINE_SECONDS = 60.0
FAST = Pace(sale_seconds=1.0, sync_seconds=0.2, pull_seconds=2.0, book_seconds=2.0)


def stand_in(lab: Lab) -> Daemon:
    argv = (sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(lab.ports.server))
    return Daemon(name=fleet.SERVER, argv=argv, folder=lab.run)


def eventually(what: str, look: Callable[[], bool]) -> None:
    deadline = CLOCK.monotonic() + DEADLINE_SECONDS
    while not look():
        assert CLOCK.monotonic() < deadline, f"waited in vain for {what}"
        CLOCK.sleep(0.1)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(fleet, "server", stand_in)
    # The template is built outside the time limit of a test, see tests/support/erp.py.
    found = tmp_path / "demo"
    yield found
    demo.stop_leftovers(found)


def running(lab: Lab) -> set[str]:
    return {name for name, daemon in fleet.fleet(lab).items() if daemon.process() is not None}


@pytest.mark.usefixtures("erp")
def test_a_demo_sells_syncs_survives_a_dead_server_and_leaves_nothing(root: Path) -> None:
    said: list[str] = []
    started = CLOCK.monotonic()
    with Demo(root, port=erp.free_port(), clock=CLOCK, say=said.append, pace=FAST) as made:
        seconds = CLOCK.monotonic() - started
        lab = made.lab
        assert seconds < 20, said
        assert running(lab) == set(fleet.fleet(lab))
        till = TillDb(lab.till(SHOPS[0]))
        eventually("a booked stock movement", lambda: bool(_booked(till)))
        first_sold = _booked(till)[0].reference
        eventually("its order to be synced", lambda: first_sold not in {o.reference for o in till.not_synced(1000)})
        with lab.erp.rpc() as rpc:
            assert len(rpc.search("sale.sale", [["reference", "=", first_sold]])) == 1
        till.close()
        server = fleet.daemon(lab, fleet.SERVER)
        first = server.process()
        assert server.kill()
        eventually("the server to come back", lambda: server.process() not in (None, first))
        with pytest.raises(UsageError, match="another demo runs in"):
            Demo(root, port=None, clock=CLOCK, say=said.append).__enter__()
        assert demo.running(root) is not None
    assert running(lab) == set()
    assert demo.running(root) is None
    assert lab.root == root.resolve()


def _booked(till: TillDb) -> list[Order]:
    """Orders of the first batch booked since the start."""
    return till.booked_orders(1)


@pytest.mark.usefixtures("erp")
def test_what_a_killed_demo_left_running_is_stopped_by_the_next_one(root: Path) -> None:
    first = Demo(root, port=erp.free_port(), clock=CLOCK, say=lambda _: None, pace=FAST)
    first.__enter__()
    first._end_watch()
    first._cleanup.pop_all()
    assert len(running(first.lab)) >= 6
    # The lock of a killed process is gone with it; here the process lives, so its leftovers are met directly.
    demo.stop_leftovers(root)
    assert running(first.lab) == set()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match=r"is not empty and no lab \(holiday\.jpg\); choose another --dir"):
        demo.stop_leftovers(tmp_path)


@pytest.mark.usefixtures("erp")
def test_a_runbook_can_start_and_stop_the_erp_by_name_again_and_again(tmp_path: Path) -> None:
    port = erp.free_port()
    lab = _lab(tmp_path, port)
    try:
        code, text = service.act(lab, "start", "erp")
        assert (code, text.startswith("erp started")) == (0, True)
        assert service.act(lab, "start", "erp")[1].startswith("erp already runs")
        assert service.act(lab, "status", "erp")[0] == 0
        assert service.act(lab, "stop", "erp") == (0, "erp stopped")
        assert service.act(lab, "stop", "erp") == (0, "erp did not run")
        assert service.act(lab, "status", "erp") == (1, "erp does not run")
        with pytest.raises(UsageError, match=r"'bash' is no process of the lab; choose one of inbox, erp"):
            service.act(lab, "start", "bash")
    finally:
        lab.erp.stop()


def _lab(root: Path, port: int) -> Lab:
    lab = Lab(root=root / "lab", ports=demo.Ports(erp=port, inbox=0, server=0, prometheus=0))
    lab.save()
    erp.prepare(lab.erp.folder, port=port)
    return lab
