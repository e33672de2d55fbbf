"""The ERP template is built once, by one builder at a time, and never seen half done."""

import threading
from pathlib import Path

import pytest

from tillwatch.errors import UnavailableError
from tillwatch.lab import erp


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tillwatch"


def built(folder: Path, _: object) -> None:
    (folder / "shop.sqlite").write_bytes(b"data")
    (folder / "erp.log").write_text("noise", encoding="utf-8")


def test_many_at_once_build_once_and_all_see_it_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[Path] = []
    everybody_waits = threading.Barrier(4, timeout=10)

    def build(folder: Path, progress: object) -> None:
        builds.append(folder)
        built(folder, progress)

    monkeypatch.setattr(erp, "_build", build)
    found: list[list[str]] = []

    def ask() -> None:
        everybody_waits.wait()
        found.append([path.name for path in erp.template().iterdir()])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [["shop.sqlite"]] * 4
    assert len(builds) == 1


def test_a_failed_build_leaves_no_template_and_the_next_starts_afresh(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    def fails(folder: Path, _: object) -> None:
        built(folder, _)
        (folder / "half").touch()
        raise UnavailableError("disk full")

    monkeypatch.setattr(erp, "_build", fails)
    with pytest.raises(UnavailableError, match="disk full"):
        erp.template()
    assert not (cache / erp.template_name()).exists()
    monkeypatch.setattr(erp, "_build", built)
    assert [path.name for path in erp.template().iterdir()] == ["shop.sqlite"]


def test_the_name_follows_what_decides_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    before = erp.template_name()
    assert erp.template_name() == before
    monkeypatch.setattr(erp, "_tryton_versions", lambda: ("trytond==8.9.9",))
    assert erp.template_name() != before


def test_without_the_erp_packages_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erp, "_tryton_versions", tuple)
    with pytest.raises(UnavailableError, match=r"pip install 'tillwatch\[lab\]'"):
        erp.template()
