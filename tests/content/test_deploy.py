"""What docker-compose.yml mounts is checked with the tools that read it; no container engine is needed for that."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _run(*argv: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)


def test_docker_compose_accepts_the_file_and_every_mounted_file_exists() -> None:
    done = _run("docker-compose", "-f", "docker-compose.yml", "config")
    assert done.returncode == 0, done.stderr
    mounted = [
        line.split("- ", 1)[1].split(":")[0]
        for line in done.stdout.splitlines()
        if line.strip().startswith(f"- {ROOT}")
    ]
    assert len(mounted) >= 5
    missing = [path for path in mounted if not Path(path).exists() and Path(path).name != "chain"]
    assert missing == []


def test_prometheus_accepts_its_configuration(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("x")
    config = tmp_path / "prometheus.yml"
    text = (ROOT / "deploy/prometheus.yml").read_text()
    text = text.replace("/run/secrets/tillwatch_token", str(token))
    config.write_text(text.replace("/etc/prometheus/rules", str(ROOT / "alerts/rules")))
    done = _run("promtool", "check", "config", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


def test_alertmanager_accepts_its_configuration() -> None:
    done = _run("amtool", "check-config", "deploy/alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_dashboard_is_what_its_python_says() -> None:
    done = _run(sys.executable, "dashboards/build.py", "--check")
    assert done.returncode == 0, done.stderr


def test_every_panel_has_a_title_in_both_languages_a_description_and_a_unit() -> None:
    for path in sorted((ROOT / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            assert " · " in panel["title"], panel["title"]
            if panel["type"] != "row":
                assert panel["description"], panel["title"]
                assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
