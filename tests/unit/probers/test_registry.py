"""Declared probes become ready ones, or every problem is told."""

from pathlib import Path

import pytest
from tests.unit.probers.chains import chain
from tests.unit.probers.fakes import FakeSource

from tillwatch.errors import ConfigError, UsageError
from tillwatch.probers.registry import Ready, builtin, chosen, prepare


class FakeSources:
    def get(self, system: str) -> FakeSource:
        source = FakeSource()
        source.id = system
        return source


def prepared(root: Path, probes: str) -> dict[str, Ready]:
    return prepare(chain(root, probes), builtin(), FakeSources())


def problems(root: Path, probes: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        prepared(root, probes)
    return [str(problem) for problem in caught.value.problems]


def test_every_prober_of_the_design_is_there() -> None:
    assert set(builtin()) == {"http", "tcp", "tls", "dns", "sql", "freshness", "source", "host"}


def test_a_target_knows_its_system_its_site_its_source_and_what_is_secret(tmp_path: Path) -> None:
    ready = prepared(
        tmp_path,
        """\
  - {id: login, prober: source, system: erp, every: 60s}
  - {id: fresh, prober: freshness, system: till, interface: orders-chaoyang, every: 30s, options: {dataset: synced, max_age: 15m}}
  - {id: api, prober: http, target: "http://erp.example:8000/", every: 15s, options: {user: till, password: "${env:ERP_PASSWORD}"}}
""",
    )
    login, fresh, api = (ready[name].target for name in ("login", "fresh", "api"))
    assert login.system is not None and login.source is not None
    assert (login.system.id, login.source.id, login.site) == ("erp", "erp", "hq")
    assert login.secrets == ("geheim-7788",)
    assert "geheim-7788" not in repr(login)
    assert (fresh.site, fresh.secrets) == ("chaoyang", ("pw-of-till",))
    assert ready["fresh"].labels == {
        "probe": "fresh",
        "system": "till",
        "interface": "orders-chaoyang",
        "site": "chaoyang",
    }
    assert (ready["api"].labels, api.secrets) == ({"probe": "api"}, ("geheim-7788",))
    assert login.peers == ("http://erp.example:8000",)


def test_all_problems_are_told_at_once_each_where_it_stands(tmp_path: Path) -> None:
    assert problems(
        tmp_path,
        """\
  - {id: a, prober: htpp, every: 15s}
  - {id: b, prober: http, target: "ftp://x", every: 15s, options: {statuses: [200]}}
  - {id: c, prober: http, target: "http://x/", every: 15s, options: {status: [200]}}
  - {id: d, prober: tcp, target: "10.0.0.5", every: 15s}
  - {id: e, prober: freshness, system: till, every: 15s, options: {dataset: synced, max_age: soon}}
  - {id: f, prober: source, every: 15s}
  - {id: g, prober: http, target: "http://x/", every: 15s, options: {body_matches: ["("]}}
  - {id: h, prober: freshness, system: till, every: 15s}
""",
    ) == [
        "probes/all.yaml:2:10: probe 'a': there is no prober 'htpp'; did you mean 'http'?",
        "probes/all.yaml:3:10: probe 'b': target 'ftp://x' is not an http:// or https:// URL with a host; write http://10.0.0.5:8000/health",
        "probes/all.yaml:4:70: options of probe 'c' (http): unknown key 'status'; did you mean 'statuses'?",
        "probes/all.yaml:5:10: probe 'd': target '10.0.0.5' is not host:port; write for example 10.0.0.5:8000 or [fd00::5]:8000",
        "probes/all.yaml:6:94: options of probe 'e' (freshness): 'soon' is not a duration; write for example 30s, 5m or 1h30m",
        "probes/all.yaml:7:10: probe 'f': a source probe needs the key 'system'",
        "probes/all.yaml:8:85: options of probe 'g' (http): '(' is not an RE2 pattern: missing ): (",
        "probes/all.yaml:9:10: probe 'h': options (freshness): missing key 'dataset'",
        "probes/all.yaml:9:10: probe 'h': options (freshness): missing key 'max_age'",
    ]


@pytest.mark.parametrize(
    ("prober", "target", "wrong"),
    [
        ("http", "http://user:pw@x/", "the target holds a user or password"),
        ("http", "", "is not an http:// or https:// URL"),
        ("http", "http://", "is not an http:// or https:// URL"),
        ("http", "http://x:99999/", "is not"),
        ("tcp", "http://x:80", "holds more than host:port"),
        ("tcp", "x:0", "is not host:port"),
        ("tcp", "x:٨٠", "is not host:port"),
        ("tls", "x y:443", "holds more than host:port"),
        ("tls", "", "is not host:port"),
        ("dns", "a..b", "is not a name to look up"),
        ("dns", "http://x", "is not a name to look up"),
        ("host", "x", "remove the key 'target'"),
    ],
)
def test_a_malformed_target_is_refused_before_anything_runs(
    tmp_path: Path, prober: str, target: str, wrong: str
) -> None:
    found = problems(tmp_path, f'  - {{id: a, prober: {prober}, target: "{target}", every: 15s}}\n')
    assert len(found) == 1
    assert wrong in found[0]


@pytest.mark.parametrize("target", ["10.0.0.5:80", "[fd00::5]:80", "erp.example:8000", "收银.example:80"])
def test_a_good_address_is_accepted(tmp_path: Path, target: str) -> None:
    assert set(prepared(tmp_path, f'  - {{id: a, prober: tcp, target: "{target}", every: 15s}}\n')) == {"a"}


def test_choosing_an_unknown_probe_names_what_is_close(tmp_path: Path) -> None:
    ready = prepared(tmp_path, '  - {id: erp-tcp, prober: tcp, target: "x:1", every: 15s}\n')
    assert [item.target.probe.id for item in chosen(ready, ["erp-tcp", "erp-tcp"])] == ["erp-tcp"]
    with pytest.raises(UsageError, match=r"there is no probe 'erp-tpc'; did you mean 'erp-tcp'\?"):
        chosen(ready, ["erp-tpc"])
