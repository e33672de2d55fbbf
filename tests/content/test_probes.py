"""The probes that ship with the product can all be made ready."""

from pathlib import Path

import pytest

from tillwatch.clock import ManualClock
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.probers.registry import builtin, prepare
from tillwatch.sources import registry

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config() -> ChainConfig:
    return load(ROOT, environment={"ERP_PASSWORD": "geheim-7788"})


def test_every_probe_of_the_pack_has_a_prober_valid_options_and_a_target_that_makes_sense(config: ChainConfig) -> None:
    sources = registry.build(config, clock=ManualClock())
    ready = prepare(config, builtin(), sources)
    assert set(ready) == {probe.id for probe in config.probes}
    assert ready


def test_every_interface_and_every_system_of_the_pack_is_looked_at(config: ChainConfig) -> None:
    about = {probe.interface for probe in config.probes} | {audit.interface for audit in config.audits}
    assert {interface.id for interface in config.interfaces} <= about
    assert {system.id for system in config.systems} <= {probe.system for probe in config.probes}


def test_a_stale_sync_is_judged_by_what_waits_so_that_a_closed_shop_wakes_nobody(config: ChainConfig) -> None:
    fresh = [probe for probe in config.probes if probe.prober == "freshness"]
    assert fresh
    for probe in fresh:
        assert probe.options is not None
        assert "waiting" in probe.options.entries


def test_every_probe_has_a_name_for_people_in_both_languages(config: ChainConfig) -> None:
    for probe in config.probes:
        assert set(probe.name) == {"en", "zh"}, probe.id
