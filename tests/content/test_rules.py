"""Prometheus rules: accepted, tested on both sides of their limits, explained in both languages, with a runbook each."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tillwatch.metrics import METRICS
from tillwatch.probers.verdict import ALERT_NAMES

ROOT = Path(__file__).parents[2]
RULES = sorted((ROOT / "alerts/rules").glob("*.yml"))
TESTS = sorted((ROOT / "alerts/tests").glob("*_test.yml"))
#: Raised by audits and validations; like the probes' own they must not be rules too.
AUDIT_ALERTS = {"Drift", "SyncLag", "AuditInconclusive", "DataInvalid", "ValidationInconclusive"}
SEVERITIES = {"critical", "warning", "info", "none"}


@dataclass(frozen=True, kw_only=True)
class Alert:
    file: str
    name: str
    rule: dict[str, Any]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def alerts() -> Iterator[Alert]:
    for path in RULES:
        for group in load(path)["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    yield Alert(file=path.name, name=rule["alert"], rule=rule)


ALERTS = list(alerts())


def promtool(*arguments: str) -> str:
    """Run promtool. It must be there: rules nobody ran are not rules."""
    executable = shutil.which("promtool")
    assert executable, "promtool is missing; install it with: apt-get install prometheus"
    done = subprocess.run([executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_accepts_every_rule_file() -> None:
    assert RULES
    promtool("check", "rules", *map(str, RULES))


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_finds_alerts_silent_before_their_limit_and_firing_at_it(path: Path) -> None:
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.rule['labels']['severity']}")
def test_an_alert_says_what_and_what_to_do_in_both_languages(alert: Alert) -> None:
    annotations = alert.rule["annotations"]
    assert alert.rule["labels"]["severity"] in SEVERITIES
    assert annotations["summary"].isascii()
    assert any("\u4e00" <= character <= "\u9fff" for character in annotations["summary_zh"])
    assert annotations["runbook_url"].startswith("/runbooks/")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.rule['labels']['severity']}")
def test_the_runbook_of_an_alert_is_the_one_that_serves_it(alert: Alert) -> None:
    runbook = alert.rule["annotations"]["runbook_url"].removeprefix("/runbooks/")
    text = (ROOT / "runbooks" / f"{runbook}.md").read_text(encoding="utf-8")
    assert alert.name in yaml.safe_load(text.split("---")[1])["serves"]


def sides_tested(name: str, severity: str) -> set[bool]:
    """True when some test expects the alert, False when some test expects its absence."""
    found: set[bool] = set()
    for path in TESTS:
        for case in load(path)["tests"]:
            for check in case.get("alert_rule_test", ()):
                if check["alertname"] == name:
                    expected = check["exp_alerts"]
                    found.add(any(item["exp_labels"]["severity"] == severity for item in expected))
    return found


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.rule['labels']['severity']}")
def test_an_alert_is_tested_for_firing_and_for_silence(alert: Alert) -> None:
    # Watchdog is never silent: that is its job.
    wanted = {True} if alert.name == "Watchdog" else {True, False}
    assert sides_tested(alert.name, alert.rule["labels"]["severity"]) == wanted


def test_a_name_is_evaluated_in_one_place_only() -> None:
    names = {alert.name for alert in ALERTS}
    assert not names & (set(ALERT_NAMES.values()) | AUDIT_ALERTS)
    files: dict[str, set[str]] = {}
    for alert in ALERTS:
        files.setdefault(alert.name, set()).add(alert.file)
    assert all(len(where) == 1 for where in files.values())


def test_rules_ask_only_for_metrics_we_expose() -> None:
    known = {metric.name for metric in METRICS} | {"up"}
    recorded = {
        rule["record"]
        for path in RULES
        for group in load(path)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    for path in RULES:
        for group in load(path)["groups"]:
            for rule in group["rules"]:
                for word in words(rule["expr"]):
                    assert word in known | recorded, f"{path.name}: {word} is not exposed"


def words(expression: str) -> set[str]:
    """Words of `expression` that look like our metrics."""
    cleaned = "".join(character if character.isalnum() or character in "_:" else " " for character in expression)
    prefixes = ("tillwatch_", "node_", "probe_", "probe:")
    return {word for word in cleaned.split() if word.startswith(prefixes)}
