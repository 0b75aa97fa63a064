"""Threads: members and strings are shared among the cores, for compiled code runs without Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import local

import numpy as np

from dmmlab.files import DMMError, usable_cores

WORTH = 400_000  # numbers to compute: with less than that, handing it to a thread takes longer than doing it
_own = local()


def threads() -> int:
    """How many threads share the work: the cores this process may use, or what DMMLAB_THREADS says."""
    said = os.environ.get("DMMLAB_THREADS", "")
    if said:
        if not said.isascii() or not said.isdigit() or not int(said):
            raise DMMError(f"DMMLAB_THREADS is {said!r}; it is a whole number of at least 1, or not set")
        return int(said)
    return usable_cores()


def room(size: int, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays of at least that size that belong to this thread; what they hold is what the last user left."""
    kept = _own.__dict__.get(dtype)
    if kept is None or len(kept[0]) < size:
        kept = _own.__dict__[dtype] = np.zeros(size, dtype), np.zeros(size, dtype)
    return kept


@cache
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "dmmlab")


def share(do: Callable[[int, int, int, int], None], costs: list[int], members: int) -> None:
    """Call do(first string, end, first member, end) until all are done, on threads where there is enough to do.

    `costs` are the numbers to compute for one member, one a string. The order of the calls is open, so each must have
    its own place for what it finds.
    """
    workers = threads() if sum(costs) * members > WORTH else 1
    if workers == 1 or len(costs) * members == 1:
        do(0, len(costs), 0, members)
        return
    size = max(1, -(-members // (4 * workers)))
    heavy_first = np.argsort(costs, kind="stable")[::-1].tolist()
    starts = range(0, members, size)
    spans = [(i, i + 1, start, min(start + size, members)) for i in heavy_first for start in starts]
    for _ in _pool(os.getpid(), workers).map(lambda span: do(*span), spans):
        pass
