"""Who compares the units of a large audit: processes of this machine, or a dask cluster."""

import importlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, Protocol

from tillwatch.audit.turns import QUERIES_PER_DATABASE
from tillwatch.config.declared import ChainConfig
from tillwatch.errors import UsageError


class Workers(Protocol):
    """Where units are computed."""

    def executor(self) -> Any:
        """A context manager that gives a concurrent.futures Executor."""
        ...


@dataclass(frozen=True, kw_only=True)
class ProcessWorkers:
    """Processes of this machine, started for one audit and gone with it; a start is nothing beside a large audit."""

    processes: int = QUERIES_PER_DATABASE

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        # Spawned, not forked: this process has threads, and connections that must not be shared.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.processes, mp_context=context, initializer=_end_with_parent)
        try:
            yield pool
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True, kw_only=True)
class DaskWorkers:
    """The workers of a dask.distributed scheduler; each needs tillwatch and the chain directory at the same path."""

    address: str

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        try:
            distributed = importlib.import_module("distributed")
        except ImportError as error:
            raise UsageError("audits on a dask cluster need the extra: pip install 'tillwatch[dask]'") from error
        with distributed.Client(self.address, set_as_default=False) as client:
            yield client.get_executor(pure=False)


def workers_of(config: ChainConfig) -> Workers:
    """The dask cluster the chain names, else processes here."""
    return DaskWorkers(address=config.compare.dask) if config.compare.dask else ProcessWorkers()


def _end_with_parent() -> None:
    """A worker whose parent was killed ends: nobody waits for what it computes, and it would hold its connections."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.sentinel,), daemon=True).start()


def _watch(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
