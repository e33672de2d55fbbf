"""What a `source: odata` system says in the chain directory."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from tillwatch.config.secrets import Secret

#: Connections a service is asked over at most, whatever the options say: gateways count work processes in dozens.
MAX_CONNECTIONS = 16
#: No service we know gives larger pages.
MAX_PAGE_ROWS = 20_000


class ODataDataset(BaseModel):
    """One dataset: an entity set and its properties. Canonical name on the left, the service's on the right."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    set: str = Field(description="Entity set, as the service spells it; a path may lead to it: companies(…)/items")
    columns: dict[str, str] = Field(min_length=1, description="Canonical field: property.")
    where: dict[str, str] = Field(default={}, description="Only entities whose property has this value.")
    change_field: str = Field(default="changed_at", description="Canonical field for the time of the last change.")
    paging: Literal["auto", "keyset", "link"] = Field(
        default="auto",
        description="keyset = each page begins after the last key, in several ranges at once; link = the service's own "
        "next links; auto = keyset where the key can be compared.",
    )
    count: Literal["path", "inline", "none"] = Field(
        default="path", description="How the service is asked for its own count: /$count, beside a page, or not."
    )
    track_changes: bool = Field(
        default=False, description="Ask the service to track changes (delta links, OData v4), deletions included."
    )


class ODataOptions(BaseModel):
    """Options of an `odata` system."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="The service's root: https://erp.example/sap/opu/odata/sap/API_PRODUCT_SRV")
    user: str = Field(default="", description="A technical user of our own (basic authentication).")
    password: Secret = Secret("")
    token: Secret = Field(default=Secret(""), description="Instead of user and password: a bearer token.")
    token_url: str = Field(default="", description="Instead of both: where OAuth 2 client credentials become a token.")
    client_id: str = ""
    client_secret: Secret = Secret("")
    scope: str = ""
    parameters: dict[str, str] = Field(
        default={}, description="Added to every request: sap-client, cross-company and the like."
    )
    connections: Annotated[int, Field(ge=1, le=MAX_CONNECTIONS)] = Field(
        default=4, description="Requests under way at once at most; fewer while the service is slow or throttles."
    )
    page_rows: Annotated[int, Field(ge=1, le=MAX_PAGE_ROWS)] = Field(
        default=1000, description="Rows asked for at once."
    )
    max_url_characters: Annotated[int, Field(ge=500, le=32_000)] = Field(
        default=2_000, description="Longer addresses are not sent; many servers refuse a query of more than 2,048."
    )
    requests_per_minute: Annotated[int, Field(ge=1, le=60_000)] = 600
    timeout_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    timezone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="The zone of times stored without one (v2).")
    datasets: dict[str, ODataDataset] = {}

    @field_validator("url", "token_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if url and (not url.startswith(("http://", "https://")) or "@" in urlsplit(url).netloc or "?" in url):
            raise ValueError(
                "expected http://host/path or https://host/path, without user, password or parameters in it"
            )
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        ways = [bool(self.user or self.password), bool(self.token), bool(self.token_url)]
        if sum(ways) > 1:
            raise ValueError(
                "write 'user' and 'password', or 'token', or 'token_url' with its client; only one of them"
            )
        if bool(self.user) != bool(self.password):
            raise ValueError("'user' and 'password' go together")
        if bool(self.token_url) != bool(self.client_id and self.client_secret):
            raise ValueError("'token_url', 'client_id' and 'client_secret' go together")
        return self
