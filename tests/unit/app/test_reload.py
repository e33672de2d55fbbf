"""What holds while a chain directory is exchanged: one at a time, and the last good one when anything fails."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.served_process import CHAIN, ROUTES

from tillwatch.app import App, build
from tillwatch.app.reload import Reloader
from tillwatch.config.declared import ChainConfig
from tillwatch.config.load import load
from tillwatch.errors import ConfigError, RefusedError, StoreError

SUCCESSFUL = "tillwatch_config_last_reload_successful"


class Idle:
    """Nothing is under way on what answered before."""

    def wait_until_idle(self, seconds: float) -> bool:  # noqa: ARG002
        return True


@pytest.fixture
def config(tmp_path: Path) -> ChainConfig:
    (tmp_path / "alerts").mkdir()
    (tmp_path / "tillwatch.yaml").write_text(CHAIN, encoding="utf-8")
    (tmp_path / "alerts/routes.yaml").write_text(ROUTES, encoding="utf-8")
    return load(tmp_path)


@pytest.fixture
def running(config: ChainConfig) -> Iterator[App]:
    app = build(config)
    app.start()
    yield app
    app.stop()


def make(running: App, read: Callable[[], ChainConfig], show: Callable[[App], Idle], said: list[str]) -> Reloader:
    return Reloader(running, read=read, show=show, say=said.append)


def test_the_new_app_answers_before_the_old_loops_end_and_says_so(running: App, config: ChainConfig) -> None:
    shown: list[tuple[App, bool]] = []
    said: list[str] = []

    def show(after: App) -> Idle:
        shown.append((after, all(loop.problem == "" for loop in running.loops.loops())))
        return Idle()

    reloader = make(running, lambda: config, show, said)
    reloader.reload()
    [(after, was_well)] = shown
    assert was_well
    assert [loop.name for loop in after.loops.loops()] == [loop.name for loop in running.loops.loops()]
    assert after.metrics.value(SUCCESSFUL) == 1
    assert said == ["tillwatch: demo reloaded"]
    reloader.stop()


def test_a_second_reload_at_the_same_time_is_refused(running: App, config: ChainConfig) -> None:
    refused: list[RefusedError] = []

    def read() -> ChainConfig:
        if not refused:
            with pytest.raises(RefusedError) as second:
                reloader.reload()
            refused.append(second.value)
        return config

    reloader = make(running, read, lambda _: Idle(), [])
    reloader.reload()
    assert "being read already" in str(refused[0])
    reloader.stop()


@pytest.mark.parametrize("error", [StoreError("the disk is full"), RefusedError("open to everybody")])
def test_whatever_fails_before_the_exchange_leaves_the_old_one_running(
    running: App, config: ChainConfig, error: StoreError | RefusedError
) -> None:
    def show(_: App) -> Idle:
        raise error

    said: list[str] = []
    reloader = make(running, lambda: config, show, said)
    with pytest.raises(type(error)):
        reloader.reload()
    assert running.metrics.value(SUCCESSFUL) == 0
    assert str(error) in said[0]
    assert len(running.loops.loops()) > 3
    running.ingest.receive([], source="test")
    reloader.quietly()
    reloader.stop()


def test_the_address_the_store_and_the_chains_name_stay(running: App, config: ChainConfig) -> None:
    moved = replace(
        config,
        chain=config.chain.model_copy(update={"id": "other"}),
        listen=config.listen.model_copy(update={"port": 1}),
        store=config.store.model_copy(update={"url": "sqlite:///other.db"}),
    )
    reloader = make(running, lambda: moved, lambda _: Idle(), [])
    with pytest.raises(ConfigError) as caught:
        reloader.reload()
    assert [problem.message.split()[0] for problem in caught.value.problems] == ["chain.id", "listen", "store.url"]
    reloader.stop()
