"""A changed chain directory taken over by the running process. One that is wrong changes nothing."""

import gc
import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from tillwatch.app.build import App, build
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import ConfigError, Problem, RefusedError, StoreError, TillwatchError

#: What still runs on the old configuration is waited for so long before its store is closed.
DRAIN_SECONDS = 30.0

_log = structlog.get_logger("tillwatch.app")


class Retired(Protocol):
    """What answered before."""

    def wait_until_idle(self, seconds: float) -> bool: ...


class Reloader:
    """Holds the app that runs, and exchanges it.

    1. Read the directory and build everything; whatever is wrong is raised, and the running app goes on untouched.
    2. `show` the new app to whoever asks: from here on requests are its. Nothing was refused in between.
    3. Stop the old loops, start the new ones: never both at once.
    4. When the last request of the old app has ended, close it.
    """

    def __init__(
        self,
        running: App,
        *,
        read: Callable[[], ChainConfig],
        show: Callable[[App], Retired],
        say: Callable[[str], object],
    ) -> None:
        self._running = running
        self._read = read
        self._show = show
        self._say = say
        self._busy = threading.Lock()
        self._closing: list[threading.Thread] = []

    def reload(self) -> None:
        """Take over what the directory says now. Raises ConfigError with every problem; then nothing has changed."""
        if not self._busy.acquire(blocking=False):
            raise RefusedError("the chain directory is being read already; ask again when that is done")
        try:
            self._exchange()
        except TillwatchError as error:
            self._running.metrics.set("tillwatch_config_last_reload_successful", 0)
            self._say(f"tillwatch: the chain directory was not taken over, the last good one holds:\n{error}")
            raise
        finally:
            self._busy.release()
        self._say(f"tillwatch: {self._running.config.chain.id} reloaded")

    def quietly(self) -> None:
        """For a signal: nobody waits for an answer, and what is wrong has been said."""
        try:
            self.reload()
        except TillwatchError as error:
            _log.warning("not reloaded", error=str(error))

    def stop(self) -> None:
        """End the app that runs now, and those that are still ending."""
        # A reload under way ends first: what it starts must not outlive the process's end.
        with self._busy:
            self._running.stop()
        for thread in self._closing:
            thread.join(DRAIN_SECONDS)

    def _exchange(self) -> None:
        before = self._running
        config = self._read()
        _stays(before.config, config)
        after = build(config, clock=before.clock)
        after.ingest.goes_on_from(before.ingest)
        try:
            retired = self._show(after)
        except BaseException:
            after.stop()
            raise
        self._running = after
        # Frozen at the start so that no collection walks through it; what is old must be collectable again.
        gc.unfreeze()
        before.loops.stop()
        try:
            after.retire()
        except StoreError as error:
            _log.warning("alerts of probes that are gone are ended at the next start", error=str(error))
        after.run()
        self._closing = [thread for thread in self._closing if thread.is_alive()]
        closing = threading.Thread(target=_close, args=(before, retired), name="closing", daemon=True)
        self._closing.append(closing)
        closing.start()


def _stays(before: ChainConfig, after: ChainConfig) -> None:
    """Raises ConfigError when something changed that is the process's own for life."""
    changed = {
        "store.url": before.store.url != after.store.url,
        "listen": before.listen != after.listen,
        "chain.id": before.chain.id != after.chain.id,
    }
    message = "{} cannot change while the server runs; restart it"
    problems = [
        Problem(file="tillwatch.yaml", message=message.format(key)) for key, is_other in changed.items() if is_other
    ]
    if problems:
        raise ConfigError(problems)


def _close(app: App, retired: Retired) -> None:
    if not retired.wait_until_idle(DRAIN_SECONDS):
        _log.warning("requests on the old configuration did not end in time", seconds=DRAIN_SECONDS)
    app.stop()
    gc.collect()
    gc.freeze()
