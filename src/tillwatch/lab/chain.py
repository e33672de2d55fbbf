"""The lab's chain directory: the shipped reference chain with this lab's ports, folders and pace written in.

It is edited as text, so that comments and order stay and a person can compare it with the original. A place that is no
longer found is an error: the reference chain and the lab must not drift apart silently.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tillwatch
from tillwatch.errors import ConfigError, Problem
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.layout import Lab

#: What a chain directory is made of; a folder that the pack does not have is left out.
PARTS = ("tillwatch.yaml", "probes", "alerts", "runbooks", "dashboards")
PROBE_EVERY = "2s"
FAIL_AFTER = 2
LOGIN_EVERY = "5s"
#: Starting the lab itself keeps two cores busy for some seconds; that is no incident.
HOST_FAIL_AFTER = 5
HOST_RECOVER_AFTER = 2
ORDERS_AUDIT = "@every 15s"
STOCK_AUDIT = "@every 30s"
TILLS_VALIDATION = "@every 20s"
#: Longer than an order needs to reach the ERP, also on a loaded machine; what is on its way is no drift.
SETTLE = "8s"
SYNC_STALE_AFTER = "90s"
PASSWORD_FILE = "secrets/erp-password"


@dataclass(frozen=True, kw_only=True)
class Edit:
    """Replace every match of `pattern` in the files of `glob`; at least `least` matches there must be."""

    glob: str
    pattern: str
    replacement: str
    least: int = 1


def edits(lab: Lab) -> tuple[Edit, ...]:
    """Everything that differs between the reference chain and this lab."""
    tills = [_url("tillwatch.yaml", f"sqlite:///var/lab/{shop.id}.db", f"sqlite:///{lab.till(shop)}") for shop in SHOPS]
    return (
        _url("tillwatch.yaml", "sqlite:///var/tillwatch.db", f"sqlite:///{lab.chain / 'var' / 'tillwatch.db'}"),
        Edit(glob="tillwatch.yaml", pattern=r"port: 8080\b", replacement=f"port: {lab.ports.server}"),
        _url("tillwatch.yaml", "http://127.0.0.1:8000", lab.erp.url),
        _url("tillwatch.yaml", "${env:ERP_PASSWORD}", "${file:" + PASSWORD_FILE + "}"),
        Edit(glob="tillwatch.yaml", pattern=r"requests_per_minute: \d+", replacement="requests_per_minute: 6000"),
        *tills,
        _url("tillwatch.yaml", "http://127.0.0.1:9999/hook", f"{lab.inbox_url}/hook"),
        Edit(
            glob="tillwatch.yaml",
            pattern=r'\["python", "-m", "tillwatch\.lab\.service", "(start|stop)", "([a-z-]+)"\]',
            replacement=_service_argv(lab),
            least=2,
        ),
        _url("probes/connectivity/*.yaml", "127.0.0.1:8000", f"127.0.0.1:{lab.ports.erp}"),
        Edit(glob="probes/**/*.yaml", pattern=r"\bevery: \w+", replacement=f"every: {PROBE_EVERY}", least=6),
        Edit(glob="probes/**/*.yaml", pattern=r"\bfail_after: \d+", replacement=f"fail_after: {FAIL_AFTER}", least=6),
        # A login and a look at every dataset is the ERP's dearest answer; twice as often would be load, not watching.
        Edit(
            glob="probes/connectivity/erp.yaml",
            pattern=r"(prober: source,.* every: )\w+",
            replacement=f"\\1{LOGIN_EVERY}",
        ),
        Edit(
            glob="probes/host/*.yaml",
            pattern=r"\brecover_after: \d+",
            replacement=f"recover_after: {HOST_RECOVER_AFTER}",
        ),
        Edit(glob="probes/host/*.yaml", pattern=r"\bfail_after: \d+", replacement=f"fail_after: {HOST_FAIL_AFTER}"),
        Edit(glob="probes/**/*.yaml", pattern=r"\bmax_age: \w+", replacement=f"max_age: {SYNC_STALE_AFTER}"),
        _schedule("probes/consistency/orders.yaml", ORDERS_AUDIT),
        _schedule("probes/consistency/stock.yaml", STOCK_AUDIT),
        _schedule("probes/consistency/tills.yaml", TILLS_VALIDATION),
        Edit(glob="probes/consistency/*.yaml", pattern=r"\bsettle: \w+", replacement=f"settle: {SETTLE}", least=2),
        Edit(glob="alerts/routes.yaml", pattern=r"\bgroup_wait: \w+", replacement="group_wait: 1s"),
        Edit(glob="alerts/routes.yaml", pattern=r"\bgroup_interval: \w+", replacement="group_interval: 5s"),
    )


def render(lab: Lab, pack: Path) -> Path:
    """Write the lab's chain directory, replacing an older one but keeping its `var`. Raises ConfigError."""
    for part in PARTS:
        target = lab.chain / part
        if target.is_dir():
            shutil.rmtree(target)
        source = pack / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (lab.chain / "var").mkdir(exist_ok=True)
    password = lab.chain / PASSWORD_FILE
    password.parent.mkdir(exist_ok=True)
    password.write_text(lab.erp.password + "\n", encoding="utf-8")
    password.chmod(0o600)
    apply(lab.chain, edits(lab))
    return lab.chain


def apply(root: Path, wanted: Sequence[Edit]) -> None:
    """Edit the files under `root`. Raises ConfigError naming every edit that found less than it must."""
    problems: list[Problem] = []
    for edit in wanted:
        found = 0
        for path in sorted(root.glob(edit.glob)):
            text, count = re.subn(edit.pattern, _expander(edit), path.read_text(encoding="utf-8"))
            if count:
                path.write_text(text, encoding="utf-8")
            found += count
        if found < edit.least:
            message = (
                f"the lab looks for {edit.pattern!r} {edit.least} times and found it {found} times; adapt lab.chain"
            )
            problems.append(Problem(file=edit.glob, message=message))
    if problems:
        raise ConfigError(problems)


def _expander(edit: Edit) -> Callable[[re.Match[str]], str]:
    """Fill `\\1`, `\\2` of the replacement; a function, because a path may hold what a template would interpret."""

    def expand(match: re.Match[str]) -> str:
        text = edit.replacement
        for number, group in enumerate(match.groups(), 1):
            text = text.replace(f"\\{number}", group)
        return text

    return expand


def _url(glob: str, old: str, new: str) -> Edit:
    return Edit(glob=glob, pattern=re.escape(old), replacement=new)


def _schedule(glob: str, schedule: str) -> Edit:
    return Edit(glob=glob, pattern=r'\bschedule: "[^"]+"', replacement=f'schedule: "{schedule}"', least=len(SHOPS))


def _service_argv(lab: Lab) -> str:
    """A JSON list, which YAML reads as well. The path stands in the arguments because a runbook may run with none."""
    source = Path(tillwatch.__file__).resolve().parents[1]
    head = ["/usr/bin/env", f"PYTHONPATH={source}", sys.executable, "-m", "tillwatch.lab.service"]
    return json.dumps([*head, "--lab", str(lab.root), "\\1", "\\2"], ensure_ascii=False).replace("\\\\", "\\")
