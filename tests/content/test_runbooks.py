"""The runbooks that ship: every alert has exactly one, both languages are there, and every one can be planned."""

import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tillwatch.audit.verdict import DRIFT, INCONCLUSIVE, SYNC_LAG
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import RunbookError
from tillwatch.model.alert import AlertState, Episode
from tillwatch.model.incident import Component, ComponentKind
from tillwatch.probers.verdict import ALERT_NAMES
from tillwatch.runbook import plan
from tillwatch.runbook.actions import REGISTRY
from tillwatch.runbook.document import Runbook
from tillwatch.runbook.inventory import choices, resolve
from tillwatch.runbook.lint import load_all
from tillwatch.runbook.snapshot import Snapshot
from tillwatch.runbook.suggest import suggest
from tillwatch.validation import verdict as validation

ROOT = Path(__file__).parents[2]
LANGUAGES = {"zh", "en"}
#: Shorter prose is a placeholder.
MIN_PROSE_CHARACTERS = 15


@pytest.fixture(scope="module")
def config() -> ChainConfig:
    return load(ROOT, environment={"ERP_PASSWORD": "geheim-7788"})


@pytest.fixture(scope="module")
def books(config: ChainConfig) -> dict[str, Runbook]:
    return load_all(config, REGISTRY)


def alert_names() -> set[str]:
    names = {*ALERT_NAMES.values(), DRIFT, INCONCLUSIVE, SYNC_LAG, validation.INVALID, validation.INCONCLUSIVE}
    for path in (ROOT / "alerts" / "rules").glob("*.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            names |= {rule["alert"] for rule in group["rules"] if "alert" in rule}
    return names


def test_every_alert_has_exactly_one_runbook_and_no_runbook_serves_an_alert_that_is_not_there(
    books: dict[str, Runbook],
) -> None:
    served = Counter(name for book in books.values() if not book.head.carries for name in book.head.serves)
    assert {name: served[name] for name in alert_names() | set(served)} == dict.fromkeys(alert_names(), 1)


@pytest.mark.parametrize(
    ("interface", "expected"),
    [("stock-chaoyang", "stock-drift"), ("orders-chaoyang", "orders-replay"), ("", "orders-replay")],
)
def test_drift_of_stock_has_a_runbook_of_its_own(
    books: dict[str, Runbook], config: ChainConfig, interface: str, expected: str
) -> None:
    now = datetime(2026, 11, 24, 3, tzinfo=UTC)
    labels = {"alertname": DRIFT, "interface": interface, "audit": interface or "orders-chaoyang"}
    episode = Episode(
        id=1,
        fingerprint="f",
        source="audit",
        labels=labels,
        annotations={},
        starts_at=now,
        state=AlertState.FIRING,
        ends_at=None,
        lease_until=None,
        updated_at=now,
        incident=7,
    )
    component = Component(kind=ComponentKind.INTERFACE, id=interface or "orders-chaoyang")
    (link,) = suggest(books, config, component, [episode], 7)
    assert (link.id, dict(link.params)) == (expected, {"audit": interface or "orders-chaoyang"})


def test_two_runbooks_for_one_alert_of_one_kind_of_data_are_a_problem(tmp_path: Path) -> None:
    for name in ("runbooks", "probes", "alerts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "tillwatch.yaml", tmp_path)
    for ending in (".md", ".en.md"):
        text = (tmp_path / "runbooks" / f"stock-drift{ending}").read_text(encoding="utf-8")
        (tmp_path / "runbooks" / f"other{ending}").write_text(
            text.replace("id: stock-drift", "id: other").replace("[stock, prices]", "[prices]"), encoding="utf-8"
        )
    with pytest.raises(RunbookError, match=r"serves 'Drift' of interfaces that carry prices, which .* serves already"):
        load_all(load(tmp_path, environment={"ERP_PASSWORD": "geheim-7788"}), REGISTRY)


def test_every_runbook_speaks_both_languages_throughout(books: dict[str, Runbook]) -> None:
    for book in books.values():
        assert set(book.prose) == LANGUAGES, book.file
        for step in book.steps:
            assert set(step.prose) == LANGUAGES, f"{book.file}: {step.spec.id}"
            assert all(len(text) >= MIN_PROSE_CHARACTERS for text in step.prose.values()), (
                f"{book.file}: {step.spec.id}"
            )


def test_every_runbook_becomes_a_plan_that_reads_back_as_itself(books: dict[str, Runbook], config: ChainConfig) -> None:
    for book in books.values():
        given = {name: choices(param, config)[0] for name, param in book.head.params.items()}
        resolved = resolve(book.head.params, given, config)
        assert resolved.problems == {}, book.file
        made = plan.snapshot(book, resolved, REGISTRY)
        assert Snapshot.from_json(made.to_json()) == made
        assert len(made.digest) == 64


def test_whatever_writes_into_a_business_system_waits_for_an_approval(books: dict[str, Runbook]) -> None:
    writing = {"source.repair", "source.replay", "sql.run", "http.request", "process.stop_offender"}
    steps = [step for book in books.values() for step in book.steps if step.spec.do in writing]
    assert steps
    assert all(step.spec.approve is not None for step in steps)
