"""The engine: a machine compiled to a tape, and compiled loops that run it, with the same bits everywhere.

Users keep trees. `compiler` flattens them to instructions, `layout` lays these out as a `tape` of arrays, and the loops
in `forward`, `backward` and `tangents` read it; `runs` goes through batches and strings, `compiled_machine` is what
users call. It computes what `dmmlab.interpreter` computes, for every machine whose streams are flat.
"""

from typing import Any

__all__ = ["Engine", "run"]


def __getattr__(name: str) -> Any:
    if name not in (*__all__, "MEMORY"):
        raise AttributeError(f"module 'dmmlab.engine' has no attribute {name!r}")
    from dmmlab.engine import compiled_machine  # Numba takes a third of a second to import

    return getattr(compiled_machine, name)
