"""How the loops are compiled: by Numba, kept on disk, and without anything that could reorder a sum."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Timer

from numba import njit

from dmmlab.engine.threads import interrupts_later

OPTIONS = {"nogil": True, "error_model": "numpy"}
SOURCES = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
_ready: set[object] = set()


def compiled(function: Callable) -> Callable:
    """The function compiled when first called; kept beside its file or in the user's cache, where that can be."""
    try:
        dispatcher = njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # neither place can be written
        return njit(**OPTIONS)(function)
    # Numba looks whether the function's own file has changed; what it calls lies in others of this folder.
    dispatcher._cache._cache_file._source_stamp = SOURCES
    return dispatcher


def call(function: Callable, dtype: type, *arguments: object) -> None:
    """Call a compiled function; says so where that takes more than a second the first time, for then it compiles."""
    if (function, dtype) in _ready:
        function(*arguments)
        return
    timer = Timer(1.0, _say)
    timer.daemon = True
    timer.start()
    try:
        with interrupts_later():  # the compiler forgets one that meets it at work
            function(*arguments)
    finally:
        timer.cancel()
    _ready.add((function, dtype))


def _say() -> None:
    if "said" not in _ready:
        _ready.add("said")
        said = "dmmlab: compiling the engine for this processor (some ten seconds; later runs find it in a cache)"
        print(said, file=sys.stderr, flush=True)
