"""Chain directories for tests, read by the product's own loader."""

from pathlib import Path

from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load

CHAIN = """\
chain: {id: demo, timezone: Asia/Shanghai, locale: zh-CN, currency: CNY}
sites:
  - {id: hq}
  - {id: chaoyang}
systems:
  - {id: erp, name: {en: ERP, zh: 企业系统}, site: hq, source: fake, url: "http://erp.example:8000", password: "${env:ERP_PASSWORD}"}
  - {id: till, site: chaoyang, source: fake, url: "postgresql://till:pw-of-till@db/shop"}
interfaces:
  - {id: orders-chaoyang, name: {en: Orders, zh: 订单}, site: chaoyang, from: till, to: erp, carries: orders}
channels:
  - {id: hook, kind: webhook, url: "http://hook.example"}
"""
ROUTES = "route: {receiver: ops}\nreceivers:\n  - {id: ops, channels: [hook]}\n"
ENVIRONMENT = {"ERP_PASSWORD": "geheim-7788"}


def chain(root: Path, probes: str) -> ChainConfig:
    """A chain with two systems and the given probes (the items of a YAML list)."""
    for name, text in (
        ("tillwatch.yaml", CHAIN),
        ("alerts/routes.yaml", ROUTES),
        ("probes/all.yaml", f"probes:\n{probes}"),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load(root, environment=ENVIRONMENT)
