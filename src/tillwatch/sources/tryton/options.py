"""What a `source: tryton` system says in the chain directory."""

from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tillwatch.config.secrets import Secret

#: The model of a dataset that means "quantities of products in one location", not a table of the ERP.
STOCK_MODEL = "stock"
SALE_MODEL = "sale.sale"


class TrytonDataset(BaseModel):
    """One dataset.

    Three shapes: `model: stock` with a `location` (one row a product), `model: sale.sale` without columns (one row an
    order reference), and any other model with `columns` (one row a record; a dot follows a link: sale.reference).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    model: str
    columns: dict[str, str] = Field(default={}, description="Canonical field: field of the model.")
    location: str = Field(default="", description="Code of a stock location; only with model: stock.")
    reference_prefix: str = Field(default="", description="Only sales whose reference starts so.")
    states: tuple[str, ...] = Field(
        default=(), description="Sales in these states count; default: every state but cancelled."
    )
    where: dict[str, str] = Field(default={}, description="Only records whose field of the model has this value.")
    amount: Literal["total_amount", "untaxed_amount"] = "total_amount"
    change_field: str = Field(default="changed_at", description="Canonical field for the time of the last change.")

    @model_validator(mode="after")
    def _shape(self) -> Self:
        if (self.model == STOCK_MODEL) != bool(self.location):
            raise ValueError("'model: stock' needs a 'location', and only it has one")
        if not self.columns and self.model != SALE_MODEL:
            raise ValueError(f"'model: {self.model}' needs 'columns'")
        if (self.reference_prefix or self.states) and not self.is_orders:
            raise ValueError("'reference_prefix' and 'states' go with 'model: sale.sale' without columns")
        if self.where and self.is_orders:
            raise ValueError("'where' goes with 'columns'; an orders dataset has 'reference_prefix' and 'states'")
        return self

    @property
    def is_orders(self) -> bool:
        return self.model == SALE_MODEL and not self.columns


class TrytonOptions(BaseModel):
    """Options of a `tryton` system."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Where the ERP answers, without the database: http://127.0.0.1:8000")
    database: str
    user: str = Field(description="A technical user of our own; its rights are the limit of what we can do.")
    password: Secret
    writes: Literal["enabled", "disabled"] = Field(default="disabled", description="May repairs post documents?")
    customer: str = Field(default="", description="Code of the party that replayed orders are sold to.")
    requests_per_minute: Annotated[int, Field(ge=1, le=60_000)] = 120
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 30.0
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    timezone: ZoneInfo | None = Field(default=None, description="The ERP company's zone; default: what it says itself.")
    datasets: dict[str, TrytonDataset] = {}

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")) or "@" in url:
            raise ValueError("expected http://host:port or https://host:port, without user or password in it")
        return url.rstrip("/")
