"""Keys this installation signs with, and the acknowledge links that were used."""

from sqlalchemy import Column, String, Table

from tillwatch.store.tables.base import metadata
from tillwatch.store.types import RowId, UtcDateTime

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("name", String, primary_key=True),
    # Hexadecimal. Whoever can read the store can do more than sign.
    Column("secret", String, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

ack_links = Table(
    "ack_links",
    metadata,
    # The message whose link was used. No foreign key: that a link was used outlives the message.
    Column("message", RowId, primary_key=True, autoincrement=False),
    Column("incident", RowId, nullable=False),
    Column("used_at", UtcDateTime, nullable=False),
    Column("actor", String, nullable=False),
)
