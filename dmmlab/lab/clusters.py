"""Workers: processes of this computer, or those of a Dask scheduler by its address, which do runs beside each other."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

from dmmlab.engine.threads import engine_threads, interrupts_later
from dmmlab.files import DMMError
from dmmlab.lab.kernels import stop_kernels

if TYPE_CHECKING:
    from distributed import LocalCluster


@contextmanager
def connect(workers: int, scheduler: str | None) -> Iterator:
    """The client of the Dask scheduler at an address, or of one that has so many processes of this computer.
    Raises DMMError where none answers.
    """
    from distributed import Client

    with ExitStack() as stack:
        if scheduler is None:
            stack.enter_context(engine_threads(1 if workers > 1 else None))
            with _interrupts_later():
                scheduler = stack.enter_context(_start_cluster(workers))
        try:
            client = Client(scheduler, set_as_default=False, timeout=5)
        except (OSError, ValueError, TypeError) as error:
            raise DMMError(f"scheduler {scheduler!r}: no answer ({error}); start one, or leave it out") from None
        yield stack.enter_context(client)


def _start_cluster(workers: int) -> LocalCluster:
    from distributed import LocalCluster

    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        preload=__name__,
        dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "localhost:0"},  # or it warns where 8787 is taken
        silence_logs=logging.CRITICAL,
    )


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C waits for the end of the block, for workers that are half begun cannot be closed in order.

    A terminal sends it to them too: they begin with it blocked, until `dask_setup` ignores it.
    """
    with interrupts_later() as held:
        if not held or os.name != "posix":
            yield
            return
        resource_tracker.ensure_running()  # it would begin with the first worker, and let interrupts through again
        try:
            _change_mask("SIG_BLOCK")
            yield
        finally:
            _change_mask("SIG_UNBLOCK")


def _change_mask(how: str) -> None:
    if os.name == "posix":
        signal.pthread_sigmask(getattr(signal, how), [signal.SIGINT])


def dask_setup(worker: Any) -> None:
    """Called when a worker of Dask begins that was told to preload this module: Ctrl-C is for the one who began it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _change_mask("SIG_UNBLOCK")


def dask_teardown(worker: Any) -> None:
    """Called when such a worker is closed."""
    stop_kernels()
