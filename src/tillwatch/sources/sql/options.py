"""What a `source: sql` system says in the chain directory."""

import re
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from tillwatch.config.secrets import Secret

#: Dialects whose connections we know how to make read only, with the driver we speak through.
DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_SELECT = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


class SqlDataset(BaseModel):
    """One dataset: a table with its columns, or a SELECT. Canonical name on the left, the database's on the right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str = Field(default="", description="Table or view, with its schema in front when needed: erp.stock")
    query: str = Field(default="", description="One SELECT whose column names are the canonical names.")
    columns: dict[str, str] = Field(default={}, description="Canonical field: column. Empty = all, by their own names.")
    change_field: str = Field(default="changed_at", description="The canonical field that says when a row changed.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.table) == bool(self.query):
            raise ValueError("write either 'table' or 'query'")
        if self.query and self.columns:
            raise ValueError("'columns' goes with 'table'; in a 'query' name the columns with AS")
        return self

    @field_validator("query")
    @classmethod
    def _one_select(cls, query: str) -> str:
        stripped = query.strip().removesuffix(";").rstrip()
        if stripped and not _SELECT.match(stripped):
            raise ValueError("a query must start with SELECT or WITH; sources only read")
        return stripped


class SqlOptions(BaseModel):
    """Options of a `sql` system."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Secret = Field(description="SQLAlchemy URL: sqlite:///path, postgresql://, mysql://, mariadb://")
    user: str = Field(default="", description="Instead of the user in the URL.")
    password: Secret = Field(default=Secret(""), description="Instead of the password in the URL; needs no escaping.")
    datasets: dict[str, SqlDataset] = Field(default={}, description="Canonical dataset name: where it lives.")
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="The zone of times stored without one.")
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=60.0, description="One statement may run this long."
    )
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0

    @field_validator("url")
    @classmethod
    def _known_dialect(cls, url: Secret) -> Secret:
        try:
            dialect = make_url(url).get_backend_name()
        except (ArgumentError, ValueError):
            raise ValueError(
                "not a database URL; write for example sqlite:///var/till.db or postgresql://user@host/database"
            ) from None
        if dialect not in DRIVERS:
            raise ValueError(f"a '{dialect}' database cannot be opened read only yet; known: {', '.join(DRIVERS)}")
        return url

    def address(self) -> URL:
        """The URL with driver, user and password in place; its `repr` hides the password."""
        url = make_url(self.url)
        url = url.set(drivername=DRIVERS[url.get_backend_name()])
        if self.user:
            url = url.set(username=self.user)
        if self.password:
            url = url.set(password=str.__str__(self.password))
        return url
