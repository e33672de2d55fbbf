"""Which database a URL leads to."""

from pathlib import Path

import pytest
from sqlalchemy import make_url

from tillwatch.sources.sql.engine import database_of

SAME = (
    ("postgresql://a:secret@127.0.0.1/shop", "postgresql+psycopg://b@localhost:5432/shop"),
    ("postgresql://a@/shop?host=/run/postgresql", "postgresql://a@[::1]/shop"),
    ("postgresql://a@/shop?host=ERP.example&port=6000", "postgresql://a@erp.example:6000/shop"),
    ("mysql://a@erp.example/shop", "mariadb+pymysql://b@erp.example:3306/shop"),
    ("sqlite:///var/../till.db", "sqlite:///till.db"),
)
OTHER = (
    ("postgresql://a@erp/shop", "postgresql://a@erp/books"),
    ("postgresql://a@erp/shop", "postgresql://a@erp:5433/shop"),
    ("postgresql://a@erp/shop", "mysql://a@erp/shop"),
    ("sqlite:///till.db", "sqlite:///other.db"),
)


def both(one: str, other: str, root: Path) -> tuple[str, str]:
    return database_of(make_url(one), root), database_of(make_url(other), root)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_database_is_the_same_whoever_asks_it_by_whatever_name(one: str, other: str, tmp_path: Path) -> None:
    left, right = both(one, other, tmp_path)
    assert left == right
    assert "secret" not in left


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_other_servers_and_other_databases_are_others(one: str, other: str, tmp_path: Path) -> None:
    left, right = both(one, other, tmp_path)
    assert left != right
