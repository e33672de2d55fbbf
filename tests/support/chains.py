"""Chain directories of tests that build real sources from them."""

from collections.abc import Mapping
from pathlib import Path

from tillwatch.lab.erp import Erp

HEAD = """
chain: {id: demo, name: Demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
store: {url: "sqlite:///tillwatch.db"}
channels: [{id: hook, kind: webhook, url: "http://127.0.0.1:9/hook"}]
systems:
"""
ROUTES = "route: {receiver: ops}\nreceivers: [{id: ops, channels: [hook]}]\n"


def tryton_system(erp: Erp, datasets: str) -> str:
    """The system `erp` as YAML, which may be written to; `datasets` as its members, in one line."""
    return f"""
  - id: erp
    source: tryton
    url: "{erp.url}"
    database: shop
    user: "{erp.user}"
    password: "{erp.password}"
    writes: enabled
    customer: WALK-IN
    requests_per_minute: 60000
    datasets: {{{datasets}}}
"""


def write_chain(folder: Path, systems: str, checks: Mapping[str, str] | None = None, rest: str = "") -> None:
    """`checks` by the name of their file in probes/; `rest` is what stands beside the systems."""
    files = {"tillwatch.yaml": HEAD + systems + rest, "alerts/routes.yaml": ROUTES}
    files |= {f"probes/{name}.yaml": text for name, text in (checks or {}).items()}
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
