"""Writes every dashboard's JSON beside this file; with `--check` it only tells whether the files are fresh."""

import sys
from pathlib import Path

import chain_overview
import consistency
from grafana_foundation_sdk.cog.encoder import JSONEncoder

FOLDER = Path(__file__).parent
DASHBOARDS = {"chain-overview.json": chain_overview.build, "consistency.json": consistency.build}


def render(name: str) -> str:
    """The classic dashboard JSON of one file, as Grafana's provisioning reads it."""
    document = DASHBOARDS[name]().build()
    # Links to a panel go by its id, so ids are unique and do not depend on the builder's default.
    for number, panel in enumerate(document.panels or [], start=1):
        panel.id_val = number
    return JSONEncoder(sort_keys=True, indent=2, ensure_ascii=False).encode(document) + "\n"


def main(check: bool) -> int:
    stale = 0
    for name in DASHBOARDS:
        path = FOLDER / name
        text = render(name)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            sys.stderr.write(f"{name}: not what its Python says; run python dashboards/build.py\n")
            stale += 1
        else:
            path.write_text(text, encoding="utf-8")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
