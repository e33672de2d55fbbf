"""The processes of a lab, by name, in the order they start."""

import shutil
from collections.abc import Callable
from pathlib import Path

import httpx

from tillwatch.errors import UsageError
from tillwatch.lab.catalogue import SHOPS
from tillwatch.lab.daemon import Daemon, module_argv
from tillwatch.lab.layout import Lab

SERVER = "server"
ERP = "erp"
SYNC = "sync"
INBOX = "inbox"
PROMETHEUS = "prometheus"
REPORT_JOB = "report-job"

_PROMETHEUS_KEEPS = "2h"


def fleet(lab: Lab) -> dict[str, Daemon]:
    """Everything that runs from start to end; the report job runs only as a fault."""
    daemons = [
        _module(lab, INBOX, "inbox", ready=_answers(f"{lab.inbox_url}/messages")),
        lab.erp.daemon,
        *(_module(lab, f"till-{shop.id}", "till", shop.id) for shop in SHOPS),
        _module(lab, SYNC, "sync"),
        server(lab),
    ]
    if program := shutil.which("prometheus"):
        daemons.append(_prometheus(lab, program))
    return {daemon.name: daemon for daemon in daemons}


def server(lab: Lab) -> Daemon:
    return Daemon(
        name=SERVER,
        argv=module_argv("tillwatch", "-C", str(lab.chain), "serve"),
        folder=lab.run,
        environment={"ERP_PASSWORD": lab.erp.password},
        ready=_answers(f"{lab.url}/-/healthy"),
    )


def report_job(lab: Lab, seconds: float) -> Daemon:
    argv = module_argv("tillwatch.lab.report_job", "--seconds", f"{seconds:g}")
    return Daemon(name=REPORT_JOB, argv=argv, folder=lab.run)


def daemon(lab: Lab, name: str) -> Daemon:
    """Raises UsageError for a name that is not one of the lab's processes."""
    known = fleet(lab)
    if name not in known:
        raise UsageError(f"'{name}' is no process of the lab; choose one of {', '.join(known)}")
    return known[name]


def _module(lab: Lab, name: str, module: str, *arguments: str, ready: Callable[[], bool] | None = None) -> Daemon:
    argv = module_argv(f"tillwatch.lab.{module}", "--lab", str(lab.root), *arguments)
    return Daemon(name=name, argv=argv, folder=lab.run, ready=ready)


def _prometheus(lab: Lab, program: str) -> Daemon:
    url = f"http://127.0.0.1:{lab.ports.prometheus}"
    argv = (
        program,
        f"--config.file={lab.root / 'prometheus.yml'}",
        f"--storage.tsdb.path={lab.root / 'prometheus'}",
        f"--storage.tsdb.retention.time={_PROMETHEUS_KEEPS}",
        f"--web.listen-address=127.0.0.1:{lab.ports.prometheus}",
    )
    return Daemon(name=PROMETHEUS, argv=argv, folder=lab.run, ready=_answers(f"{url}/-/ready"))


def prometheus_settings(lab: Lab, rules: Path) -> str:
    """Scrape the server, evaluate the chain's rules, and send alerts to the server's own router."""
    server_address = f"127.0.0.1:{lab.ports.server}"
    lines = [
        "global: {scrape_interval: 5s, evaluation_interval: 5s}",
        f"rule_files: ['{rules}/*.yml']" if rules.is_dir() else "rule_files: []",
        "scrape_configs:",
        f"  - {{job_name: tillwatch, static_configs: [{{targets: ['{server_address}']}}]}}",
        "alerting:",
        f"  alertmanagers: [{{static_configs: [{{targets: ['{server_address}']}}]}}]",
    ]
    return "\n".join(lines) + "\n"


def _answers(url: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    return ready
