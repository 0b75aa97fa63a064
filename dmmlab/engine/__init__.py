"""The engine: a machine compiled to a tape, and compiled loops that run it, with the same bits everywhere.

Users keep trees. `compiler` flattens them to instructions, `layout` lays these out as a `tape` of arrays, and the loops
in `forward`, `backward` and `tangents` read it; `runs` goes through batches and strings, `compiled_machine` is what
users call. It computes what `dmmlab.interpreter` computes, for every machine whose streams are flat.
"""

from dmmlab.engine.compiled_machine import MEMORY as MEMORY
from dmmlab.engine.compiled_machine import Engine, run

__all__ = ["Engine", "run"]
