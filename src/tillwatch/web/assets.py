"""Our own style sheet, script and icons: read once, served from memory under a name that changes with the content."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

MEDIA_TYPES: Mapping[str, str] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, kw_only=True)
class Asset:
    name: str
    body: bytes
    media_type: str
    etag: str

    @property
    def url(self) -> str:
        return f"/static/{self.name}?v={self.etag}"


def load_assets() -> Mapping[str, Asset]:
    """Every file of `static/` by name. A request can only ever look a name up here, never a path."""
    found = {}
    for item in files("tillwatch.web").joinpath("static").iterdir():
        ending = item.name.rpartition(".")[2]
        if ending in MEDIA_TYPES:
            body = item.read_bytes()
            etag = hashlib.sha256(body).hexdigest()[:16]
            found[item.name] = Asset(name=item.name, body=body, media_type=MEDIA_TYPES[ending], etag=etag)
    return found
