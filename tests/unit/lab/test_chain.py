"""The lab's chain directory: loadable, with this lab's places, and never silently apart from the reference chain."""

from datetime import timedelta
from pathlib import Path

import pytest

from tillwatch.config.load import load, pack_root
from tillwatch.errors import ConfigError
from tillwatch.lab import chain
from tillwatch.lab.chain import Edit
from tillwatch.lab.layout import Lab, Ports


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(root=tmp_path / "a lab, 演示", ports=Ports(erp=1111, inbox=2222, server=3333, prometheus=4444))


def test_the_rendered_chain_loads_and_points_at_the_lab(lab: Lab) -> None:
    config = load(chain.render(lab, pack_root()))
    assert config.listen.port == 3333
    assert config.store.url == f"sqlite:///{lab.chain}/var/tillwatch.db"
    paces = {probe.id: probe.every for probe in config.probes}
    assert paces.pop("erp-login") == timedelta(seconds=5)
    assert set(paces.values()) == {timedelta(seconds=2)}
    assert {audit.settle for audit in config.audits} == {timedelta(seconds=8)}
    text = (lab.chain / "tillwatch.yaml").read_text(encoding="utf-8")
    for gone in ("8000", "9999", "var/lab", "env:ERP_PASSWORD", '"python"'):
        assert gone not in text


def test_a_service_is_started_with_arguments_that_need_no_environment(lab: Lab) -> None:
    service = load(chain.render(lab, pack_root())).service("erp")
    assert list(service.start[-5:]) == ["tillwatch.lab.service", "--lab", str(lab.root), "start", "erp"]
    assert list(service.stop[-2:]) == ["stop", "erp"]
    assert service.start[1].startswith("PYTHONPATH=/")


def test_the_password_stands_in_a_file_only_its_owner_reads(lab: Lab) -> None:
    chain.render(lab, pack_root())
    secret = lab.chain / chain.PASSWORD_FILE
    assert secret.stat().st_mode & 0o077 == 0
    assert lab.erp.password not in (lab.chain / "tillwatch.yaml").read_text(encoding="utf-8")


def test_rendering_again_keeps_the_state_and_drops_old_files(lab: Lab) -> None:
    chain.render(lab, pack_root())
    (lab.chain / "var" / "tillwatch.db").write_text("kept", encoding="utf-8")
    (lab.chain / "probes" / "old.yaml").write_text("probes: []", encoding="utf-8")
    chain.render(lab, pack_root())
    assert (lab.chain / "var" / "tillwatch.db").read_text(encoding="utf-8") == "kept"
    assert not (lab.chain / "probes" / "old.yaml").exists()


def test_every_place_that_is_no_longer_found_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("port: 8080\n", encoding="utf-8")
    wanted = [
        Edit(glob="x.yaml", pattern="port: 8080", replacement="port: 1"),
        Edit(glob="x.yaml", pattern="gone", replacement=""),
        Edit(glob="y.yaml", pattern="port", replacement="", least=2),
    ]
    with pytest.raises(ConfigError) as caught:
        chain.apply(tmp_path, wanted)
    assert [str(problem) for problem in caught.value.problems] == [
        "x.yaml: the lab looks for 'gone' 1 times and found it 0 times; adapt lab.chain",
        "y.yaml: the lab looks for 'port' 2 times and found it 0 times; adapt lab.chain",
    ]
