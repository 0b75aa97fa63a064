"""Who evaluates the shares of a population: this process, others on this computer, or those of a Dask cluster.

Every share is a call of one function with the same objective; a worker that is lost costs time, never a result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import get_context
from typing import Any

import cloudpickle

from dmmlab.files import DMMError
from dmmlab.neurons import KINDS
from dmmlab.objective import Objective

PATIENCE = 20  # times that lost workers of this computer are replaced

Evaluate = Callable[[list], list]
Function = Callable[[Objective, Any], Any]


@contextmanager
def evaluator(function: Function, objective: Objective, workers: int = 1, scheduler: str | None = None) -> Iterator:
    """Gives a function from shares to the results of function(objective, share), in their order.

    One worker is this process; more are processes of this computer. With a scheduler they are those of a Dask cluster:
    an address, or "local" for a cluster of so many workers here. Raises DMMError for a scheduler that does not answer.
    """
    if scheduler is not None:
        with connect(workers, scheduler) as client:
            # As the result of a task it is computed anew where it got lost, which data sent out once would not be.
            packed = client.submit(_same, _pack(function, objective), pure=False)
            client.replicate([packed])  # or all shares would go where it is
            yield lambda shares: client.gather(client.map(_call, [packed] * len(shares), shares, pure=False))
    elif workers > 1:
        yield from _pool(_pack(function, objective), workers)
    else:
        yield lambda shares: [function(objective, share) for share in shares]


def _pool(packed: bytes, workers: int) -> Iterator[Evaluate]:
    pools = []

    def start() -> None:
        # Their own copy comes first: sent with each share it would take as long as a small share does.
        pools.append(ProcessPoolExecutor(workers, get_context("spawn"), _hold, (packed,)))

    def evaluate(shares: list) -> list:
        while True:
            try:
                return list(pools[-1].map(_call_held, shares))
            except BrokenProcessPool:
                if len(pools) > PATIENCE:
                    raise DMMError(
                        "workers end again and again; in a script, ask for them under if __name__ == '__main__'"
                    ) from None
                start()

    start()
    try:
        yield evaluate
    finally:
        pools[-1].shutdown(cancel_futures=True)


@contextmanager
def connect(workers: int, scheduler: str) -> Iterator:
    """The client of a Dask scheduler, of a cluster of its own for "local". Raises DMMError where none answers."""
    import dask
    from distributed import Client, LocalCluster

    # A share is given to another worker however often one is lost; only its owner knows that it is not to blame.
    patience = {"distributed.scheduler.allowed-failures": 1_000_000}
    quiet = {"processes": True, "dashboard_address": None, "silence_logs": logging.CRITICAL}
    cluster = None
    try:
        if scheduler == "local":
            with dask.config.set(patience):
                cluster = LocalCluster(n_workers=workers, threads_per_worker=1, **quiet)
        client = Client(cluster or scheduler, set_as_default=False, timeout=5)
    except (OSError, ValueError, TypeError) as error:
        raise DMMError(f"scheduler {scheduler!r}: no answer ({error}); start one, or leave it out") from None
    try:
        yield client
    finally:
        client.close()
        if cluster is not None:
            cluster.close()


# ---- what crosses to a worker: also the kinds that the machines use, for some may be the user's own ----


def _pack(function: Function, objective: Objective) -> bytes:
    names = {*objective.machine.neurons.values(), *objective.task.teacher.neurons.values()}
    return cloudpickle.dumps(({name: KINDS[name] for name in names}, cloudpickle.dumps((function, objective))))


@lru_cache(maxsize=4)
def _unpack(packed: bytes) -> tuple[Function, Objective]:
    kinds, both = cloudpickle.loads(packed)
    KINDS.update({name: kind for name, kind in kinds.items() if name not in KINDS})
    return cloudpickle.loads(both)


def _call(packed: bytes, share: Any) -> Any:
    function, objective = _unpack(packed)
    return function(objective, share)


def _hold(packed: bytes) -> None:
    _HELD[:] = [packed]


def _call_held(share: Any) -> Any:
    return _call(_HELD[0], share)


_HELD: list[bytes] = []


def _same(packed: bytes) -> bytes:
    return packed
