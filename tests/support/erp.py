"""A real Tryton from the cached template."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tillwatch.lab import erp as lab_erp
from tillwatch.lab.erp import Erp


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the template (once per machine, about a minute) before the first test's time limit starts to run."""
    if any({"erp", "fresh_erp"} & set(getattr(item, "fixturenames", ())) for item in session.items):
        lab_erp.template()


@pytest.fixture(scope="session")
def erp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Erp]:
    """One running ERP for the whole session. Tests share its data: use order references of your own, never stop it."""
    server = lab_erp.prepare(tmp_path_factory.mktemp("erp"), port=lab_erp.free_port())
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fresh_erp(tmp_path: Path) -> Iterator[Erp]:
    """A running ERP of this test alone (about two seconds): kill it, change its stock, do what you like."""
    server = lab_erp.prepare(tmp_path / "erp", port=lab_erp.free_port())
    server.start()
    yield server
    server.stop()
