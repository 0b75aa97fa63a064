"""Threads: members and strings are shared among the cores, for compiled code runs without Python's lock."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import local

import numpy as np

from dmmlab.files import DMMError

WORTH = 600_000  # numbers to compute: with less than that, handing it to a thread takes longer than doing it
_own = local()


def threads() -> int:
    """How many threads share the work: the cores this process may use, or what DMMLAB_THREADS says."""
    said = os.environ.get("DMMLAB_THREADS", "")
    if said:
        if not said.isascii() or not said.isdigit() or not int(said):
            raise DMMError(f"DMMLAB_THREADS is {said!r}; it is a whole number of at least 1, or not set")
        return int(said)
    return usable_cores()


def buffers(sizes: Sequence[int], dtype: type) -> list[np.ndarray]:
    """Arrays of at least these sizes that belong to this thread; they hold what the last user left."""
    kept = _own.__dict__.setdefault(dtype, [np.zeros(0, dtype) for _ in sizes])
    for i, size in enumerate(sizes):
        if len(kept[i]) < size:
            kept[i] = np.zeros(size, dtype)
    return kept


@cache
def _pool(process: int, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "dmmlab")


def run_in_threads(do: Callable[[int, int, int, int], None], costs: list[int], members: int) -> None:
    """Call do(first string, end, first member, end) until all are done, on threads where there is enough to do.

    `costs` are the numbers to compute for one member, one a string. The order of the calls is open, so each must have
    its own place for what it finds.
    """
    work = sum(costs) * members
    workers = threads() if work > 2 * WORTH else 1
    if workers == 1 or len(costs) * members == 1:
        do(0, len(costs), 0, members)
        return
    pieces = workers * min(max(work // (len(costs) * workers * WORTH), 1), 4)
    size = -(-members // pieces)
    heavy_first = np.argsort(costs, kind="stable")[::-1].tolist()
    spans = deque(
        (i, i + 1, start, min(start + size, members)) for i in heavy_first for start in range(0, members, size)
    )

    def take() -> None:
        while True:
            try:
                span = spans.popleft()
            except IndexError:  # none left; what the work itself raises is not caught
                return
            do(*span)

    others = [_pool(os.getpid(), workers).submit(take) for _ in range(workers - 1)]
    take()
    for other in others:
        other.result()


def usable_cores() -> int:
    """The cores this process may use: fewer than the computer has under taskset, or where a queue grants them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def engine_threads(count: int | None) -> Iterator[None]:
    """Processes started meanwhile run the engine on so many threads, unless DMMLAB_THREADS is set; None: no change."""
    mine = count is not None and not os.environ.get("DMMLAB_THREADS")
    if mine:
        os.environ["DMMLAB_THREADS"] = str(count)
    try:
        yield
    finally:
        if mine:
            del os.environ["DMMLAB_THREADS"]


@contextmanager
def interrupts_later() -> Iterator[bool]:
    """Ctrl-C waits for the end of the block. Gives whether it does: elsewhere than in the main
    thread, and where it is ignored, none arrives.
    """
    usual, pressed = signal.getsignal(signal.SIGINT), []
    if threading.current_thread() is not threading.main_thread() or not callable(usual):
        yield False
        return
    signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield True
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt
