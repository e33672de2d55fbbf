"""Engines shared by the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engines import Engines
from tests.support.mariadb import MariaDb
from tests.support.postgres import Postgres


@pytest.fixture(scope="module")
def engines(postgres: Postgres, mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    yield Engines(postgres=postgres, mariadb=mariadb, folder=Path(tmp_path_factory.mktemp("engines")))
